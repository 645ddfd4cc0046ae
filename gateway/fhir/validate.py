"""Validation of a resource against the R4 element table.

Found here: members that the type doesn't have, cardinality, JSON types, formats of primitives, required codes, empty
objects and lists, several values of one choice, types of reference targets, and the invariants that cost little
(`invariants.py`).
Source: https://hl7.org/fhir/R4/validation.html, https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

import re2

from gateway.fhir.elements import Elements, Member
from gateway.fhir.invariants import broken, of_resource
from gateway.fhir.jsonformat import Resource
from gateway.fhir.outcome import clean
from gateway.finding import Finding
from gateway.source import nearest
from gateway.specs import ElementDefinition

_NUMBERS = {"decimal": (int, Decimal), "integer": (int,), "positiveInt": (int,), "unsignedInt": (int,)}
_LARGEST_INTEGER = 2**31 - 1  # https://hl7.org/fhir/R4/datatypes.html#integer
_LONGEST_SHOWN = 60
_TARGET = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}(?:/_history/[A-Za-z0-9.\-]{1,64})?$")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def validate(resource: Resource, elements: Elements, most: int | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong with a resource, in the order of its members; empty where nothing is.

    Shape: `most` ends the search after so many findings; each finding's `expression` is a FHIRPath-like place with
    indices from 0 (`Patient.name[0].family`), its `rule` one of the FHIR- codes or an invariant's key.
    """
    return tuple(islice(_Walk(elements, resource).resource(resource, None), most))


