"""A valid `Fhir` submission to drafts, with what goes with it: the sender's organisation and a Provenance.

Source: `conversion.md` of the design, "Identity" and "Update".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway import fhir
from gateway.fhir import Draft, Elements, Marks, Resource
from gateway.finding import Finding, refuses
from gateway.interactions.content import Made
from gateway.interactions.refused import Refused
from gateway.mapping import Context

AHEAD = timedelta(days=1)
"""So far ahead of its receipt a submission may tell of, as a message may."""

SHOWN_LOSS = 40
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_URI = "urn:ietf:rfc:3986"


def converted(
    submission: Resource, name: str, body_hash: str, context: Context, elements: Elements, marks: Marks
) -> Made:
    """Entries under the ids that the record gives them.

    Shape: `name` is what the sender calls the submission, empty for nothing.
    Errors: Refused (failed).
    """
    taken = fhir.taken(submission)
    if refuses(taken.findings):
        raise Refused("failed", *taken.findings)
    tables = elements.tables
    sender = {"context.organisation": f"Organization/{context.organisation}"}
    found = fhir.identified(
        taken.entries, fhir.Naming(tables, context.organisation, body_hash), elements, marks,
        {path: sender[fact] for path, fact in tables.filled.items()},
    )  # fmt: skip
    findings = (*taken.findings, *found.findings)
    if refuses(findings):
        raise Refused("failed", *findings)
    told, early = _told(submission, context.received)
    drafts = found.drafts
    if ("Organization", context.organisation) not in found.names:
        drafts = (_organisation(context.organisation, tables.systems.ods), *drafts)
    source = _source(taken, submission, name, body_hash)
    drafts = (*drafts, Draft(_provenance(context, told, source, _activity(taken), drafts)))
    marked = tuple(_marked(draft, context, marks) for draft in drafts)
    return Made(marked, (*early, *findings), told, _loss(taken), versions=True, names=found.names)


def _told(submission: Resource, received: datetime) -> tuple[str, tuple[Finding, ...]]:
    """The instant that a submission tells of: the Bundle's timestamp, else when it was last changed or received."""
    instead = received.astimezone(UTC).isoformat(timespec="milliseconds")
    name = submission["resourceType"]
    for path, sent in (("timestamp", submission.get("timestamp")), ("meta.lastUpdated", _last_updated(submission))):
        if not isinstance(sent, str):
            continue
        moment = _moment(sent)
        if moment is not None and moment - received <= AHEAD:
            return sent, ()
        place = f"{name}.{path}"
        why = "is more than a day ahead" if moment is not None else "is none of any clock"
        words = f"the time at {place} {why}, so the submission counts from when it was received"
        return instead, (Finding("warning", "value", words, place, "FHIR-AHEAD"),)
    return instead, ()


def _moment(sent: str) -> datetime | None:
    """A FHIR instant; None for a leap second, which FHIR allows and Python's clock does not have."""
    try:
        return datetime.fromisoformat(sent)
    except ValueError:
        return None


def _last_updated(resource: Resource) -> Any:
    return resource.get("meta", {}).get("lastUpdated")


def _organisation(code: str, system: str) -> Draft:
    """The sending organisation, which what was sent may refer to."""
    return Draft({"resourceType": "Organization", "id": code, "identifier": [{"system": system, "value": code}]})


def _marked(draft: Draft, context: Context, marks: Marks) -> Draft:
    resource = fhir.contributed(
        draft.resource, organisation=context.organisation, domain=context.domain, marks=marks,
        source=f"urn:uuid:{context.receipt}",
    )  # fmt: skip
    return Draft(resource, draft.clears, draft.only_new)


def _source(taken: fhir.Taken, submission: Resource, name: str, body_hash: str) -> Resource:
    """The submission as a Provenance names it: by its own identifier, its key, or its bytes."""
    identifier = submission.get("identifier") if taken.bundle is not None else None
    if identifier is None:
        identifier = {"value": name} if name else {"system": _URI, "value": f"urn:sha256:{body_hash}"}
    kind = submission["resourceType"] if taken.bundle is None else f"Bundle {taken.bundle}"
    source = (taken.header or {}).get("source", {})
    by = source.get("name") or source.get("endpoint")
    display = f"FHIR R4 {kind}" + (f" from {by}" if by else "")
    return {"role": "source", "what": {"identifier": identifier, "display": display}}


def _activity(taken: fhir.Taken) -> Resource | None:
    """What a message's header says that it is about."""
    header = taken.header or {}
    if "eventCoding" in header:
        return {"coding": [header["eventCoding"]]}
    return {"text": header["eventUri"]} if "eventUri" in header else None


def _provenance(
    context: Context, told: str, source: Resource, activity: Resource | None, drafts: Iterable[Draft]
) -> Resource:
    """Who told all this, when, and in what: as the maps write it for a message."""
    author = {"coding": [{"system": _PARTICIPANT, "code": "author"}]}
    assembler = {"coding": [{"system": _PARTICIPANT, "code": "assembler"}]}
    return {
        "resourceType": "Provenance",
        "id": fhir.derived_id("Provenance", context.organisation, context.receipt),
        "target": [{"reference": f"{d.resource['resourceType']}/{d.resource['id']}"} for d in drafts],
        "occurredDateTime": told,
        "recorded": context.received.astimezone(UTC).isoformat(timespec="milliseconds"),
        "policy": [f"urn:sha256:{context.rules_digest}"],
        **({"activity": activity} if activity is not None else {}),
        "agent": [
            {"type": author, "who": {"reference": f"Organization/{context.organisation}"}},
            {"type": assembler, "who": {"display": "healthcare exchange gateway"}},
        ],
        "entity": [source],
    }


def _loss(taken: fhir.Taken) -> tuple[Finding, ...]:
    """What of a submission is not stored: all of its resources are, but for a message's header."""
    counts = f"{len(taken.entries)} resources taken, {len(taken.left)} parts of the submission not stored"
    return (
        Finding("information", "informational", counts),
        *(Finding("information", "informational", "not stored", path) for path in taken.left[:SHOWN_LOSS]),
    )
