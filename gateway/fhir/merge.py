"""What a message tells of a resource, laid over what stands.

Several senders tell of one Patient, so a draft never overwrites what its message doesn't speak of. The unit is the
element, as a message's unit is the field: an element that the draft has replaces the standing one, an element that it
lacks leaves it, an element named in `clears` removes it. Lists of identifiers, names, contact points, addresses and
extensions are merged entry by entry; every other list is one element.
Source: the gateway's design (conversion, update)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gateway.fhir.elements import Elements, means
from gateway.fhir.jsonformat import JsonError, Resource, canonical, dump, load
from gateway.fhir.marks import DEFAULT, Marks, instant, merged_meta, told_at, united, without_history

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
        kept = [_cleared_entry(entry, part, rest, again if isinstance(again, list) else []) for entry in entries]
        kept = [entry for entry in kept if entry not in (None, {})]
        if kept:
            result[name] = kept if isinstance(child, list) else kept[0]
        else:
            gone.add("_" + name)
    return {name: child for name, child in result.items() if name not in gone}


def _cleared_entry(entry: Any, part: _Part, rest: Sequence[_Part], told: Sequence[Any]) -> Any:
    if not isinstance(entry, dict):
        return entry if part.member is not None else None
    if part.member is not None and entry.get(part.member) != part.value:
        return entry
    # An entry that the same message tells stays, or a second look at the message would take it out and put it last.
    own = max((t for t in told if isinstance(t, dict) and t.items() <= entry.items()), key=len, default=None)
    if rest:
        return {**_cleared(entry, rest, {}), **(own or {})}
    return entry if own is not None else None


class _Rule(Protocol):
    """How entries of one datatype meet in a list."""

    def same(self, standing: Resource, told: Resource) -> bool:
        """Whether both are the same entry: the told one is laid over the standing one."""

    def superseded(self, standing: Resource, told: Resource) -> bool:
        """Whether the told entry takes the place of the standing one."""


class _ByUse:
    """Names and addresses: one that is not old takes the place of all of its use."""

    def same(self, standing: Resource, told: Resource) -> bool:
        return standing == told

    def superseded(self, standing: Resource, told: Resource) -> bool:
        return standing.get("use") == told.get("use") != "old"


class _ByUrl:
    """Extensions: one takes the place of all of its URL."""

    def same(self, standing: Resource, told: Resource) -> bool:
        return standing == told

    def superseded(self, standing: Resource, told: Resource) -> bool:
        return bool(standing.get("url") == told.get("url"))


class _ByValue:
    """Contact points: the same system and value are the same; another value stands beside."""

    def same(self, standing: Resource, told: Resource) -> bool:
        return (standing.get("system"), standing.get("value")) == (told.get("system"), told.get("value"))

    def superseded(self, standing: Resource, told: Resource) -> bool:  # noqa: ARG002  the rule's interface
        return False


class _BySystem:
    """Identifiers: another value of the same system, and type where both have one, takes the place."""

    def same(self, standing: Resource, told: Resource) -> bool:
        both = (standing, told)
        return len({entry.get("system") for entry in both}) == 1 == len({entry.get("value") for entry in both})

    def superseded(self, standing: Resource, told: Resource) -> bool:
        types = _type_codes(standing), _type_codes(told)
        return (
            standing.get("system") is not None
            and standing.get("system") == told.get("system")
            and standing.get("value") != told.get("value")
            and "old" not in {standing.get("use"), told.get("use")}
            and (not types[0] or not types[1] or bool(types[0] & types[1]))
        )


_LISTS: Mapping[str, _Rule] = {
    "Address": _ByUse(),
    "ContactPoint": _ByValue(),
    "Extension": _ByUrl(),
    "HumanName": _ByUse(),
    "Identifier": _BySystem(),
}


def _type_codes(identifier: Resource) -> set[tuple[Any, Any]]:
    return {(c.get("system"), c.get("code")) for c in identifier.get("type", {}).get("coding", ())}


def _merged_list(standing: Sequence[Resource], told: Sequence[Resource], rule: _Rule) -> list[Resource]:
    """Entries of both: standing ones in their places, new ones where those stood whose place they take, or last."""
    told = united(told, ())
    pairs: dict[int, Resource] = {}
    waiting: list[Resource] = []
    for entry in told:
        candidates = [i for i, s in enumerate(standing) if i not in pairs and rule.same(s, entry)]
        if candidates:
            # of several the most alike, so that laying the same over it again changes nothing
            best = max(candidates, key=[_alike(s, entry) for s in standing].__getitem__)
            pairs[best] = entry
        else:
            waiting.append(entry)
    result: list[Resource] = []
    for i, entry in enumerate(standing):
        if i in pairs:
            result.append({**entry, **pairs[i]})
        elif any(rule.superseded(entry, new) for new in told):
            result.extend(new for new in waiting if rule.superseded(entry, new))
            waiting = [new for new in waiting if not rule.superseded(entry, new)]
        else:
            result.append(entry)
    return [*result, *waiting]


def _alike(standing: Resource, told: Resource) -> int:
    """How many parts of the told entry the standing one has already."""
    return sum(standing.get(name) == value for name, value in told.items())