class _Walk:
    """One validation; knows the Bundle entries and contained resources that references may point to."""

    def __init__(self, elements: Elements, whole: Resource) -> None:
        self.elements = elements
        self.formats = _formats(elements)
        self.known = dict(_addresses(whole))

    def resource(self, value: Any, path: str | None) -> Iterator[Finding]:
        """Findings of a resource at a path, of the whole where the path is None."""
        if not isinstance(value, dict):
            yield _finding("structure", "FHIR-JSON", path or "Resource", "a resource is a JSON object")
            return
        name = value.get("resourceType")
        if not isinstance(name, str) or not self.elements.is_resource(name):
            words = f"`{_shown(name)}` is not a resource type" if name is not None else "resourceType is missing"
            yield _finding("structure", "FHIR-TYPE", path or "Resource", words)
            return
        contained = value.get("contained")
        outer = self.known
        if isinstance(contained, list):
            own = {f"#{c.get('id')}": str(c.get("resourceType")) for c in contained if isinstance(c, dict)}
            self.known = {**outer, **own}
        yield from self.object(value, name, path or name, name)
        for key, place, words in of_resource(value):
            yield _finding("invariant", key, f"{path or name}.{place}", words)
        self.known = outer
        # the definitions say string here, the datatype's page says id: https://hl7.org/fhir/R4/resource.html#id
        if isinstance(value.get("id"), str) and not self.formats["id"](value["id"]):
            yield _finding("value", "FHIR-FORMAT", f"{path or name}.id", f"`{_shown(value['id'])}` is not an id")

    def object(self, value: Any, below: str, path: str, resource_type: str | None = None) -> Iterator[Finding]:
        """Findings of an object whose members are those below `below`."""
        if not isinstance(value, dict):
            yield _finding("structure", "FHIR-JSON", path, f"{below.rpartition('.')[2]} is a JSON object")
            return
        if not value:
            yield _finding("structure", "FHIR-EMPTY", path, "an object has at least one member: leave it out")
            return
        members = self.elements.members(below)
        present: dict[str, list[str]] = {}
        for name, child in value.items():
            if name == "resourceType" and resource_type is not None:
                continue
            member = members.get(name.removeprefix("_"))
            if member is None or (name[0] == "_" and not self.elements.is_primitive(member.type.code)):
                near = nearest(name, members)
                words = f"{below} has no `{_shown(name)}`" + (f": did you mean `{near}`?" if near else "")
                yield _finding("structure", "FHIR-UNKNOWN", f"{path}.{_shown(name)}", words)
                continue
            seen = present.setdefault(member.definition.path, [])
            if member.name not in seen:
                seen.append(member.name)
            yield from self.member(name, child, member, f"{path}.{name}", value)
        yield from _cardinality(members, present, path)
        for key, place, words in broken(below, value):
            yield _finding("invariant", key, f"{path}.{place}" if place else path, words)

    def member(self, name: str, value: Any, member: Member, path: str, parent: Resource) -> Iterator[Finding]:
        """Findings of one member's value: a list where the element repeats."""
        repeats = member.definition.max is None or member.definition.max > 1
        if repeats != isinstance(value, list):
            words = "this element repeats: write a list" if repeats else "this element does not repeat: write no list"
            yield _finding("structure", "FHIR-JSON", path, words)
            return
        if not repeats:
            yield from self.value(name, value, member, path)
            return
        if not value:
            yield _finding("structure", "FHIR-EMPTY", path, "a list has at least one entry: leave it out")
        other = parent.get(name[1:] if name[0] == "_" else "_" + name)
        for i, entry in enumerate(value):
            if entry is None and self.elements.is_primitive(member.type.code):
                # null keeps the place of a value beside its extensions, or the other way round
                if not isinstance(other, list) or i >= len(other) or other[i] is None:
                    yield _finding("structure", "FHIR-EMPTY", f"{path}[{i}]", "null stands beside nothing")
                continue
            yield from self.value(name, entry, member, f"{path}[{i}]")

    def value(self, name: str, value: Any, member: Member, path: str) -> Iterator[Finding]:
        """Findings of one value."""
        code = member.type.code
        if name[0] == "_":
            yield from self.object(value, code, path)
        elif code == "Resource":
            yield from self.resource(value, path)
        elif self.elements.is_primitive(code):
            yield from self.primitive(value, code, member.definition, path)
        else:
            yield from self.object(value, member.below, path)
            if isinstance(value, dict):
                yield from self.bound(value, code, member.definition, path)
                if code == "Reference":
                    yield from self.reference(value, member, path)

    def primitive(self, value: Any, code: str, definition: ElementDefinition, path: str) -> Iterator[Finding]:
        """Findings of a primitive: JSON type, format, calendar, required code."""
        wanted = (bool,) if code == "boolean" else _NUMBERS.get(code, (str,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and code != "boolean"):
            kind = "true or false" if code == "boolean" else "a number" if code in _NUMBERS else "a string"
            yield _finding("structure", "FHIR-JSON", path, f"{code} is {kind} in JSON")
            return
        text = str(value) if code != "boolean" else str(value).lower()
        fits = self.formats.get(code)
        if fits is not None and not fits(text):
            yield _finding("value", "FHIR-FORMAT", path, f"`{_shown(text)}` is not a {code}")
        elif isinstance(value, int) and code != "decimal" and abs(value) > _LARGEST_INTEGER:
            yield _finding("value", "FHIR-FORMAT", path, f"`{_shown(text)}` is beyond what a {code} holds")
        elif code in {"date", "dateTime", "instant"} and not _in_calendar(text):
            yield _finding("value", "FHIR-FORMAT", path, f"`{_shown(text)}` is no day of the calendar")
        allowed = self.elements.tables.codes.get(definition.value_set or "")
        if allowed is not None and text not in allowed:
            near = nearest(text, allowed)
            words = f"`{_shown(text)}` is not in {definition.value_set}" + (f": did you mean `{near}`?" if near else "")
            yield _finding("code-invalid", "FHIR-CODE", path, words)

    def bound(self, value: Resource, code: str, definition: ElementDefinition, path: str) -> Iterator[Finding]:
        """Findings of a required binding of a Coding or CodeableConcept: one of its codings is in the value set."""
        allowed = self.elements.tables.codings.get(definition.value_set or "")
        if allowed is None:
            return
        codings = value.get("coding") if code == "CodeableConcept" else [value]
        found = codings if isinstance(codings, list) else []
        if not any(isinstance(c, dict) and (c.get("system"), c.get("code")) in allowed for c in found):
            words = f"no coding is in {definition.value_set}, which is required"
            yield _finding("code-invalid", "FHIR-CODE", path, words)

    def reference(self, value: Resource, member: Member, path: str) -> Iterator[Finding]:
        """A finding where the target is known to be of a type that the element doesn't allow."""
        targets = member.type.targets
        reference = value.get("reference")
        address = reference if isinstance(reference, str) else ""
        if address.startswith("#") and len(address) > 1 and address not in self.known:
            words = f"`{_shown(address)}` is no contained resource: contain it, or write its address without #"
            yield _finding("invariant", "ref-1", path, words)
        if not targets or "Resource" in targets:
            return
        found = _TARGET.search(address)
        target = self.known.get(address) or (found.group(1) if found is not None else value.get("type"))
        if isinstance(target, str) and self.elements.is_resource(target) and target not in targets:
            words = f"the target is a {target}: allowed are {', '.join(targets)}"
            yield _finding("value", "FHIR-TARGET", path, words)


def _cardinality(members: Mapping[str, Member], present: Mapping[str, list[str]], path: str) -> Iterator[Finding]:
    for definition in {m.definition.path: m.definition for m in members.values()}.values():
        names = present.get(definition.path, ())
        name = definition.path.rpartition(".")[2]
        if not names and definition.min > 0:
            yield _finding("required", "FHIR-MIN", path, f"`{name}` is missing")
        elif len(names) > 1:
            yield _finding("structure", "FHIR-MAX", path, f"only one of {' and '.join(names)} may stand")


def _addresses(value: Any) -> Iterator[tuple[str, str]]:
    """Full URLs of a Bundle's entries with the types of their resources."""
    entries = value.get("entry") if isinstance(value, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield str(entry.get("fullUrl")), str(entry["resource"].get("resourceType"))


@functools.cache
def _formats(elements: Elements) -> Mapping[str, Callable[[str], object]]:
    # re2 takes linear time, where the standard's own expression for base64 would not with a backtracking engine
    return {name: re2.compile(form).fullmatch for name, form in elements.tables.formats.items()}


def _in_calendar(text: str) -> bool:
    if _DAY.match(text) is None:
        return True
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def _finding(code: str, rule: str, path: str, words: str) -> Finding:
    return Finding("error", code, clean(words), path, rule)
