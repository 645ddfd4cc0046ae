"""One segment of one version: a pattern a field, each made when the field is first sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.hl7v2.conformance.examine import Examiner
from gateway.hl7v2.conformance.kinds import Nonconformity
from gateway.hl7v2.conformance.patterns import Fits, Writer
from gateway.hl7v2.conformance.rules import FieldRule, Shape, VersionRules
from gateway.hl7v2.delimiters import Delimiters
from gateway.hl7v2.message import Segment

_HEADERS = frozenset({"MSH", "FHS", "BHS"})
_LITERAL = 3

_open: Fits = len
_closed: Fits = dict[str, object]().get


class SegmentRules:
    """What is kept of one segment. Shape: `last` is the number of its last field."""

    __slots__ = ("_fields", "_fits", "_name", "_required", "_rules", "_said", "_varies", "_varying", "_writer", "last")

    def __init__(self, name: str, rules: VersionRules, delimiters: Delimiters, *, suggested: bool) -> None:
        """Make no pattern yet."""
        self._name = name
        self._rules = rules
        self._writer = Writer(delimiters, suggested=suggested)
        first = _LITERAL if name in _HEADERS else 1
        self._fields = {field.number: field for field in rules.fields(name) if field.number >= first}
        self._required = tuple(field.number for field in self._fields.values() if field.required)
        said_by = rules.beside.said_by
        self._varying: tuple[FieldRule, ...] = tuple(f for f in self._fields.values() if (name, f.number) in said_by)
        self._varies = bool(self._varying)
        self._said: dict[str, tuple[Shape, Fits] | None] = {}
        self.last = max(self._fields, default=0)
        self._fits: list[Fits] = [_open, *(self._first(number, first) for number in range(1, self.last + 1))]

    def departures(self, segment: Segment, examiner: Examiner) -> Iterable[Nonconformity]:
        """What the segment departs in; of a sound one, nothing, and that is found out in one go."""
        raws = segment.raws
        asked = enumerate(zip(raws, self._fits, strict=False))
        found = [number for number, (raw, fits) in asked if raw and not fits(raw)]
        count = len(raws)
        if self._required:
            found += [number for number in self._required if number >= count or not raws[number]]
        if found or self._varies or count > len(self._fits):
            return self._told(segment, examiner, found)
        return ()

    def _told(self, segment: Segment, examiner: Examiner, found: Iterable[int]) -> Iterator[Nonconformity]:
        """Departures of fields that did not fit, of those whose type another tells, and of those behind the last."""
        raws = segment.raws
        for number in sorted({*found}):
            field = self._fields.get(number)
            yield from examiner.unknown(segment, number, self.last) if field is None else examiner.field(segment, field)
        for field in self._varying:
            own = self._said_by(raws, field)
            if own is not None and not own[1](raws[field.number]):
                yield from examiner.values(segment, field, own[0])
        for number in range(len(self._fits), len(raws)):
            yield from examiner.unknown(segment, number, self.last)

    def _first(self, number: int, first: int) -> Fits:
        """What a field is asked before its pattern is made, and whether it needs one."""
        field = self._fields.get(number)
        if number < first or (field is not None and field.shape.leaf is None and not field.shape.parts):
            return _open
        if field is None or field.withdrawn:
            return _closed
        rule = field

        def fits(raw: str) -> object:
            made = self._fits[number] = self._writer.fits(rule)
            return made(raw)

        return fits

    def _said_by(self, raws: Sequence[str], field: FieldRule) -> tuple[Shape, Fits] | None:
        """What a field holds by what another says; None where it is empty, or nothing is said that is known."""
        if field.number >= len(raws) or not raws[field.number]:
            return None
        return self._of(raws[self._rules.beside.said_by[self._name, field.number]], field)

    def _of(self, datatype: str, field: FieldRule) -> tuple[Shape, Fits] | None:
        """What a value of a data type may hold; None where the version has no such type, or does not say."""
        if datatype not in self._said:
            if datatype not in self._rules.dictionary.datatypes:
                return None
            shape = self._rules.values(datatype)
            one = FieldRule(field.number, field.name, required=False, withdrawn=False, most=field.most, shape=shape)
            told = shape.leaf is not None or shape.parts
            self._said[datatype] = (shape, self._writer.fits(one)) if told else None
        return self._said[datatype]
