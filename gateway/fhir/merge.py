"""What a message tells of a resource, laid over what stands.

Several senders tell of one Patient, so a draft never overwrites what its message doesn't speak of. The unit is the
element, as a message's unit is the field: an element that the draft has replaces the standing one, an element that it
lacks leaves it, an element named in `clears` removes it. Lists of identifiers, names, contact points, addresses and
extensions are merged entry by entry; every other list is one element.
Source: the gateway's design (conversion, update)
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple, Protocol

from gateway.fhir.elements import Elements, means
from gateway.fhir.jsonformat import JsonError, Resource, canonical, dump, load
from gateway.fhir.marks import DEFAULT, Marks, frozen, instant, merged_meta, told_at, united, without_history

SHARED = frozenset({"Patient", "Practitioner", "PractitionerRole", "Organization", "Location"})
"""Types that several senders tell of; resources of other types are replaced whole by their own sender."""

_APART = frozenset({"resourceType", "id", "meta", "text"})
_PART = re.compile(r"(?P<name>[A-Za-z]+(?:\[x\])?)(?:\[(?P<member>[A-Za-z]+)=(?P<value>[^\]]*)\])?")


@dataclass(frozen=True, slots=True)
class Draft:
    """What one message tells of one resource.

    Shape: `resource` has resourceType and id; `clears` are the elements that the message sent as `""`:
    `Patient.birthDate`, `Patient.deceased[x]`, a part of an element (`Patient.maritalStatus.text`, in lists of every
    entry), or the entries of a list that have a value (`Patient.telecom[use=home]`).
    """

    resource: Resource
    clears: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Merged:
    """What to write.

    Shape: `resource` is None where nothing changes; `stale` says that this is so because a later message wrote the
    standing version.
    """

    resource: Resource | None
    stale: bool = False


def merge(standing: Resource | None, draft: Draft, *, told: str, elements: Elements, marks: Marks = DEFAULT) -> Merged:
    """The standing version with what the draft tells laid over it; nothing where that is what stands already.

    Shape: `told` is the moment that the message tells of, ISO 8601. A resource of a type that isn't SHARED is replaced
    whole; its contributors' tags stay. A narrative of the standing version goes once anything else changes.
    Errors: ValueError for a `told` or a path of `clears` that can't be read, or a standing resource of another type.
    """
    moment = instant(told)
    new = {name: value for name, value in draft.resource.items() if value not in (None, [], {}, "")}
    before: Resource = standing or {"resourceType": new["resourceType"], "id": new["id"]}
    if before["resourceType"] != new["resourceType"]:
        raise ValueError(f"a {new['resourceType']} can't be laid over a {before['resourceType']}")
    clears = _parts_of(draft, elements)
    merged = _laid_over(before, new, clears, elements) if new["resourceType"] in SHARED else dict(new)
    merged["meta"] = merged_meta(before.get("meta", {}), new.get("meta", {}), told, marks)
    if standing is not None and _same(_content(merged, marks), _content(standing, marks)):
        return Merged(None)
    last = told_at(before, marks)
    if last is not None and moment < instant(last):
        return Merged(None, stale=True)
    return Merged(merged)


def drafts_to_json(drafts: Sequence[Draft], *, told: str) -> bytes:
    """Drafts of one message, for the queue."""
    rows = [{"resource": draft.resource, "clears": list(draft.clears)} for draft in drafts]
    return dump({"resourceType": "Drafts", "told": told, "drafts": rows})


def drafts_from_json(raw: bytes) -> tuple[tuple[Draft, ...], str]:
    """Drafts from the queue, and the moment that their message tells of.

    Errors: JsonError for anything but what `drafts_to_json` writes.
    """
    value = load(raw)
    if value["resourceType"] != "Drafts":
        raise JsonError("resourceType", "these are no drafts")
    return tuple(Draft(row["resource"], tuple(row["clears"])) for row in value["drafts"]), value["told"]


def _content(resource: Resource, marks: Marks) -> Resource:
    return {**resource, "meta": without_history(resource.get("meta", {}), marks)}


def _same(one: Resource, other: Resource) -> bool:
    # 72.5 and 72.50 are equal in Python, and so are 1 and true; the bytes tell them apart, at a price
    return one == other and canonical(one) == canonical(other)


def _laid_over(standing: Resource, new: Resource, clears: Iterable[list[_Part]], elements: Elements) -> Resource:
    members = elements.members(new["resourceType"])
    before = {name: value for name, value in standing.items() if name not in {"text", "meta"}}
    result = before
    for parts in clears:
        result = _cleared(result, parts, new)
    told = [name for name in new if name not in _APART]
    replaced: set[str] = set()
    for name in told:
        plain = name.removeprefix("_")
        replaced.add(plain)
        if plain in members and members[plain].definition.path.endswith("[x]"):
            # a choice has one value: deceasedBoolean replaces deceasedDateTime
            path = members[plain].definition.path
            replaced.update(other for other, member in members.items() if member.definition.path == path)
    kept = {name: value for name, value in result.items() if name.removeprefix("_") not in replaced}
    laid = {name: value for name, value in result.items() if name in kept or name in told}
    for name in told:
        rule = _LISTS.get(members[name].type.code) if name in members else None
        mergeable = rule is not None and isinstance(new[name], list) and isinstance(result.get(name, []), list)
        laid[name] = _merged_list(result.get(name, []), new[name], rule) if rule and mergeable else new[name]
    if "text" in new:
        laid["text"] = new["text"]
    elif "text" in standing and _same(laid, before):
        laid["text"] = standing["text"]
    return laid


class _Part(NamedTuple):
    """One step of a path to be cleared; `member` and `value` choose entries of a list."""

    name: str
    member: str | None
    value: str | None

    def means(self, name: str) -> bool:
        """Whether a JSON member is this element; `deceased[x]` is each of its choices."""
        return means(self.name, name)


def _parts_of(draft: Draft, elements: Elements) -> list[list[_Part]]:
    """The paths of `clears`, read and checked against the element table."""
    found = []
    for path in draft.clears:
        # a dot within brackets belongs to the value
        head, *words = re.split(r"\.(?![^\[]*\])", path)
        matches = [_PART.fullmatch(word) for word in words]
        parts = [_Part(m["name"], m["member"], m["value"]) for m in matches if m is not None]
        plain = ".".join([head, *(part.name for part in parts)])
        right = head == draft.resource["resourceType"] and parts and len(parts) == len(words)
        if not right or elements.resolve(plain) is None:
            raise ValueError(f"`{path}` can't be cleared: it is no element of {draft.resource['resourceType']}")
        found.append(parts)
    return found


def _cleared(value: Resource, parts: Sequence[_Part], told: Resource) -> Resource:
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


def _cleared_entry(entry: Any, part: _Part, rest: Sequence[_Part], told: _Told) -> Any:
    if not isinstance(entry, dict):
        return entry if part.member is not None else None
    if part.member is not None and entry.get(part.member) != part.value:
        return entry
    # An entry that the same message tells stays, or a second look at the message would take it out and put it last.
    own = told.within(entry)
    if rest:
        return {**_cleared(entry, rest, {}), **(own or {})}
    return entry if own is not None else None


class _Rule(Protocol):
    """How entries of one datatype meet in a list, by keys: lists may be long.

    A told entry is laid over the standing one that has the same `key`. It takes the place of a standing one where one
    of the places that it `takes` is one that the standing one `holds`, unless both have the same `unlike`.
    """

    @property
    def unlike(self) -> str | None:
        """A member."""

    def key(self, entry: Resource, /) -> Hashable:
        """The same for entries that are one."""

    def takes(self, told: Resource, /) -> Iterable[Hashable]:
        """Places that a told entry takes."""

    def holds(self, standing: Resource, /) -> Iterable[Hashable]:
        """Places that a standing entry has, of which a told one may take each."""


class _ByUse:
    """Names and addresses: one that is not old takes the place of all of its use.

    One without a use takes the place of those without a use, and stands beside the others: that a sender leaves the use
    out doesn't say that it is the official one.
    """

    unlike = None

    def key(self, entry: Resource) -> Hashable:
        return frozen(entry)

    def takes(self, told: Resource) -> Iterable[Hashable]:
        return () if told.get("use") == "old" else (frozen(told.get("use")),)

    holds = takes


class _ByUrl:
    """Extensions: one takes the place of all of its URL."""

    unlike = None

    def key(self, entry: Resource) -> Hashable:
        return frozen(entry)

    def takes(self, told: Resource) -> Iterable[Hashable]:
        return (frozen(told.get("url")),)

    holds = takes


class _ByValue:
    """Contact points: the same system and value are the same; another value stands beside."""

    unlike = None

    def key(self, entry: Resource) -> Hashable:
        return frozen([entry.get("system"), entry.get("value")])

    def takes(self, told: Resource) -> Iterable[Hashable]:  # noqa: ARG002  the rule's interface
        return ()

    holds = takes


class _BySystem:
    """Identifiers: another value of the same system, and type where both have one, takes the place."""

    unlike = "value"

    def key(self, entry: Resource) -> Hashable:
        return frozen([entry.get("system"), entry.get("value")])

    def takes(self, told: Resource) -> Iterable[Hashable]:
        return self._places(told, ("of any type", "of no type"), ("of any type",))

    def holds(self, standing: Resource) -> Iterable[Hashable]:
        return self._places(standing, ("of any type",), ("of no type",))

    def _places(self, entry: Resource, untyped: tuple[str, ...], typed: tuple[str, ...]) -> Iterable[Hashable]:
        system, types = entry.get("system"), _type_codes(entry)
        if system is None or entry.get("use") == "old":
            return ()
        return [(frozen(system), kind) for kind in ((*typed, *types) if types else untyped)]


_LISTS: Mapping[str, _Rule] = {
    "Address": _ByUse(),
    "ContactPoint": _ByValue(),
    "Extension": _ByUrl(),
    "HumanName": _ByUse(),
    "Identifier": _BySystem(),
}


def _type_codes(identifier: Resource) -> list[Hashable]:
    codings = identifier.get("type", {}).get("coding", ())
    return list(dict.fromkeys(frozen([c.get("system"), c.get("code")]) for c in codings))


def _merged_list(standing: Sequence[Resource], told: Sequence[Resource], rule: _Rule) -> list[Resource]:
    """Entries of both: standing ones in their places, new ones where those stood whose place they take, or last."""
    told = united(told, ())
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

    def __init__(self, rule: _Rule) -> None:
        self.rule = rule
        self.waiting: dict[int, Resource] = {}
        self._values: dict[Hashable, set[Hashable]] = {}
        self._numbers: dict[Hashable, list[int]] = {}

    def tell(self, number: int, entry: Resource, *, waiting: bool) -> None:
        """One more told entry."""
        for place in self.rule.takes(entry):
            self._values.setdefault(place, set()).add(self._value(entry))
            if waiting:
                self._numbers.setdefault(place, []).append(number)
        if waiting:
            self.waiting[number] = entry

    def taken(self, standing: Resource) -> bool:
        """Whether any told entry takes the place of a standing one."""
        told = [self._values.get(place, set()) for place in self.rule.holds(standing)]
        own = self._value(standing)
        return any(len(values) > 1 or (values and (self.rule.unlike is None or own not in values)) for values in told)

    def place(self, standing: Resource) -> list[Resource]:
        """Those that wait for the place of a standing one, in order. None has its key, or it would be laid over it."""
        numbers = {n for place in self.rule.holds(standing) for n in self._numbers.pop(place, ())}
        return [self.waiting.pop(n) for n in sorted(numbers) if n in self.waiting]

    def _value(self, entry: Resource) -> Hashable:
        return None if self.rule.unlike is None else frozen(entry.get(self.rule.unlike))


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
