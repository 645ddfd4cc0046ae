"""A set of profiles, such as UK Core: the tables of `specs/fhir/NAME/` (the README.md there tells the notation)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.specs.codes import read_codings
from gateway.specs.rows import ROOT, Origin, Row, SpecsError, by_name, table

_STRENGTHS = frozenset({"", "required", "extensible", "preferred"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a profile asks of one element.

    Shape: `path` below the resource, slices by name (`identifier:nhsNumber.system`; empty: the resource itself); `min`
    and `max` None where the base stands; `types` as `elements.txt` has them, with an extension's URL; `told_by` pairs
    of path and value that an entry of a slice has.
    Source: https://hl7.org/fhir/R4/profiling.html
    """

    path: str
    min: int | None
    max: int | None
    types: str
    binding: str
    value_set: str
    fixed: str
    told_by: tuple[tuple[str, str], ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Asks:
    """An invariant of a profile; `path` as in `Asked`."""

    key: str
    path: str
    severity: str
    fhirpath: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile of a resource type, with all that the profiles below it ask."""

    name: str
    type: str
    asked: tuple[Asked, ...]
    invariants: tuple[Asks, ...]


@dataclass(frozen=True, slots=True)
class ExtensionDefinition:
    """Where an extension may stand and what it holds.

    Shape: `contexts` are types and paths; `types` those of its value, empty where it has `parts`, the URLs of its own
    extensions; `value_sets` those that its codes are bound to.
    Source: https://hl7.org/fhir/R4/defining-extensions.html#context
    """

    url: str
    contexts: tuple[str, ...]
    types: tuple[str, ...]
    value_sets: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ProfileSet:
    """Profiles by name, extensions by URL, codes by value set: (system, code), where code `*` is any of the system."""

    name: str
    profiles: Mapping[str, Profile]
    extensions: Mapping[str, ExtensionDefinition]
    codings: Mapping[str, frozenset[tuple[str, str]]]


@functools.cache
def profiles(name: str, root: Path = ROOT) -> ProfileSet:
    """The set of profiles in `root/fhir/NAME`, loaded once.

    Errors: SpecsError.
    """
    folder = root / "fhir" / name
    asked: dict[str, list[Asked]] = {}
    for row in table(folder / "elements.csv"):
        asked.setdefault(row.values["profile"], []).append(_asked(row))
    invariants: dict[str, list[Asks]] = {}
    for row in table(folder / "invariants.csv"):
        cell = row.values
        one = Asks(cell["key"], _below(cell["element"]), cell["severity"], cell["fhirpath"])
        invariants.setdefault(cell["profile"], []).append(one)
    known = by_name(folder / "profiles.csv", "profile")
    for stranger in (*asked, *invariants):
        if stranger not in known:
            raise SpecsError(Origin(f"specs/fhir/{name}/profiles.csv", 1), f"`{stranger}` is missing: add its line")
    made: dict[str, Profile] = {}
    for profile, row in known.items():
        base = row.values["base"]
        if base and base not in known:
            raise SpecsError(row.origin, f"`{base}` is no profile: name one of this table")
        line = (base, profile) if base else (profile,)
        made[profile] = Profile(
            profile,
            row.values["type"],
            tuple(one for each in line for one in asked.get(each, ())),
            tuple(one for each in line for one in invariants.get(each, ())),
        )
    return ProfileSet(name, made, _extensions(folder), read_codings(folder / "codes.txt"))


def profile_sets(root: Path = ROOT) -> tuple[str, ...]:
    """Names of the sets of profiles that there are."""
    return tuple(sorted(one.parent.name for one in (root / "fhir").glob("*/profiles.csv")))


def _extensions(folder: Path) -> dict[str, ExtensionDefinition]:
    found = {}
    for url, row in by_name(folder / "extensions.csv", "url").items():
        cell = row.values
        found[url] = ExtensionDefinition(
            url,
            tuple(cell["contexts"].split()),
            tuple(cell["value_types"].split()),
            tuple(cell["value_sets"].split()),
            tuple(cell["parts"].split()),
        )
    return found


def _asked(row: Row) -> Asked:
    cell = row.values
    if cell["binding"] not in _STRENGTHS:
        raise SpecsError(row.origin, f"`{cell['binding']}` is no strength: write required, extensible or preferred")
    told_by = tuple(one.partition("=") for one in cell["told_by"].split("; ") if one)
    return Asked(
        _below(cell["element"]),
        _number(row, "min"),
        _number(row, "max"),
        cell["types"],
        cell["binding"],
        cell["value_set"],
        cell["fixed"],
        tuple((path, value) for path, _, value in told_by),
        row.origin,
    )


def _number(row: Row, column: str) -> int | None:
    text = row.values[column]
    if text and not text.isdigit():
        raise SpecsError(row.origin, f"`{text}` is no number: write {column} as one, or leave it out")
    return int(text) if text else None


def _below(element: str) -> str:
    return element.partition(".")[2]
