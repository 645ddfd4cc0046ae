"""Lists merged entry by entry: identifiers, names, contact points, addresses, extensions.

How entries of a datatype meet is told by `specs/fhir/merge-lists.csv`. Lists may be long: entries are found by keys.
Source: the gateway's design (conversion, update)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from gateway.fhir.jsonformat import Resource
from gateway.fhir.marks import frozen, united
from gateway.specs import ListMerge

_EACH, _TYPED = "any kind or none", "any kind"


class ListRule:
    """How entries of one datatype meet in a list.

    A told entry is laid over the standing one that has the same `key`. It takes the place of a standing one where one
    of the places that it `takes` is one that the standing one `holds`, unless both are the same within that place.
    """

    def __init__(self, policy: ListMerge) -> None:
        """Take what the table says."""
        self._same = policy.same
        self._place = policy.place
        self._kind = policy.kind
        self._apart = policy.apart
        self._within = tuple(name for name in policy.same if name != policy.place)

    def key(self, entry: Resource) -> Hashable:
        """The same for entries that are one."""
        return _values(entry, self._same) if self._same else frozen(entry)

    def within(self, entry: Resource) -> Hashable:
        """The same for entries that are one within their place; None where the place is all that counts."""
        return _values(entry, self._within) if self._within else None

    def takes(self, told: Resource) -> Iterable[Hashable]:
        """Places that a told entry takes: of its kinds, and those of no kind; without a kind, all."""
        return self._places(told, (_EACH, _TYPED), (_EACH,))

    def holds(self, standing: Resource) -> Iterable[Hashable]:
        """Places that a standing entry has, of which a told one may take each."""
        return self._places(standing, (_EACH,), (_TYPED,))

    def _places(self, entry: Resource, untyped: tuple[str, ...], typed: tuple[str, ...]) -> Iterable[Hashable]:
        if self._place is None:
            return ()
        for name, value in self._apart:
            if entry.get(name) == (value or None):
                return ()
        place = frozen(entry.get(self._place))
        if self._kind is None:
            return (place,)
        kinds = _codes(entry, self._kind)
        return [(place, kind) for kind in ((*typed, *kinds) if kinds else untyped)]


def _codes(entry: Resource, name: str) -> list[Hashable]:
    """Codes of a CodeableConcept."""
    codings = entry.get(name, {}).get("coding", ())
    return list(dict.fromkeys(_values(coding, ("system", "code")) for coding in codings))


def merged_list(standing: Sequence[Resource], told: Sequence[Resource], rule: ListRule) -> list[Resource]:
    """Entries of both: standing ones in their places, new ones where those stood whose place they take, or last."""
    told = united(told, ())
    if not standing or told == standing:  # each would be laid over its equal
        return told
    same: dict[Hashable, _Alike] = {}
    for i, entry in enumerate(standing):
        same.setdefault(rule.key(entry), _Alike({})).add(i, entry)
    pairs: dict[int, Resource] = {}
    places = _Places(rule)
    for number, entry in enumerate(told):
        alike = same.get(rule.key(entry))
        found = alike.take(entry) if alike is not None else None
        if found is not None:
            pairs[found] = entry
        places.tell(number, entry, waiting=found is None)
    result: list[Resource] = []
    for i, entry in enumerate(standing):
        if i in pairs:
            result.append({**entry, **pairs[i]})
        elif places.taken(entry):
            result.extend(places.place(entry))
        else:
            result.append(entry)
    return [*result, *places.waiting.values()]


@dataclass(slots=True)
class _Alike:
    """Standing entries of one key, by number; each may be laid over once."""

    entries: dict[int, Resource]
    indexes: dict[tuple[str, ...], dict[Hashable, deque[int]]] = field(default_factory=dict)

    def add(self, number: int, entry: Resource) -> None:
        """One more."""
        self.entries[number] = entry

    def take(self, told: Resource) -> int | None:
        """The one most like the told entry, or the first of several: laying the same over it again changes nothing."""
        if len(self.entries) <= _FEW:
            found = max(self.entries, key=lambda i: _alike(self.entries[i], told), default=None)
        else:
            found = self._most_alike(told)
        if found is not None:
            del self.entries[found]
        return found

    def _most_alike(self, told: Resource) -> int | None:
        """Most alike is what has all of the told members, else all but one: each set of them is looked up."""
        names = sorted(told)
        for size in range(len(names), 0, -1):
            firsts = [self._first(chosen, told) for chosen in combinations(names, size)]
            found = min((first for first in firsts if first is not None), default=None)
            if found is not None:
                return found
        return next(iter(self.entries))

    def _first(self, names: tuple[str, ...], told: Resource) -> int | None:
        index = self.indexes.get(names)
        if index is None:
            index = self.indexes[names] = {}
            for number, entry in self.entries.items():
                index.setdefault(_values(entry, names), deque()).append(number)
        numbers = index.get(_values(told, names), deque())
        while numbers and numbers[0] not in self.entries:
            numbers.popleft()
        return numbers[0] if numbers else None


_FEW = 8
"""So many entries are compared one by one; of more an index is made."""


def _values(entry: Resource, names: Iterable[str]) -> Hashable:
    return tuple(frozen(entry.get(name)) for name in names)


def _alike(standing: Resource, told: Resource) -> int:
    """How many parts of the told entry the standing one has already."""
    return sum(standing.get(name) == value for name, value in told.items())


class _Places:
    """Which places the told entries take, and those of them that wait for theirs, by number."""

    def __init__(self, rule: ListRule) -> None:
        self.rule = rule
        self.waiting: dict[int, Resource] = {}
        self._values: dict[Hashable, set[Hashable]] = {}
        self._numbers: dict[Hashable, list[int]] = {}

    def tell(self, number: int, entry: Resource, *, waiting: bool) -> None:
        """One more told entry."""
        for place in self.rule.takes(entry):
            self._values.setdefault(place, set()).add(self.rule.within(entry))
            if waiting:
                self._numbers.setdefault(place, []).append(number)
        if waiting:
            self.waiting[number] = entry

    def taken(self, standing: Resource) -> bool:
        """Whether any told entry takes the place of a standing one."""
        told = [self._values.get(place, set()) for place in self.rule.holds(standing)]
        own = self.rule.within(standing)
        return any(len(values) > 1 or (values and (own is None or own not in values)) for values in told)

    def place(self, standing: Resource) -> list[Resource]:
        """Those that wait for the place of a standing one, in order. None has its key, or it would be laid over it."""
        numbers = {n for place in self.rule.holds(standing) for n in self._numbers.pop(place, ())}
        return [self.waiting.pop(n) for n in sorted(numbers) if n in self.waiting]
