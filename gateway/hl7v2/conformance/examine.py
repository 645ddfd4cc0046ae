"""A segment looked at part by part: every departure with its place.

Exact and slower than the patterns, which see to it that only what does not fit comes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.hl7v2.conformance import words
from gateway.hl7v2.conformance.kinds import USER_TABLE, Nonconformity
from gateway.hl7v2.conformance.rules import FieldRule, Leaf, Part, Shape
from gateway.hl7v2.conformance.tables import Table
from gateway.hl7v2.delimiters import NULL, Delimiters, unescape
from gateway.hl7v2.message import Segment
from gateway.hl7v2.place import Place

_SYSTEM = 2
"""Index of the component of a coded value that names its system."""

_At = tuple[str, int, int, "int | None", "int | None", "int | None"]
"""What a `Place` is made of. Most of what is looked at departs in nothing, so its place is not made."""


class Examiner:
    """What parts of one message are looked at for. Shape: `suggested` is whether user-defined tables are asked too."""

    __slots__ = ("_codec", "_delimiters", "_separators", "_suggested", "_version")

    def __init__(self, version: str, delimiters: Delimiters, codec: str, *, suggested: bool) -> None:
        """Look at nothing yet."""
        self._version = version
        self._delimiters = d = delimiters
        self._codec = codec
        self._separators = d.component + d.repetition + d.subcomponent
        self._suggested = suggested

    def unknown(self, segment: Segment, number: int, last: int) -> Iterator[Nonconformity]:
        """A field that the version does not have, where something is sent in it."""
        if segment.raw(number).strip(self._separators):
            yield words.unknown_field(Place(segment.name, segment.number, number), last, self._version)

    def field(self, segment: Segment, field: FieldRule) -> Iterator[Nonconformity]:
        """Departures of one field."""
        if not segment.raw(field.number).strip(self._separators):
            if field.required:
                yield words.missing(Place(segment.name, segment.number, field.number), field.name, self._version)
        elif field.withdrawn:
            yield words.withdrawn(Place(segment.name, segment.number, field.number), field.name, self._version)
        else:
            yield from self.values(segment, field, field.shape)

    def values(self, segment: Segment, field: FieldRule, shape: Shape) -> Iterator[Nonconformity]:
        """Departures of the repetitions of a field, of which each holds what `shape` says."""
        number = field.number
        repetitions = segment.raw(number).split(self._delimiters.repetition)
        while repetitions and not repetitions[-1]:
            repetitions.pop()
        if field.most is not None and len(repetitions) > field.most:
            place = Place(segment.name, segment.number, number, field.most + 1)
            yield words.too_many(place, field.name, len(repetitions), field.most)
        repeats = field.most != 1 or len(repetitions) > 1
        for index, repetition in enumerate(repetitions, 1):
            if repetition and repetition != NULL:
                at = (segment.name, segment.number, number, index if repeats else None, None, None)
                if shape.leaf is not None:
                    yield from self._leaf(at, repetition, shape.leaf)
                elif shape.parts:
                    yield from self._parts(at, repetition, shape)

    def _parts(self, at: _At, raw: str, shape: Shape) -> Iterator[Nonconformity]:
        """Parts of a value; where it stands says whether they are components or sub-components."""
        d = self._delimiters
        inner = d.subcomponent
        pieces = raw.split(d.component if at[4] is None else inner)
        count = len(pieces)
        for part in shape.parts:
            position = part.position
            piece = pieces[position - 1] if position <= count else ""
            # most parts are empty, or any text without a separator would do
            if not part.required if not piece else part.plain and inner not in piece:
                continue
            yield from self._part(_inside(at, position), piece, part)
        last = shape.parts[-1].position
        for position, piece in enumerate(pieces[last:], last + 1):
            if piece.strip(self._separators):
                yield words.unknown_part(Place(*_inside(at, position)), shape.datatype, last, self._version)
        if shape.coded is not None and self._asked(shape.coded):
            yield from self._coded(at, pieces, shape.coded)

    def _part(self, at: _At, piece: str, part: Part) -> Iterable[Nonconformity]:
        """Departures of one part, which is not empty or has to be there."""
        if not piece.strip(self._separators):
            return (words.missing(Place(*at), part.name, self._version),) if part.required else ()
        if part.withdrawn:
            return (words.withdrawn(Place(*at), part.name, self._version),)
        if piece == NULL:
            return ()
        if part.shape.leaf is not None:
            return self._leaf(at, piece, part.shape.leaf)
        return self._parts(at, piece, part.shape) if part.shape.parts else ()

    def _leaf(self, at: _At, raw: str, leaf: Leaf) -> Sequence[Nonconformity]:
        d = self._delimiters
        found: list[Nonconformity] = []
        if d.component in raw:
            raw, _, rest = raw.partition(d.component)
            if rest.strip(self._separators):
                found.append(words.parted(Place(*at), leaf.datatype, "component"))
        if d.subcomponent in raw:
            raw, _, rest = raw.partition(d.subcomponent)
            if rest.strip(self._separators):
                found.append(words.parted(Place(*at), leaf.datatype, "subcomponent"))
        if not raw or raw == NULL:
            return found
        text = unescape(raw, d, self._codec) if d.escape in raw else raw
        if leaf.table is not None and self._asked(leaf.table) and text not in leaf.table.codes:
            found.append(_not_in(leaf.table, Place(*at), text))
        if leaf.format is not None and not leaf.format.sound(text):
            found.append(words.wrong_type(Place(*at), leaf.datatype, text, leaf.format.words))
        if leaf.most is not None and len(text) > leaf.most:
            found.append(words.too_long(Place(*at), len(text), leaf.most, leaf.limit))
        return found

    def _coded(self, at: _At, pieces: Sequence[str], table: Table) -> Iterator[Nonconformity]:
        """A code that claims to be of the table: it names no other system."""
        code = unescape(pieces[0], self._delimiters, self._codec)
        system = pieces[_SYSTEM] if len(pieces) > _SYSTEM else ""
        if code and code != NULL and code not in table.codes and system in {"", f"HL7{table.number}"}:
            yield _not_in(table, Place(*_inside(at, 1)), code)

    def _asked(self, table: Table) -> bool:
        return self._suggested or table.kind != USER_TABLE


def _not_in(table: Table, place: Place, text: str) -> Nonconformity:
    return words.not_in_table(table.kind, place, text, table.number, table.name, table.listed)


def _inside(at: _At, position: int) -> _At:
    """Where a part of what stands there is."""
    segment, number, field, repetition, component, _ = at
    if component is None:
        return segment, number, field, repetition, position, None
    return segment, number, field, repetition, component, position
