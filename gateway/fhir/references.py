"""References between the resources of a submission, rewritten to the ids that they are stored under.

Source: https://hl7.org/fhir/R4/bundle.html#references, https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.fhir.cleaning import clean
from gateway.fhir.elements import Elements
from gateway.fhir.entries import Entry, Token, token
from gateway.fhir.identifying import Naming
from gateway.fhir.identity import organization_id, valid_nhs_number
from gateway.fhir.jsonformat import Resource
from gateway.finding import Finding

_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})")
_END = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})$")
_VERSION = re.compile(r"/_history/[A-Za-z0-9.\-]{1,64}$")
_DERIVED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_ADDRESSES = frozenset({"uri", "url", "canonical", "oid", "uuid"})
_LONGEST_SHOWN = 80


class Addresses:
    """What each entry of a submission may be called by the others, and the name that it is stored under."""

    def __init__(self, entries: Sequence[Entry], ids: Sequence[str], naming: Naming) -> None:
        """Gather the names."""
        self._naming = naming
        self._full: dict[str, str] = {}
        self._own: dict[str, str | None] = {}
        self._identified: dict[tuple[str, Token], str] = {}
        for entry, id_ in zip(entries, ids, strict=True):
            name = entry.resource["resourceType"]
            stored = f"{name}/{id_}"
            if entry.full_url:
                self._full[entry.full_url] = stored
            own = entry.own_id or entry.resource.get("id", "")
            if own:
                # a name that two entries have names neither
                other = self._own.setdefault(f"{name}/{own}", stored)
                self._own[f"{name}/{own}"] = stored if other == stored else None
            for identifier in _identifiers(entry.resource):
                self._identified[name, identifier] = stored

    def of_entry(self, address: str) -> str | None:
        """The name that an address of an entry is stored under."""
        return self._full.get(_VERSION.sub("", address))

    def of_identifier(self, name: str, wanted: Token) -> str | None:
        """The name of what has an identifier: an entry, or what could only be known by it."""
        found = self._identified.get((name, wanted))
        if found is None and self._naming.strongest(name, wanted):
            return f"{name}/{self._naming.of_token(name, wanted)}"
        return found

    def of_own(self, entry: Entry, address: str) -> str | None:
        """The name of what a relative address means in an entry."""
        base = entry.full_url.removesuffix(_path(entry.full_url))
        return self._full.get(f"{base}{address}") or self._own.get(address)

    def in_submission(self, name: str, wanted: Token) -> str | None:
        """The name of the entry that has an identifier."""
        return self._identified.get((name, wanted))


def _path(full_url: str) -> str:
    found = _END.search(full_url)
    return f"{found[1]}/{found[2]}" if found is not None else ""


def _identifiers(resource: Resource) -> list[Token]:
    value = resource.get("identifier", ())
    entries = value if isinstance(value, list) else [value]
    return [Token(str(e.get("system", "")), str(e["value"])) for e in entries if isinstance(e, dict) and e.get("value")]


class Rewriter:
    """Rewrites the references of one entry; what can't be resolved is among `findings`."""

    def __init__(self, entry: Entry, addresses: Addresses, elements: Elements) -> None:
        """Begin with an entry."""
        self._entry = entry
        self._addresses = addresses
        self._elements = elements
        self.findings: list[Finding] = []

    def resource(self) -> Resource:
        """The entry's resource with its references rewritten; the sender's own is left as it is."""
        return self._resource(self._entry.resource, self._entry.place)

    def _resource(self, value: Resource, place: str) -> Resource:
        return {"resourceType": value["resourceType"], **self._object(value, value["resourceType"], place)}

    def _object(self, value: Resource, below: str, place: str) -> Resource:
        members = self._elements.members(below)
        result: Resource = {}
        for name, child in value.items():
            member = members.get(name)
            if member is None:
                result[name] = child  # resourceType, and the extensions of primitives, which refer to nothing outside
                continue
            at = f"{place}.{name}"
            if isinstance(child, list):
                result[name] = [
                    self._value(each, member.type.code, member.below, f"{at}[{i}]") for i, each in enumerate(child)
                ]
            else:
                result[name] = self._value(child, member.type.code, member.below, at)
        if below == "Reference":
            return self._reference(result, place)
        if below == "Narrative":
            return self._narrative(result)
        return result

    def _value(self, value: Any, code: str, below: str, place: str) -> Any:
        if isinstance(value, dict):
            return self._resource(value, place) if code == "Resource" else self._object(value, below, place)
        if code in _ADDRESSES and isinstance(value, str) and value.startswith("urn:"):
            return self._addresses.of_entry(value) or value
        return value

    def _reference(self, value: Resource, place: str) -> Resource:
        address = value.get("reference")
        if isinstance(address, str):
            return {**value, "reference": self._resolved(address, f"{place}.reference")}
        wanted, kind = value.get("identifier"), value.get("type")
        if isinstance(wanted, dict) and isinstance(kind, str) and wanted.get("value"):
            found = self._addresses.in_submission(kind, Token(str(wanted.get("system", "")), str(wanted["value"])))
            if found is not None:
                return {"reference": found, **value}
        return value

    def _resolved(self, address: str, place: str) -> str:
        if address.startswith("#"):
            return address
        found = self._addresses.of_entry(address)
        if found is not None:
            return found
        if "?" in address and "://" not in address.partition("?")[0]:
            return self._searched(address, place)
        if address.startswith("urn:"):
            self._say(
                "error", "not-found", place, f"{_shown(address)} is the fullUrl of no entry: send what it names along"
            )
            return address
        plain = _VERSION.sub("", address)
        relative = _RELATIVE.fullmatch(plain)
        if relative is not None:
            found = self._addresses.of_own(self._entry, plain)
            if found is not None or _of_the_record(relative[1], relative[2]):
                return found or address
        named = _END.search(plain)
        if named is not None and named[1] == "Patient":
            words = (
                f"{_shown(address)} is no entry and no patient that the record knows: send the Patient along, "
                "or refer to it by its NHS number (Patient/9990000018)"
            )
            self._say("error", "not-found", place, words)
        elif relative is not None:
            words = (
                f"{_shown(address)} is no entry, so it is kept as it was sent; send it along, or name it by identifier"
            )
            self._say("warning", "not-found", place, words)
        return address

    def _searched(self, address: str, place: str) -> str:
        name, _, query = address.partition("?")
        wanted = token(query)
        if not self._elements.is_resource(name) or wanted is None:
            words = "a resource is named by type and one identifier: Patient?identifier= and then system, bar and value"
            self._say("error", "not-supported", place, words)
            return address
        found = self._addresses.of_identifier(name, wanted)
        if found is None:
            words = f"no entry has this identifier, and a {name} in the record may be known by another: send it along"
            self._say("error", "not-found", place, words)
        return found or address

    def _narrative(self, value: Resource) -> Resource:
        """Links within a narrative to entries of the submission follow them."""
        div = value.get("div")
        if not isinstance(div, str) or "urn:" not in div:
            return value
        return {**value, "div": _LINK.sub(lambda m: f'{m[1]}"{self._addresses.of_entry(m[2]) or m[2]}"', div)}

    def _say(self, severity: Any, code: str, place: str, words: str) -> None:
        self.findings.append(Finding(severity, code, clean(words), place, "FHIR-REF"))


_LINK = re.compile(r'((?:href|src)\s*=\s*)"(urn:[^"]*)"')


def _of_the_record(name: str, id_: str) -> bool:
    """Whether an id has a form that the record itself gives to that type."""
    if name == "Patient" and valid_nhs_number(id_):
        return True
    if name == "Organization" and organization_id(id_) == id_:
        return True
    return _DERIVED.fullmatch(id_) is not None


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def filled(resource: Resource, facts: Mapping[str, str]) -> Resource:
    """The resource with what its sender left to be understood. Shape: `facts` are references by path."""
    name = resource["resourceType"]
    more = {
        element: {"reference": reference}
        for path, reference in facts.items()
        for owner, _, element in [path.partition(".")]
        if owner == name and element not in resource
    }
    return {**resource, **more} if more else resource
