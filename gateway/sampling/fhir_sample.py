"""A resource, or a Bundle of some, by the R4 element table.

What stands in an element is what `specs/samples/fhir.csv` says of it, else something of its type where R4 or a check
demands that it is there.
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from gateway import fhir
from gateway.fhir import Elements
from gateway.fhir.elements import Member
from gateway.language.nodes import Element
from gateway.rules import Check
from gateway.sampling.draw import Draw, Form
from gateway.sampling.wishes import Spoiling, Wish, spoiled, wishes

FORM = Form(lambda moment: moment.isoformat(timespec="seconds"), lambda day: day.isoformat())
BUNDLE, ENTRY = "Bundle", "Bundle.entry"
REFERENCE = "reference."
_STEP = re.compile(r"([A-Za-z]+)(?:\[(\d+)\])?")

Json = dict[str, Any]

# Something of a type, where R4 demands it and nothing else is said
_CONSTANTS: Json = {"boolean": True, "integer": 1, "positiveInt": 1, "unsignedInt": 1, "decimal": 1}
_TEXTS = {
    "date": "{day}", "dateTime": "{moment}", "instant": "{moment}", "time": "10:15:00", "id": "S{number}",
    **dict.fromkeys(("uri", "url", "canonical"), "urn:sample:{number}"),
}  # fmt: skip
_OBJECTS = {
    "CodeableConcept": ("text", "{words.word}"), "Coding": ("code", "sample"), "Period": ("start", "{moment-1h}"),
    "Identifier": ("value", "S{number}"),
}  # fmt: skip


class ElementError(ValueError):
    """A place that R4 has not: a mistake in `specs/samples/fhir.csv`."""


def made(kind: str, checks: Sequence[Check], draw: Draw, elements: Elements) -> Json:
    """A resource.

    Shape: `checks` are those of its domain; a Bundle has an entry for each of the types that are told of it.
    Errors: HoleError, ElementError.
    """
    wished = wishes(checks)
    if kind != BUNDLE:
        patient = draw.text("Patient/{nhs-number}")
        draw.facts = {**draw.facts, f"{REFERENCE}Patient": patient}
        return _Maker(draw, elements, wished).resource(kind)
    types = draw.lists.fhir.get(ENTRY, "Patient").split()
    addresses = {name: f"urn:uuid:{uuid.UUID(int=draw.chance.getrandbits(128), version=4)}" for name in types}
    draw.facts = {**draw.facts, **{f"{REFERENCE}{name}": address for name, address in addresses.items()}}
    maker = _Maker(draw, elements, wished)
    bundle = maker.resource(BUNDLE)
    bundle["entry"] = [
        {"fullUrl": addresses[name], "resource": maker.resource(name), "request": {"method": "POST", "url": name}}
        for name in types
    ]
    return bundle


@dataclass(slots=True)
class _Maker:
    draw: Draw
    elements: Elements
    wished: Sequence[Wish]

    def resource(self, kind: str) -> Json:
        self.draw.begin()
        found: Json = {"resourceType": kind}
        for place, text in self.draw.lists.fhir.items():
            if place.startswith(f"{kind}.") and place != ENTRY and text:
                self.put(found, kind, place.split(".")[1:], self.draw.text(text))
        for wish in self.wished:
            if isinstance(wish.leaf, Element) and wish.leaf.resource in {kind, None}:
                self.fulfil(found, kind, wish)
        self.complete(found, kind)
        return found

    def put(self, into: Json, below: str, steps: Sequence[str], text: str) -> None:
        """Put a text where the steps lead, making what is on the way."""
        step = _STEP.fullmatch(steps[0])
        member = self.elements.members(below).get(step[1]) if step is not None else None
        if step is None or member is None:
            raise ElementError(f"{below}.{steps[0]} is no element of R4: correct specs/samples/fhir.csv")
        many = member.definition.max != 1
        if len(steps) == 1:
            value = self.primitive(member, text)
            into[step[1]] = [*into.get(step[1], []), value] if many else value
            return
        if many:
            items = into.setdefault(step[1], [])
            while len(items) < int(step[2] or 1):
                items.append({})
            self.put(items[int(step[2] or 1) - 1], member.below, steps[1:], text)
        else:
            self.put(into.setdefault(step[1], {}), member.below, steps[1:], text)

    def primitive(self, member: Member, text: str) -> Any:
        match member.type.code:
            case "boolean":
                return text == "true"
            case "integer" | "positiveInt" | "unsignedInt":
                return int(text)
            case "decimal":
                return Decimal(text)
            case _:
                return text

    def fulfil(self, found: Json, kind: str, wish: Wish) -> None:
        """Give an element that a check wishes, where it is not there or holds another value."""
        steps = wish.leaf.steps if isinstance(wish.leaf, Element) else ()
        held = _held(found, steps)
        if held is not None and (not wish.options or held in wish.options):
            return
        if wish.options:
            _remove(found, steps)
            self.put(found, kind, steps, self.draw.one(wish.options))
            return
        into, below = found, kind
        for step in steps:
            member = self.elements.members(below).get(step)
            if member is None:
                raise ElementError(f"{below}.{step} is a choice or no element, so nothing can be put there")
            if step not in into:
                value = self.value(member)
                into[step] = [value] if member.definition.max != 1 else value
            below, inner = member.below, into[step]
            into = inner[0] if isinstance(inner, list) else inner

    def complete(self, found: Json, below: str) -> None:
        """Fill what R4 demands of an object and of all in it."""
        members = self.elements.members(below)
        for name, member in members.items():
            definition = member.definition
            if definition.min and not any(
                other in found for other in members if members[other].definition is definition
            ):
                value = self.value(member)
                found[name] = [value] if definition.max != 1 else value
            for inner in _listed(found.get(name)):
                if isinstance(inner, dict) and "resourceType" not in inner:
                    self.complete(inner, member.below)

    def value(self, member: Member) -> Any:
        """Something of an element's type."""
        codes = self.elements.tables.codes.get(member.definition.value_set or "")
        code = member.type.code
        if codes:
            return self.draw.one(sorted(codes))
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _OBJECTS:
            name, text = _OBJECTS[code]
            return {name: self.draw.text(text)}
        if code == "Reference":
            return self.reference(member)
        if self.elements.is_primitive(code):
            return self.draw.text(_TEXTS.get(code, "{words.word}"))
        made: Json = {}
        self.complete(made, member.below)
        return made

    def reference(self, member: Member) -> Json:
        named = (f"{REFERENCE}{target}" for target in member.type.targets)
        known = next((self.draw.facts[name] for name in named if name in self.draw.facts), None)
        return {"display": self.draw.text("{people.given} {people.family}")} if known is None else {"reference": known}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _held(found: Any, steps: Sequence[str]) -> Any:
    """The first value at a path, None for none."""
    for step in steps:
        found = next(iter(_listed(found)), None)
        found = found.get(step) if isinstance(found, dict) else None
    return next(iter(_listed(found)), None)


