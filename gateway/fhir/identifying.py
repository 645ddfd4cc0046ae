"""The id of a submitted resource, by what its sender calls it.

Source: the gateway's design (conversion, identity); `specs/fhir/identities.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.fhir.cleaning import clean
from gateway.fhir.entries import Entry, Token
from gateway.fhir.identity import derived_id, nhs_number_digits, organization_id
from gateway.fhir.jsonformat import Resource
from gateway.finding import Finding
from gateway.specs import FhirTables, Identity

_OF_THE_UNIVERSE = ("urn:oid:", "urn:uuid:")
_FORMS = {"nhs-number": ("FHIR-NHS", "valid NHS number"), "ods-code": ("FHIR-ODS", "ODS code")}


@dataclass(frozen=True, slots=True)
class Naming:
    """What gives ids.

    Shape: `organisation` is the sending one, in upper case; `body_hash` names a submission whose entries have no name
    of their own.
    """

    tables: FhirTables
    organisation: str
    body_hash: str

    def id_of(self, entry: Entry) -> tuple[str, tuple[Finding, ...]]:
        """Id of an entry, and what is wrong with its identifiers.

        Shape: by the identifier that its request names, else the strongest of its own, else the sender's own id, else
        the body and the entry's place in it.
        """
        name = entry.resource["resourceType"]
        findings: list[Finding] = []
        for way in self.tables.identities[name]:
            if way.form != "business":
                found = self._only_one(entry, way, findings)
                if found is not None:
                    return found, tuple(findings)
                if way.form == "nhs-number" and nhs_number_digits(entry.own_id) is not None:
                    words = f"the id is an NHS number and no identifier says so: send it as identifier of {way.system}"
                    findings.append(Finding("error", "code-invalid", words, f"{entry.place}.id", "FHIR-NHS"))
        if entry.known_by is not None:
            return self.of_token(name, entry.known_by), tuple(findings)
        for way in self.tables.identities[name]:
            if way.form == "business":
                for _, identifier in _fitting(entry, way):
                    return self._business(name, identifier), tuple(findings)
        own = f"id {entry.own_id}" if entry.own_id else f"{self.body_hash} {entry.place}"
        return derived_id(name, self.organisation, own), tuple(findings)

    def of_token(self, name: str, token: Token) -> str:
        """Id of what is known by an identifier that a search names."""
        for way in self.tables.identities[name]:
            if way.form != "business" and way.system == token.system:
                found = _of_form(way.form, token.value)
                if found is not None:
                    return found
        return derived_id(name, self._authority(token.system, {}), token.value)

    def strongest(self, name: str, token: Token) -> bool:
        """Whether nothing could be known by something stronger than this identifier."""
        forms = [way for way in self.tables.identities[name] if way.form != "business"]
        return not forms or any(
            way.system == token.system and _of_form(way.form, token.value) is not None for way in forms
        )

    def _business(self, name: str, identifier: Resource) -> str:
        system = str(identifier.get("system", ""))
        return derived_id(name, self._authority(system, identifier), str(identifier["value"]))

    def _authority(self, system: str, identifier: Resource) -> str:
        """Who assigned an identifier, written as HL7 v2 messages write it, so that both give one id."""
        for prefix in _OF_THE_UNIVERSE:
            system = system.removeprefix(prefix)
        assigner = identifier.get("assigner", {}).get("identifier", {}).get("value")
        return system or (str(assigner) if assigner else self.organisation)

    def _only_one(self, entry: Entry, way: Identity, findings: list[Finding]) -> str | None:
        """Id of a form that is an id itself; what isn't of that form, and a second one, is an error."""
        rule, spoken = _FORMS[way.form]
        found: dict[str, str] = {}
        for place, identifier in _fitting(entry, way):
            id_ = _of_form(way.form, str(identifier["value"]))
            if id_ is None:
                words = f"this is not a {spoken}: correct it, or leave the identifier out"
                findings.append(Finding("error", "code-invalid", words, f"{place}.value", rule))
            else:
                found.setdefault(id_, place)
        if len(found) > 1:
            words = f"a second, other {spoken}: who this is can't be told"
            findings.append(Finding("error", "conflict", words, f"{[*found.values()][1]}.value", rule))
        return next(iter(found), None)


def _fitting(entry: Entry, way: Identity) -> Iterable[tuple[str, Resource]]:
    """Identifiers of an entry that are of a way, with their places."""
    value = entry.resource.get(way.element)
    for i, identifier in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(identifier, dict) or not identifier.get("value") or identifier.get("use") in {"old", "temp"}:
            continue
        if way.system and identifier.get("system") != way.system:
            continue
        if way.kind and way.kind not in {c.get("code") for c in identifier.get("type", {}).get("coding", ())}:
            continue
        index = f"[{i}]" if isinstance(value, list) else ""
        yield f"{entry.place}.{way.element}{index}", identifier


def _of_form(form: str, value: str) -> str | None:
    return nhs_number_digits(value) if form == "nhs-number" else organization_id(value)


def doubled(entries: Sequence[Entry], ids: Sequence[str]) -> tuple[Finding, ...]:
    """Errors for entries that tell different things of one resource."""
    first: dict[tuple[str, str], Entry] = {}
    findings: list[Finding] = []
    for entry, id_ in zip(entries, ids, strict=True):
        name = entry.resource["resourceType"]
        before = first.setdefault((name, id_), entry)
        if before is not entry and _content(before.resource) != _content(entry.resource):
            words = f"this is the same {name} as at {before.place}, told differently: send it once"
            findings.append(Finding("error", "duplicate", clean(words), entry.place, "FHIR-TWICE"))
    return tuple(findings)


def _content(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in {"id", "meta"}}
