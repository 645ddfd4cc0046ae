"""Paths of what a message sent as `""`, and a resource without it.

Source: the gateway's design (conversion, update)
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from gateway.fhir.elements import Elements, means
from gateway.fhir.jsonformat import Resource
from gateway.fhir.marks import frozen

_PART = re.compile(r"(?P<name>[A-Za-z]+(?:\[x\])?)(?:\[(?P<member>[A-Za-z]+)=(?P<value>[^\]]*)\])?")
# a dot within brackets belongs to the value
_DOT = re.compile(r"\.(?![^\[]*\])")


class Part(NamedTuple):
    """One step of a path to be cleared; `member` and `value` choose entries of a list."""

    name: str
    member: str | None
    value: str | None

    def means(self, name: str) -> bool:
        """Whether a JSON member is this element; `deceased[x]` is each of its choices."""
        return means(self.name, name)


def parts_of(resource_type: str, path: str, elements: Elements) -> list[Part]:
    """A path of `clears`, read and checked against the element table.

    Errors: ValueError where it is no element of that type.
    """
    head, *words = _DOT.split(path)
    matches = [_PART.fullmatch(word) for word in words]
    parts = [Part(m["name"], m["member"], m["value"]) for m in matches if m is not None]
    plain = ".".join([head, *(part.name for part in parts)])
    right = head == resource_type and parts and len(parts) == len(words)
    if not right or elements.resolve(plain) is None:
        raise ValueError(f"`{path}` can't be cleared: it is no element of {resource_type}")
    return parts


def cleared(value: Resource, parts: Sequence[Part], told: Resource) -> Resource:
    """The value without the element at the path, and without what is empty then; what is told as well stays."""
    part, *rest = parts
    result: Resource = {}
    gone: set[str] = set()
    for name, child in value.items():
        if not part.means(name):
            result[name] = child
            continue
        entries = child if isinstance(child, list) else [child]
        again = told.get(name) if isinstance(child, list) else None
        own = _Told(again if isinstance(again, list) else ())
        kept = [_cleared_entry(entry, part, rest, own) for entry in entries]
        kept = [entry for entry in kept if entry not in (None, {})]
        if kept:
            result[name] = kept if isinstance(child, list) else kept[0]
        else:
            gone.add("_" + name)
    return {name: child for name, child in result.items() if name not in gone}


def _cleared_entry(entry: Any, part: Part, rest: Sequence[Part], told: _Told) -> Any:
    if not isinstance(entry, dict):
        return entry if part.member is not None else None
    if part.member is not None and entry.get(part.member) != part.value:
        return entry
    # An entry that the same message tells stays, or a second look at the message would take it out and put it last.
    own = told.within(entry)
    if rest:
        return {**cleared(entry, rest, {}), **(own or {})}
    return entry if own is not None else None


class _Told:
    """The told entries of a list, to look up the longest that is part of a standing one."""

    def __init__(self, entries: Iterable[Any]) -> None:
        self._shapes: dict[tuple[str, ...], dict[Hashable, tuple[int, Resource]]] = {}
        for number, entry in enumerate(entries):
            if isinstance(entry, dict):
                names = tuple(sorted(entry))
                self._shapes.setdefault(names, {}).setdefault(_values(entry, names), (number, entry))

    def within(self, standing: Resource) -> Resource | None:
        """The longest told entry that the standing one has all of; the first of several."""
        shapes = [names for names in self._shapes if standing.keys() >= set(names)]
        found = [self._shapes[names].get(_values(standing, names)) for names in shapes]
        best = min((f for f in found if f is not None), key=lambda f: (-len(f[1]), f[0]), default=None)
        return best[1] if best is not None else None


def _values(entry: Resource, names: Iterable[str]) -> Hashable:
    return tuple(frozen(entry.get(name)) for name in names)