def _remove(found: Json, steps: Sequence[str]) -> None:
    for parent in _parents([found], steps[:-1]):
        parent.pop(steps[-1], None)


def _parents(found: Iterable[Any], steps: Sequence[str]) -> list[Json]:
    """The objects at a path, every one of each list."""
    here = [item for item in found if isinstance(item, dict)]
    for step in steps:
        here = [inner for item in here for inner in _listed(item.get(step)) if isinstance(inner, dict)]
    return here


# --- faults --------------------------------------------------------------------------------------------------------


def broken(resource: Json, doing: Iterable[Spoiling], draw: Draw, elements: Elements) -> Iterator[Json]:
    """The submission with these places made wrong, once for each other value that they may hold."""
    ways = tuple(doing)
    choices = [_codes(spoiling, elements) for spoiling in ways]
    most = max([1, *map(len, choices)])
    for number in range(most):
        found = copy.deepcopy(resource)
        for spoiling, codes in zip(ways, choices, strict=True):
            _spoil(found, spoiling, codes[number:] or codes, draw)
        yield found


def _codes(spoiling: Spoiling, elements: Elements) -> list[str]:
    leaf = spoiling.leaf
    if not isinstance(leaf, Element):
        return []
    definition = elements.resolve(".".join((leaf.resource or "", *leaf.steps)))
    codes = elements.tables.codes.get(definition.value_set or "", frozenset()) if definition is not None else ()
    return sorted(code for code in codes if code not in spoiling.allowed)


def _spoil(found: Json, spoiling: Spoiling, codes: Sequence[str], draw: Draw) -> None:
    if not isinstance(spoiling.leaf, Element) or not spoiling.leaf.steps:
        return
    *steps, last = spoiling.leaf.steps
    far = tuple(FORM.moment(draw.moment + timedelta(days=days)) for days in (-400, 400))
    for resource in _resources(found):
        if resource["resourceType"] != spoiling.leaf.resource:
            continue
        for parent in _parents([resource], steps):
            held = parent.get(last)
            if spoiling.way == "remove":
                parent.pop(last, None)
            elif isinstance(held, str):
                parent[last] = spoiled(held, spoiling, codes, (far[0], far[1]))


def otherwise(resource: Json, elements: Elements) -> Iterator[Json]:
    """The submission with one member of a resource removed, or another of its codes in it, each in turn."""
    count = sum(1 for _ in _resources(resource))
    for at in range(count):
        original = list(_resources(resource))[at]
        members = elements.members(original["resourceType"])
        for name in [name for name in original if name != "resourceType"]:
            definition = members[name].definition if name in members else None
            codes = elements.tables.codes.get(definition.value_set or "", frozenset()) if definition is not None else ()
            for code in (None, *sorted(codes)):
                found = copy.deepcopy(resource)
                changed = list(_resources(found))[at]
                if code is None:
                    del changed[name]
                elif isinstance(changed[name], str):
                    changed[name] = code
                yield found


def _resources(submission: Json) -> Iterator[Json]:
    yield submission
    for entry in submission.get("entry", ()):
        yield entry["resource"]


def body(resource: Json) -> bytes:
    """A resource as it is sent."""
    return fhir.dump(resource)
