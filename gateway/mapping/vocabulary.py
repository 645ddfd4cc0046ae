"""What maps are checked against: the HL7 dictionaries, the R4 element table, and how they are asked here.

A map speaks of every version at once: a field that a version lacks is absent in its messages. So a path is known where
some version knows it, and a condition is typed by the first version that has all of its paths: the accepted ones first,
newest foremost, then those that are no longer, or not yet, accepted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.fhir.elements import Elements
from gateway.hl7v2.dictionary import Dictionary
from gateway.specs import FhirTables

ANY = "varies"
"""The data type of a field whose own another field tells, and so are its components: OBX-5."""

SOURCE = re.compile(r"([A-Z][A-Z0-9]{1,2})(?:-([1-9]\d{0,2}))?(?:\.([1-9]\d?))?(?:\.([1-9]\d?))?")


class Vocabulary(Protocol):
    """What `load` is given; the rules' vocabulary has all of it."""

    @property
    def dictionaries(self) -> Mapping[str, Dictionary]:
        """The accepted versions."""

    @property
    def elements(self) -> Elements:
        """R4's elements."""

    @property
    def tables(self) -> FhirTables:
        """R4's tables."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path into a message.

    Shape: `of` is the segment or data type; `field` of a segment, None for the whole; `steps` component and
    sub-component, as far as they are named.
    """

    of: str
    field: int | None
    steps: tuple[int, ...]


def path_of(text: str) -> Path | None:
    """The path that a word names: `PID`, `PID-3`, `PID-3.4.1`, `CX`, `CX.4`; None where it has not that form."""
    match = SOURCE.fullmatch(text)
    if match is None:
        return None
    number = int(match[2]) if match[2] else None
    return Path(match[1], number, tuple(int(step) for step in match.groups()[2:] if step))


@dataclass(frozen=True, slots=True, eq=False)
class Versions:
    """The dictionaries, in the order in which they are asked.

    Shape: `load` gives one that was not accepted; `newer` one with the fields that none of them has, and
    `younger` the segments that none of them has in a message, by its structure.
    """

    accepted: Mapping[str, Dictionary]
    others: tuple[str, ...]
    load: Callable[[str], Dictionary]
    newer: Callable[[], Dictionary] | None = None
    younger: Callable[[], Mapping[str, frozenset[str]]] = dict

    def __iter__(self) -> Iterator[Dictionary]:
        """Every dictionary, the newest accepted first, and last the one of younger fields."""
        yield from (self.accepted[v] for v in _newest_first(tuple(self.accepted)))
        yield from (self.load(v) for v in _newest_first(self.others))
        if self.newer is not None:
            yield self.newer()

    def has_segment(self, name: str) -> bool:
        """Whether any version has a segment."""
        return any(name in d.segments for d in self)

    def has_datatype(self, name: str) -> bool:
        """Whether any version has a data type."""
        return any(name in d.datatypes for d in self)

    def knows(self, path: Path) -> bool:
        """Whether any version has a path."""
        return any(datatype(path, d) is not None for d in self)

    def datatypes(self, path: Path) -> Mapping[str, str]:
        """Data types that the accepted versions give a path, by version; if they have none, the newest that has one."""
        found = {v: t for v, d in self.accepted.items() if (t := datatype(path, d)) is not None}
        if found:
            return found
        return next(({d.version: t} for d in self if (t := datatype(path, d)) is not None), {})


@functools.lru_cache(maxsize=64)
def _newest_first(versions: tuple[str, ...]) -> tuple[str, ...]:
    """Versions in the order in which they are asked: thousands of paths ask."""
    return tuple(sorted(versions, key=order, reverse=True))


def order(version: str) -> tuple[int, ...]:
    """What versions are sorted by."""
    return tuple(int(part) for part in version.split("."))


@functools.cache
def datatype(path: Path, dictionary: Dictionary) -> str | None:
    """Data type of a path in one version; None where that has no such path, or has withdrawn it."""
    if path.field is not None:
        definition = dictionary.field(path.of, path.field)
        found = None if definition is None else definition.datatype
    else:
        found = path.of if path.of in dictionary.datatypes else None
    for step in path.steps:
        if found is None:
            return None
        if found == ANY:
            break
        below = dictionary.datatypes.get(found)
        components = {} if below is None else below.components
        if components:
            found = components[step].datatype if step in components else None
        elif step != 1:
            return None
    return None if found in {"WD", ""} else found
