"""What a pair of worlds is drawn with: one source of chance for what both show, one in each for what it hides.

The rules are those of the leak suite (`tests/conformance/leaks/rules`). Each pair has patients of its own, so that one
store holds any number of pairs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

Json = dict[str, Any]
RESTRICTED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
MASKED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "LOCIS"}
SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
OPTED_OUT = "9990900019"
SENSITIVE = "76272004"
OWN, ELSEWHERE = ("9AA01", "9AA02"), ("9ZZ01", "9YY01")
WORDS = ("", "ash", "birch", "cedar and elm", "fir \u00e9", "gorse <b>", "hazel, ivy|$", 'juniper "x"', "k" * 300)
KINDS = ("Patient", "Encounter", "Condition", "Observation", "DiagnosticReport", "Flag", "Provenance")
OTHERS = ("MedicationRequest", "List", "Group", "RelatedPerson", "Procedure", "Practitioner", "Organization")
GONE: Final[Json] = {}
"""Stands for a deletion."""


@dataclass(frozen=True, slots=True)
class Step:
    """One version of a resource in both worlds. Shape: None where that world doesn't have it, `GONE` deletes it."""

    name: str
    here: Json | None
    there: Json | None


@dataclass(slots=True)
class Chance:
    """What is drawn for one pair: `shared` for both worlds, `hidden` one for each."""

    number: int
    shared: random.Random
    hidden: tuple[random.Random, random.Random]
    rounds: tuple[list[Step], ...] = field(default_factory=lambda: ([], [], []))
    ids: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, list[str]] = field(default_factory=dict)

    def name(self, kind: str) -> str:
        """A new id of a type, which both worlds know, whether it is there or not."""
        own = self.ids.setdefault(kind, [])
        own.append(f"{kind[:3].lower()}{self.number}-{len(own)}")
        return own[-1]

    def note(self, parameter: str, value: str) -> str:
        """Remember a value that may be searched by."""
        self.values.setdefault(parameter, []).append(value)
        return value

    def store(self, at: int, here: Json | None, there: Json | None) -> None:
        """Put one version of a resource into a round."""
        known = here or there
        if known is not None:
            self.rounds[at].append(Step(f"{known['resourceType']}/{known['id']}", here, there))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to both worlds."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Json | str | None = None

    @property
    def content(self) -> bytes | None:
        """The body as it is sent: a resource in JSON, or a form."""
        if self.body is None:
            return None
        return (escaped(self.body) if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True, slots=True)
class Pair:
    """What to store, round by round, and what to ask then, as whom and for what."""

    number: int
    caller: str
    purpose: str
    rounds: tuple[list[Step], ...]
    requests: tuple[Asked, ...]


def escaped(address: str) -> str:
    """An address or form with what can't stand in it percent-encoded."""
    return quote(address, safe="/?&=:,.$;@!'()*+~-_%|")


def text(chance: random.Random, mark: str = "") -> str:
    """A text; `mark` stands first."""
    return f"{mark}{chance.choice(WORDS)}{chance.randint(0, 10 ** chance.randint(1, 12))}"


def some(chance: random.Random, **made: Callable[[], Any]) -> Json:
    """Some of these elements."""
    return {name: make() for name, make in made.items() if chance.random() < 0.7}


def narrative(chance: random.Random) -> Json:
    """A narrative that no other has."""
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{chance.randint(0, 10**9)}</div>'}


def two(chance: Chance, shared: Json, hidden: Callable[[random.Random], Json]) -> tuple[Json, Json]:
    """A resource that both worlds show, each with what it hides in its own form."""
    here, there = ({**shared, **hidden(own)} for own in chance.hidden)
    return here, there


def either(chance: Chance, make: Callable[[random.Random], Json]) -> tuple[Json | None, Json | None]:
    """A resource that is hidden: in one world, in the other, or another in each."""
    which = chance.shared.randint(0, 3)
    here, there = (make(own) for own in chance.hidden)
    return (here if which != 0 else None), (there if which != 1 else None)


def ref(target: str, **more: str) -> Json:
    """A reference."""
    return {"reference": target, **more}


def unreadable(own: random.Random, target: str) -> Json:
    """A reference whose target the caller may not read, and so not what is said of it, if anything is."""
    return telling(own, target) if own.random() < 0.5 else ref(target)


def telling(own: random.Random, target: str) -> Json:
    """A reference that says something of its target."""
    return ref(target, display=text(own))


def delete(chance: Chance, name: str, kind: str, here: Json | None, there: Json | None) -> None:
    """Delete in one world what is there, or in both."""
    which = chance.shared.randint(0, 2)
    gone = (GONE if here is not None and which != 1 else None), (GONE if there is not None and which != 0 else None)
    if gone != (None, None):
        chance.rounds[2].append(Step(f"{kind}/{name}", *gone))
