"""A segment looked at part by part: every departure with its place.

Exact and slower than the patterns, which see to it that only what does not fit comes here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.hl7v2.conformance import words
from gateway.hl7v2.conformance.kinds import USER_TABLE, Nonconformity
from gateway.hl7v2.conformance.rules import FieldRule, Leaf, Part, Shape
from gateway.hl7v2.conformance.tables import Table
from gateway.hl7v2.delimiters import NULL, unescape
from gateway.hl7v2.message import Segment
from gateway.hl7v2.place import Place

_SYSTEM = 2
"""Index of the component of a coded value that names its system."""


@dataclass(frozen=True, slots=True)
class Examiner:
    """What parts are looked at for. Shape: `suggested` is whether user-defined tables are asked too."""

    version: str
    suggested: bool
    codec: str

    def unknown(self, segment: Segment, number: int, last: int) -> Iterator[Nonconformity]:
        """A field that the version does not have, where something is sent in it."""
        if self._something(segment, segment.raw(number)):
            yield words.unknown_field(Place(segment.name, segment.number, number), last, self.version)

    def field(self, segment: Segment, field: FieldRule) -> Iterator[Nonconformity]:
        """Departures of one field."""
        raw = segment.raw(field.number)
        place = Place(segment.name, segment.number, field.number)
        if not self._something(segment, raw):
            if field.required:
                yield words.missing(place, field.name, self.version)
            return
        if field.withdrawn:
            yield words.withdrawn(place, field.name, self.version)
            return
        yield from self.values(segment, field, field.shape)

    def values(self, segment: Segment, field: FieldRule, shape: Shape) -> Iterator[Nonconformity]:
        """Departures of the repetitions of a field, of which each holds what `shape` says."""
        number = field.number
        repetitions = segment.raw(number).split(segment.delimiters.repetition)
        while repetitions and not repetitions[-1]:
            repetitions.pop()
        if field.most is not None and len(repetitions) > field.most:
            place = Place(segment.name, segment.number, number, field.most + 1)
            yield words.too_many(place, field.name, len(repetitions), field.most)
        repeats = field.most != 1 or len(repetitions) > 1
        for index, repetition in enumerate(repetitions, 1):
            if repetition and repetition != NULL:
                place = Place(segment.name, segment.number, number, index if repeats else None)
                yield from self._value(segment, place, repetition, shape)

    def _something(self, segment: Segment, raw: str) -> bool:
        d = segment.delimiters
        return bool(raw.strip(f"{d.component}{d.repetition}{d.subcomponent}")) if raw else False

    def _value(self, segment: Segment, place: Place, raw: str, shape: Shape) -> Iterator[Nonconformity]:
        """One value; the place says how deep it stands."""
        if shape.leaf is not None:
            yield from self._leaf(segment, place, raw, shape.leaf)
        elif shape.parts:
            yield from self._parts(segment, place, raw, shape)

    def _parts(self, segment: Segment, place: Place, raw: str, shape: Shape) -> Iterator[Nonconformity]:
        d = segment.delimiters
        pieces = raw.split(d.component if place.component is None else d.subcomponent)
        for part in shape.parts:
            piece = pieces[part.position - 1] if part.position <= len(pieces) else ""
            # most parts are empty, or any text without a separator would do
            if part.required if not piece else not (part.plain and d.subcomponent not in piece):
                yield from self._part(segment, _below(place, part.position), piece, part)
        last = shape.parts[-1].position
        for position, piece in enumerate(pieces[last:], last + 1):
            if self._something(segment, piece):
                yield words.unknown_part(_below(place, position), shape.datatype, last, self.version)
        if shape.coded is not None and self._asked(shape.coded):
            yield from self._coded(segment, place, pieces, shape.coded)

    def _part(self, segment: Segment, place: Place, piece: str, part: Part) -> Iterator[Nonconformity]:
        if not self._something(segment, piece):
            if part.required:
                yield words.missing(place, part.name, self.version)
        elif part.withdrawn:
            yield words.withdrawn(place, part.name, self.version)
        elif piece != NULL:
            yield from self._value(segment, place, piece, part.shape)

    def _leaf(self, segment: Segment, place: Place, raw: str, leaf: Leaf) -> Iterator[Nonconformity]:
        d = segment.delimiters
        for sign, delimiter in (("component", d.component), ("subcomponent", d.subcomponent)):
            head, _, rest = raw.partition(delimiter)
            if self._something(segment, rest):
                yield words.parted(place, leaf.datatype, sign)
            raw = head
        if not raw or raw == NULL:
            return
        text = unescape(raw, d, self.codec)
        if leaf.table is not None and self._asked(leaf.table) and text not in leaf.table.codes:
            yield _not_in(leaf.table, place, text)
        if leaf.format is not None and not leaf.format.sound(text):
            yield words.wrong_type(place, leaf.datatype, text, leaf.format.words)
        if leaf.most is not None and len(text) > leaf.most:
            yield words.too_long(place, len(text), leaf.most, leaf.limit)

    def _coded(self, segment: Segment, place: Place, pieces: Sequence[str], table: Table) -> Iterator[Nonconformity]:
        """A code that claims to be of the table: it names no other system."""
        code = unescape(pieces[0], segment.delimiters, self.codec)
        system = pieces[_SYSTEM] if len(pieces) > _SYSTEM else ""
        if code and code != NULL and code not in table.codes and system in {"", f"HL7{table.number}"}:
            yield _not_in(table, _below(place, 1), code)

    def _asked(self, table: Table) -> bool:
        return self.suggested or table.kind != USER_TABLE


def _not_in(table: Table, place: Place, text: str) -> Nonconformity:
    return words.not_in_table(table.kind, place, text, table.number, table.name, sorted(table.codes))


def _below(place: Place, position: int) -> Place:
    if place.component is None:
        return Place(place.segment, place.number, place.field, place.repetition, position)
    return Place(place.segment, place.number, place.field, place.repetition, place.component, position)
