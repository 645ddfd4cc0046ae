"""The syntax tree of maps: frozen nodes that carry their span.

The parser makes it; the checker gives the same tree back with every condition resolved, every target placed (`Place`)
and every map that is used found. The compiler takes the checked tree alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.language.nodes import Test, Text, Word
from gateway.source import Span


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a target path.

    Shape: `item` says which item of a list is meant: a number, an extension's URL, or None for the first; `new` makes
    one for each value.
    """

    name: str
    item: str | None
    new: bool


@dataclass(frozen=True, slots=True)
class Target:
    """An element path, from the thing that is being made."""

    steps: tuple[Step, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a template that a path fills."""

    word: Word


@dataclass(frozen=True, slots=True)
class Template:
    """A text with holes: absent where it has holes and none of them is filled. Shape: texts and holes in order."""

    parts: tuple[str | Hole, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Every:
    """A reference to every resource that the message makes."""

    span: Span


@dataclass(frozen=True, slots=True)
class Later:
    """A moment with a length of time added. Shape: `unit` is a path or a text, read by the code map of units."""

    start: Word
    length: Word
    unit: Word | Template
    span: Span


@dataclass(frozen=True, slots=True)
class Counted:
    """A length of time counted in another unit. Shape: `unit` and `wanted` are read by the code map of units."""

    length: Word
    unit: Word | Template
    wanted: Text
    span: Span


Value = Word | Template | Every | Later | Counted


@dataclass(frozen=True, slots=True)
class Assign:
    """An element that is given a value, where the condition holds.

    Shape: with `without` only where that element was made of nothing before.
    """

    target: Target
    value: Value
    coded: Word | None
    test: Test | None
    span: Span
    without: Target | None = None


@dataclass(frozen=True, slots=True)
class Using:
    """Which map turns a source into its target. Shape: `target` is a FHIR type, resource or backbone element."""

    datatype: Word
    target: Word
    variant: Word | None
    span: Span


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: what of the message becomes what element.

    Shape: `joined` says that all repetitions make one text. In messages, `refers` is the resource that the row refers
    to instead of making something; `numbered` says that segments of one identity make a resource each, and
    `by_receipt` that a segment without an identity makes one all the same; `only_new` leaves what stands already;
    `after` is what the segment stands behind, `apart` the resource that it must not be. With `without` a row does its
    work only where that element was made of nothing before.
    """

    source: Word
    target: Target
    using: Using | None
    coded: Word | None
    test: Test | None
    presets: tuple[Assign, ...]
    defaults: tuple[Assign, ...]
    span: Span
    joined: bool = False
    refers: Word | None = None
    numbered: bool = False
    by_receipt: bool = False
    only_new: bool = False
    after: Word | None = None
    apart: Word | None = None
    without: Target | None = None


@dataclass(frozen=True, slots=True)
class Set:
    """An element that is given a value by the map itself. The first row that fills an element wins."""

    assign: Assign
    span: Span


@dataclass(frozen=True, slots=True)
class Identity:
    """What a resource's id is made of.

    Shape: `form` is `nhs-number`, `ods-code` or None; `authorities` are tried in order; `test` picks repetitions.
    """

    value: Value
    authorities: tuple[Value, ...]
    form: Word | None
    test: Test | None
    span: Span


@dataclass(frozen=True, slots=True)
class Display:
    """What a reference shows where the resource has no identity; the first that has a value counts."""

    template: Template
    span: Span


@dataclass(frozen=True, slots=True)
class Ignore:
    """Fields or components that are left out, and why."""

    names: tuple[Word, ...]
    because: Text
    span: Span


@dataclass(frozen=True, slots=True)
class Remove:
    """Elements that an overlay takes out of what it is laid over, with all that fills them; and why."""

    targets: tuple[Target, ...]
    because: Text
    span: Span


@dataclass(frozen=True, slots=True)
class Requires:
    """Resources without which a message can't be converted.

    Shape: with `sources`, a message that has any of these segments.
    """

    names: tuple[Word, ...]
    span: Span
    sources: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Segments that belong together: each of the rows after it is about one instance of the group.

    Shape: `path` has the enclosing group's before its last part; an instance begins at one of `starts`.
    """

    path: Word
    starts: tuple[Word, ...]
    rows: tuple[Row, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Map:
    """A table for a data type or a segment.

    Shape: `of` is the data type or segment, `target` a FHIR type, resource or backbone element; `reads` are the data
    types that are read as this one.
    """

    kind: Literal["datatype", "segment"]
    of: Word
    target: Word
    variant: Word | None
    source: Text | None
    reads: tuple[Word, ...]
    identities: tuple[Identity, ...]
    displays: tuple[Display, ...]
    rows: tuple[Row | Set, ...]
    ignores: tuple[Ignore, ...]
    span: Span
    removes: tuple[Remove, ...] = ()

    @property
    def key(self) -> Key:
        """What it is found by."""
        return (self.of.text, self.target.text, self.variant.text if self.variant else None)

    @property
    def title(self) -> str:
        """What it is called in messages: `XPN to HumanName`."""
        return f"{self.of.text} to {self.target.text}" + (f" as {self.variant.text}" if self.variant else "")


@dataclass(frozen=True, slots=True)
class MessageMap:
    """Which segments of a message structure make which resources.

    Shape: `rows` are those outside of groups, `last` those of them that are done when all groups are.
    """

    structure: Word
    triggers: tuple[Word, ...]
    source: Text | None
    requires: tuple[Requires, ...]
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    ignores: tuple[Ignore, ...]
    span: Span
    removes: tuple[Remove, ...] = ()
    last: tuple[Row, ...] = ()

    def every_row(self) -> Iterator[Row]:
        """The rows outside of groups, then those of each group, then the last."""
        yield from self.rows
        for group in self.groups:
            yield from group.rows
        yield from self.last


@dataclass(frozen=True, slots=True)
class MessagesWith:
    """Rows that an overlay adds to the map of every message that has a row about a segment."""

    segment: Word
    source: Text | None
    rows: tuple[Row, ...]
    ignores: tuple[Ignore, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Overlay:
    """Who an overlay is. Shape: `zone` is that of times without an offset, None for the base's."""

    name: Word
    title: Text
    source: Text | None
    zone: Text | None
    span: Span


Key = tuple[str, str, str | None]
Statement = Map | MessageMap | MessagesWith | Overlay
