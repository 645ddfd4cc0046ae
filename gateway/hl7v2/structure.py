"""Message structures: trees of groups and segments, and the notation that they are kept in.

Notation: HL7's own abstract message syntax, one row a group. `PID` stands once, `[PD1]` may stand, `{OBX}` stands once
or more, `[{NTE}]` any number of times; `PATIENT()` is a group with a row of its own, `*` any segment.
Source: HL7 v2.5.1, chapter 2.12 (abstract message syntax).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

ANY_SEGMENT = "*"

_MEMBER = re.compile(r"(\[?)(\{?)([A-Z][A-Z0-9_]*|\*)(\(\))?(\}?)(\]?)")


@dataclass(frozen=True, slots=True)
class SegmentUse:
    """A segment in its place in a structure; `max` None means any number, `name` `*` any segment."""

    name: str
    min: int
    max: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """A group in its place in a structure, or the structure itself.

    Shape: `name` without the structure's (`PATIENT_RESULT`), for the structure itself its own (`ORU_R01`); `choice`
    means that one of the members stands; `max` None means any number.
    """

    name: str
    min: int
    max: int | None
    members: tuple[SegmentUse | Group, ...]
    choice: bool = False

    def groups(self) -> Iterator[Group]:
        """This group and every one below it, in order."""
        yield self
        for member in self.members:
            if isinstance(member, Group):
                yield from member.groups()

    def segments(self) -> frozenset[str]:
        """Names of the segments in this group and below it."""
        return frozenset(m.name for group in self.groups() for m in group.members if isinstance(m, SegmentUse))


def write_member(member: SegmentUse | Group) -> str:
    """A member as the notation writes it."""
    text = f"{member.name}()" if isinstance(member, Group) else member.name
    if member.max is None:
        text = f"{{{text}}}"
    return f"[{text}]" if member.min == 0 else text


def parse(name: str, rows: Mapping[str, tuple[bool, Sequence[str]]]) -> Group:
    """The structure of the rows.

    Shape: `rows` by group name, the structure itself under the empty name: whether it is a choice, and its members.
    Errors: ValueError for a member that isn't notation or a group without a row.
    """
    return _group(name, "", (1, 1), rows, ())


def _group(
    shown: str,
    name: str,
    occurs: tuple[int, int | None],
    rows: Mapping[str, tuple[bool, Sequence[str]]],
    above: tuple[str, ...],
) -> Group:
    if name not in rows or name in above:
        raise ValueError(f"group `{name}` {'holds itself' if name in above else 'has no row'}")
    choice, texts = rows[name]
    members = tuple(_member(text, rows, (*above, name)) for text in texts)
    return Group(shown, *occurs, members, choice)


def _member(text: str, rows: Mapping[str, tuple[bool, Sequence[str]]], above: tuple[str, ...]) -> SegmentUse | Group:
    found = _MEMBER.fullmatch(text)
    if found is None or bool(found[1]) != bool(found[6]) or bool(found[2]) != bool(found[5]):
        raise ValueError(f"`{text}` is no member: write it as `PID`, `[PD1]`, `{{OBX}}`, `[{{NTE}}]` or `GROUP()`")
    occurs = (0 if found[1] else 1, None if found[2] else 1)
    return _group(found[3], found[3], occurs, rows, above) if found[4] else SegmentUse(found[3], *occurs)
