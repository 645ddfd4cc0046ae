"""Who told all this, when, and in what: the Provenance of what a sender submitted, as the maps write it for a message.

Source: https://hl7.org/fhir/R4/provenance.html; `conversion.md` of the design, "Update".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.fhir.identity import derived_id
from gateway.fhir.jsonformat import Resource
from gateway.specs import Systems

_US = "healthcare exchange gateway"


@dataclass(frozen=True, slots=True)
class Submitted:
    """A submission, or a part of it.

    Shape: `organisation` is the sender's ODS code; `key` makes the id of the Provenance, and is the same whenever the
    same is told; `rules` is the rule set's SHA-256 in hex digits; `activity` is None where nothing says it, `meta`
    where it is marked later.
    Units: `occurred` and `recorded` are FHIR instants.
    """

    organisation: str
    key: str
    occurred: str
    recorded: str
    rules: str
    activity: Resource | None = None
    meta: Resource | None = None


def provenance(
    submitted: Submitted, about: Iterable[tuple[str, str]], entities: Iterable[Resource], systems: Systems
) -> Resource:
    """The Provenance of resources, by type and id. Shape: `entities` are what they were told in."""
    author, assembler = ({"coding": [{"system": systems.participants, "code": c}]} for c in ("author", "assembler"))
    return {
        "resourceType": "Provenance",
        "id": derived_id("Provenance", submitted.organisation, submitted.key),
        **({} if submitted.meta is None else {"meta": submitted.meta}),
        "target": [{"reference": f"{type_}/{id_}"} for type_, id_ in about],
        "occurredDateTime": submitted.occurred,
        "recorded": submitted.recorded,
        "policy": [by_digest(submitted.rules)],
        **({} if submitted.activity is None else {"activity": submitted.activity}),
        "agent": [
            {"type": author, "who": {"reference": f"Organization/{submitted.organisation}"}},
            {"type": assembler, "who": {"display": _US}},
        ],
        "entity": list(entities),
    }


def submitted_as(name: str, body_hash: str, systems: Systems) -> Resource:
    """The Identifier of what was submitted: what its sender calls it, else, where `name` is empty, its bytes."""
    return {"value": name} if name else {"system": systems.uris, "value": by_digest(body_hash)}


def by_digest(digest: str) -> str:
    """The URN of bytes. Shape: `digest` is their SHA-256 in hex digits."""
    return f"urn:sha256:{digest}"
