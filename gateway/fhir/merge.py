"""What a message tells of a resource, laid over what stands.

Several senders tell of one Patient, so a draft never overwrites what its message doesn't speak of. The unit is the
element, as a message's unit is the field: an element that the draft has replaces the standing one, an element that it
lacks leaves it, an element named in `clears` removes it. Lists of identifiers, names, contact points, addresses and
extensions are merged entry by entry; every other list is one element. Types and lists are those of `specs/fhir/`.
Source: the gateway's design (conversion, update)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType

from gateway.fhir.clears import Part, cleared, parts_of
from gateway.fhir.elements import Elements
from gateway.fhir.jsonformat import JsonError, Resource, canonical, dump, load
from gateway.fhir.marks import Marks, instant, merged_meta, same_meta, told_at, united
from gateway.fhir.merge_lists import ListRule, merged_list

_APART = frozenset({"resourceType", "id", "meta", "text"})
_MAY_BE_EMPTY = frozenset({NoneType, list, dict, str})
_CLEARS = 4096
"""So many paths are kept read; maps have some hundred."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What one message tells of one resource.

    Shape: `resource` has resourceType and id; `clears` are the elements that the message sent as `""`:
    `Patient.birthDate`, `Patient.deceased[x]`, a part of an element (`Patient.maritalStatus.text`, in lists of every
    entry), or the entries of a list that have a value (`Patient.telecom[use=home]`); `only_new` says that a resource
    which stands already is to be left as it is.
    """

    resource: Resource
    clears: tuple[str, ...] = ()
    only_new: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """What to write.

    Shape: `resource` is None where nothing changes; `stale` says that this is so because a later message wrote the
    standing version. It shares parts with the draft and the standing version: it is not to be changed in place.
    """

    resource: Resource | None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class _Shape:
    """What merging asks of a type that several senders tell of.

    Shape: `lists` are the rules of its lists by member; `displaced` the other members that go where one is told:
    a choice has one value, so deceasedBoolean takes deceasedDateTime with it, and a value the standing `_` of its own.
    """

    lists: Mapping[str, ListRule]
    displaced: Mapping[str, tuple[str, ...]]


class Merging:
    """Lays drafts over what stands. What it asks of the tables is asked once."""

    def __init__(self, elements: Elements) -> None:
        """Take the tables; nothing of them is read until asked for."""
        self.marks = Marks(elements.tables.systems.marks)
        self._elements = elements
        self._shared = elements.tables.merging.shared
        self._rules = {name: ListRule(policy) for name, policy in elements.tables.merging.lists.items()}
        self._shapes: dict[str, _Shape] = {}
        self._clears: dict[tuple[str, str], list[Part]] = {}

    def merges(self, resource_type: str) -> bool:
        """Whether resources of a type are merged; others are replaced whole."""
        return resource_type in self._shared

    def merge(self, standing: Resource | None, draft: Draft, *, told: str) -> Merged:
        """The standing version with what the draft tells laid over it; nothing where that is what stands already.

        Shape: `told` is the moment that the message tells of, ISO 8601. A resource of a type that isn't shared is
        replaced whole; its contributors' tags stay. A narrative of the standing version goes once anything else
        changes.
        Errors: ValueError for a `told` or a path of `clears` that can't be read, or a standing resource of another
        type.
        """
        moment = instant(told)
        new = {name: value for name, value in draft.resource.items() if value or value.__class__ not in _MAY_BE_EMPTY}
        resource_type = new["resourceType"]
        clears = [self._parts(resource_type, path) for path in draft.clears]
        shape = self._shape(resource_type) if self.merges(resource_type) else None
        if standing is None:
            return Merged(self._first(new, shape, told))
        if standing["resourceType"] != resource_type:
            raise ValueError(f"a {resource_type} can't be laid over a {standing['resourceType']}")
        before = standing.get("meta", {})
        merged = new if shape is None else _laid_over(standing, new, clears, shape)
        merged["meta"] = merged_meta(before, new.get("meta", {}), told, self.marks)
        if _same(merged, standing) and same_meta(merged["meta"], before, self.marks):
            return Merged(None)
        last = told_at(standing, self.marks)
        if last is not None and moment < instant(last):
            return Merged(None, stale=True)
        return Merged(merged)

    def _first(self, new: Resource, shape: _Shape | None, told: str) -> Resource:
        """What is written where nothing stands."""
        for name in shape.lists if shape is not None else ():
            value = new.get(name)
            if isinstance(value, list) and len(value) > 1:
                new[name] = united(value, ())
        new["meta"] = merged_meta({}, new.get("meta", {}), told, self.marks)
        return new

    def _shape(self, resource_type: str) -> _Shape:
        found = self._shapes.get(resource_type)
        if found is None:
            found = self._shapes[resource_type] = _shape_of(resource_type, self._elements, self._rules)
        return found

    def _parts(self, resource_type: str, path: str) -> list[Part]:
        found = self._clears.get((resource_type, path))
        if found is None:
            found = parts_of(resource_type, path, self._elements)
            if len(self._clears) < _CLEARS:
                self._clears[resource_type, path] = found
        return found


def drafts_to_json(drafts: Sequence[Draft], *, told: str) -> bytes:
    """Drafts of one message, for the queue."""
    rows = [
        {"resource": draft.resource, "clears": list(draft.clears), **({"onlyNew": True} if draft.only_new else {})}
        for draft in drafts
    ]
    return dump({"resourceType": "Drafts", "told": told, "drafts": rows})


def drafts_from_json(raw: bytes) -> tuple[tuple[Draft, ...], str]:
    """Drafts from the queue, and the moment that their message tells of.

    Errors: JsonError for anything but what `drafts_to_json` writes.
    """
    value = load(raw)
    if value["resourceType"] != "Drafts":
        raise JsonError("resourceType", "these are no drafts")
    drafts = (Draft(row["resource"], tuple(row["clears"]), row.get("onlyNew", False)) for row in value["drafts"])
    return tuple(drafts), value["told"]


def _shape_of(resource_type: str, elements: Elements, rules: Mapping[str, ListRule]) -> _Shape:
    members = elements.members(resource_type)
    choices: dict[str, list[str]] = {}
    for name, member in members.items():
        choices.setdefault(member.definition.path, []).append(name)
    displaced: dict[str, tuple[str, ...]] = {}
    for name, member in members.items():
        all_of_it = [form for other in choices[member.definition.path] for form in (other, f"_{other}")]
        for told in (name, f"_{name}"):
            displaced[told] = tuple(form for form in all_of_it if form != told)
    lists = {
        name: rules[key]
        for name, member in members.items()
        for key in (member.type.code, member.definition.path)
        if key in rules
    }
    return _Shape(lists, displaced)


def _same(one: Resource, other: Resource) -> bool:
    """Whether two versions are the same but for `meta`."""
    if len(one) - ("meta" in one) != len(other) - ("meta" in other):
        return False
    for name, value in one.items():
        before = other.get(name)
        if name == "meta" or (value is before and name in other):
            continue
        if value != before or name not in other:
            return False
        # 72.5 and 72.50 are equal in Python, and so are 1 and true; the bytes tell them apart, at a price
        if value.__class__ is not str and canonical({name: value}) != canonical({name: before}):
            return False
    return True


def _laid_over(standing: Resource, new: Resource, clears: Sequence[Sequence[Part]], shape: _Shape) -> Resource:
    before = {name: value for name, value in standing.items() if name not in {"text", "meta"}}
    result = before
    for parts in clears:
        result = cleared(result, parts, new)
    laid = dict(result)
    for name, value in new.items():
        if name in _APART:
            continue
        for other in shape.displaced.get(name) or _forms(name):
            if other not in new:
                laid.pop(other, None)
        rule = shape.lists.get(name)
        there = result.get(name) if rule is not None else None
        if rule is not None and isinstance(value, list) and (there is None or isinstance(there, list)):
            laid[name] = merged_list(there or (), value, rule)
        else:
            laid[name] = value
    if "text" in new:
        laid["text"] = new["text"]
    elif "text" in standing and _same(laid, before):
        laid["text"] = standing["text"]
    return laid


def _forms(name: str) -> tuple[str, ...]:
    """The other form of a member that no table has: its value, or what extends that."""
    return (name.removeprefix("_"),) if name.startswith("_") else (f"_{name}",)
