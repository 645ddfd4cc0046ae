"""Maps to plain Python functions, one for each data type and segment, written row by row.

A data type's function takes the text of an element and gives the value of its target, or None where nothing of the
message is in it: what a map sets by itself makes nothing alone. The first row that fills an element wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from itertools import groupby
from typing import Any

from gateway.fhir import Elements
from gateway.hl7v2 import NULL
from gateway.mapping import identities, placing, tracing, values
from gateway.mapping.codes import CodeMap
from gateway.mapping.coding import adder, counter, recoded, translator
from gateway.mapping.memory import CODED, remembered
from gateway.mapping.nodes import Assign, Counted, Key, Later, Map, Row, Set, Target, Template, Using
from gateway.mapping.primitives import EACH, PRIMITIVES, VARIANTS
from gateway.mapping.run import Fields, Json, Making, Run, Slots
from gateway.mapping.targets import Place, place
from gateway.mapping.values import Cells, Hand, SegmentInHand
from gateway.mapping.vocabulary import Path, path_of
from gateway.mapping.writer import Writer
from gateway.source import Diagnostic

Laid = Callable[[Json, Slots], bool]
"""Lays a row's own assignments into a thing; whether any of their values came out of the message."""
Convert = Callable[[str, Run, "Laid | None", "Laid | None"], Any]
"""A data type's function; the last two lay a row's own assignments into the thing before and after its rows."""
Fill = Callable[[Fields, Run, Making, "Laid | None"], bool]
"""A segment's function: lays its fields into a thing; whether any of them reached it."""

DEEPEST = 2


@dataclass(slots=True, eq=False)
class Library:
    """Checked maps, each compiled when it is first used. Shape: `traced` keeps the rows that ran (`tracing.py`)."""

    maps: Mapping[Key, Map]
    codes: Mapping[str, CodeMap]
    elements: Elements
    traced: bool = False
    compiled: dict[tuple[Key, int], Convert] = field(default_factory=dict)
    segments: dict[Key, SegmentConverter] = field(default_factory=dict)

    def converter(self, using: Using, level: int) -> Convert:
        """The function that a row uses. Maps may use each other in a circle, so it is looked up when it is called."""
        key, compiled = (key_of(using), min(level, DEEPEST)), self.compiled
        if key not in compiled:
            compiled[key] = _later(compiled, key)
            compiled[key] = _datatype(self.maps[key[0]], key[1], self)
        return compiled[key]

    def segment(self, key: Key) -> SegmentConverter:
        """The converter of a segment's map: one for all message types, for each takes a tenth of a second's work."""
        found = self.segments.get(key)
        if found is None:
            found = self.segments[key] = segment(self.maps[key], self)
        return found

    def place(self, target: Target, base: str) -> Place:
        """The place of a target, which the checker has found good."""
        found = place(target, base, self.elements)
        if isinstance(found, Diagnostic):
            raise TypeError(found.message)
        return found


def _later(compiled: Mapping[tuple[Key, int], Convert], key: tuple[Key, int]) -> Convert:
    """The function that will stand there when all is compiled."""

    def convert(raw: str, run: Run, before: Laid | None, after: Laid | None) -> Any:
        return compiled[key](raw, run, before, after)

    return convert


def key_of(using: Using) -> Key:
    """What the map that a row uses is found by."""
    return (using.datatype.text, using.target.text, using.variant.text if using.variant else None)


# --- data types ----------------------------------------------------------------------------------------------------


def _datatype(made: Map, level: int, library: Library) -> Convert:
    target = made.target.text
    if not made.rows:
        return _primitive(made, level, traced=library.traced)
    hand, writer = Cells(level), Writer()
    writer.line("out = {}")
    writer.line("slots = {}")
    writer.line("got = before is not None and before(out, slots)")
    for row in made.rows:
        _cell_row(writer, row, made, hand, library)
    with writer.block("if not got:"):
        writer.line("return None")
    with writer.block("if after is not None:"):
        writer.line("after(out, slots)")
    _finish(writer, made, hand, library)
    body = writer.lines
    writer.lines = []
    _unpack(writer, hand)
    writer.lines += body
    function: Convert = writer.function(f"{made.title}, level {level}", "raw, run, before, after")
    if library.traced:  # what is remembered runs no row
        return function
    return remembered(function) if target in CODED or library.elements.is_resource(target) else function


def _unpack(writer: Writer, hand: Cells) -> None:
    """Cut `raw` into the parts `p1` ... as sent; `plain` says that each is the text of its only leaf."""
    null, mark = writer.hold(NULL), "run.cut" if hand.level == 0 else "run.subcomponent"
    writer.line("parts = [raw]" if hand.level == DEEPEST else f"parts = raw.split({mark})")
    writer.line(f"plain = run.escape not in raw and run.subcomponent not in raw and {null} not in raw")
    with writer.block("if not plain:"):
        writer.line(f'parts = ["" if p == {null} else p for p in parts]')
    width = max(hand.read, default=0)
    if not width:
        return
    writer.line("n = len(parts)")
    with writer.block(f"if n < {width}:"):
        writer.line(f"parts.extend({writer.hold([('',) * (width - n) for n in range(width)])}[n])")
    with writer.block(f"elif n > {width}:"):
        writer.line(f"del parts[{width}:]")
    writer.line(", ".join(f"p{i}" for i in range(1, width + 1)) + ", = parts")


def _finish(writer: Writer, made: Map, hand: Cells, library: Library) -> None:
    """What becomes of the thing: a value, an object, or a resource that is kept and referred to.

    A resource without an identity is not kept; the reference then shows what the map says it shows.
    """
    target = made.target.text
    if library.elements.is_primitive(target):
        writer.line('return out.get("value")')
    elif library.elements.is_resource(target):
        identities.write(writer, made, hand)
        with writer.block("if id_ is None:"):
            for display in made.displays:
                writer.line(f"shown = {values.value(writer, display.template, hand)}")
                with writer.block("if shown:"):
                    writer.line('return {"display": shown}')
            writer.line("return None")
        writer.line(f'return run.keep("{target}", id_, out)')
    else:
        writer.line("return out")


def _primitive(made: Map, level: int, *, traced: bool) -> Convert:
    target, variant = made.target.text, made.variant.text if made.variant else None
    read = PRIMITIVES[target] if variant is None else VARIANTS[target, variant]
    # of what is a value, but not of this kind, nothing is said: a date is no mistake where a time is looked for
    silent = variant is not None
    whole = level == 0

    def convert(raw: str, run: Run, _before: Laid | None, _after: Laid | None) -> Any:
        text = run.leaf(raw) if whole else run.sub(raw, 1)
        value = read(text, run.zone) if text else None
        if value is None and not silent and text.strip():
            run.reject(target)
        return value

    def convert_traced(raw: str, run: Run, before: Laid | None, after: Laid | None) -> Any:
        value = convert(raw, run, before, after)
        tracing.primitive(made, run, value)
        return value

    return convert_traced if traced else convert


def _cell_row(writer: Writer, row: Row | Set, made: Map, hand: Cells, library: Library) -> None:
    base = made.target.text
    if isinstance(row, Set):
        assignment(writer, row.assign, base, hand, library)
        return
    path = path_of(row.source.text) or Path(made.of.text, None, ())
    found = library.place(row.target, base)
    source = hand.raw(path)
    tests = [
        None if source == "raw" else source, placing.free(writer, found), _lacking(writer, row, base, library),
        values.condition(writer, row.test, hand),
    ]  # fmt: skip
    with writer.block(f"if {' and '.join(test for test in tests if test) or 'True'}:"):
        if hand.level == 0 and path.steps and _may_report(row, found):
            writer.line(f"run.component = {path.steps[0]}")
        mark = tracing.begin(writer, traced=library.traced)
        with _row_value(writer, row, found, hand, library, path, level=hand.level + len(path.steps)):
            told = tracing.told(writer, mark, row, found)
            placing.put(writer, found, "value", ("got = True", *told), known_free=True)
        tracing.end(writer, mark, row)


def _may_report(row: Row, found: Place) -> bool:
    """Whether a row may have something to report about its source: any text is a string."""
    return row.using is not None or row.coded is not None or plain(found.type) not in {"string", "markdown"}


@contextmanager
def _row_value(
    writer: Writer, row: Row, found: Place, hand: Hand, library: Library, path: Path, *, level: int
) -> Iterator[None]:
    """Give `value` what a row makes of its source; what is written meanwhile is done where there is something."""
    coded, using = row.coded.text if row.coded is not None else None, row.using
    whole = isinstance(hand, SegmentInHand)
    text = "run.leaf(e)" if whole and not path.steps else hand.text(path)
    # a code is led on before it is read as what its target is: Y is no boolean, `true` is
    if coded is not None and (using is None or not library.maps[key_of(using)].rows):
        writer.line(f"value = {text}")
        writer.line(f"value = {writer.hold(translator(coded, found, library.codes))}(value, run) if value else None")
    elif using is None:
        _text(writer, found, text)
    else:
        before = _nested(writer, row.presets, using.target.text, hand, library)
        after = _nested(writer, row.defaults, using.target.text, hand, library)
        raw = ("e" if not path.steps else hand.raw(path)) if whole else hand.raw(path)
        writer.line(f"value = {writer.hold(library.converter(using, level))}({raw}, run, {before}, {after})")
        if coded is not None:
            with writer.block("if value is not None:"):
                if not (isinstance(hand, Cells) and hand.level):
                    writer.line(f"run.component = {path.steps[0] if path.steps else 0}")
                writer.line(f"value = {writer.hold(recoded(coded, found, library.codes))}(value, run)")
    each = using is not None and using.variant is not None and using.variant.text == EACH
    with writer.block("for value in value or ():" if each else "if value is not None:"):
        yield


def _text(writer: Writer, found: Place, text: str) -> None:
    kind = plain(found.type)
    if kind in {"string", "markdown"}:
        writer.line(f"value = {text}.strip() or None")
        return
    writer.line(f"text, value = {text}, None")
    with writer.block("if text and not text.isspace():"):
        writer.line(f"value = {writer.hold(PRIMITIVES[kind])}(text, run.zone)")
        with writer.block("if value is None:"):
            writer.line(f"run.reject({writer.hold(kind)})")


def plain(code: str) -> str:
    """Name of a primitive type; ids and URLs of elements carry FHIRPath's in place of their own."""
    return code.rpartition(".")[2].lower() if code.startswith("http") else code


# --- assignments ---------------------------------------------------------------------------------------------------


def assignment(
    writer: Writer, assign: Assign, base: str, hand: Hand, library: Library, then: str = "got = True"
) -> None:
    """Write one assignment into `out`. Shape: `then` is done where its value came out of the message."""
    found = library.place(assign.target, base)
    with (
        writer.when(values.condition(writer, assign.test, hand)),
        writer.when(_lacking(writer, assign, base, library)),
    ):
        kind = plain(found.type)
        read = values.paths(assign.value)
        marks = [f"run.mark({p.field})" for p in read if p.field is not None and p.of == getattr(hand, "name", None)]
        if values.is_constant(assign.value) and assign.coded is None:
            writer.line(f"value = {writer.hold(PRIMITIVES[kind](values.constant(assign.value), UTC))}")
        elif isinstance(assign.value, Later):
            parts = ", ".join(values.later(assign.value, hand))
            writer.line(f"value = {writer.hold(adder(library.codes))}({parts}, run)")
        elif isinstance(assign.value, Counted):
            parts = ", ".join(values.counted(assign.value, hand))
            writer.line(f"value = {writer.hold(counter(assign.value.wanted.value, kind, library.codes))}({parts}, run)")
        else:
            writer.line(f"value = {values.value(writer, assign.value, hand)}")
            if assign.coded is not None:
                code = writer.hold(translator(assign.coded.text, found, library.codes))
                writer.line(f"value = {code}(value, run) if value else None")
            elif kind not in {"string", "instant", "dateTime"} or read:
                writer.line(f"value = {writer.hold(PRIMITIVES[kind])}(value, run.zone) if value else None")
        # of what is no text, False and 0 count
        text = kind != "boolean" and not isinstance(assign.value, Counted)
        with writer.block("if value:" if text else "if value not in (None, ''):"):
            mark = tracing.begin(writer, traced=library.traced)
            told = tracing.told(writer, mark, assign, found)
            placing.put(writer, found, "value", (*((*marks, then) if read else ()), *told))


def _lacking(writer: Writer, of: Row | Assign, base: str, library: Library) -> str | None:
    """Whether the element that a row or an assignment speaks of was made of nothing; None where it speaks of none."""
    return None if of.without is None else placing.lacks(writer, library.place(of.without, base))


def _nested(writer: Writer, assigns: tuple[Assign, ...], base: str, hand: Hand, library: Library) -> str:
    """A row's assignments as a function of its own; `None` where it has none."""
    if not assigns:
        return "None"
    name = writer.local()
    with writer.block(f"def {name}(out, slots):"):
        writer.line("got = False")
        for assign in assigns:
            assignment(writer, assign, base, hand, library)
        writer.line("return got")
    return name


# --- segments ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class SegmentConverter:
    """A segment's map. Shape: `ignored` are the fields that it leaves out by name."""

    title: str
    fill: Fill
    identify: identities.Identify
    ignored: frozenset[int]


def segment(made: Map, library: Library) -> SegmentConverter:
    """A segment's map as a converter."""
    writer, base = Writer(), made.target.text
    writer.line("out = making.resource")
    writer.line("slots = making.slots")
    writer.line("got = before is not None and before(out, slots)")
    writer.line("last, used = len(f) - 1, 0")
    head, writer.lines = writer.lines, []
    read: dict[str, str] = {}
    for number, rows in groupby(made.rows, key=_field_of):
        if number is None:
            for row in rows:
                if isinstance(row, Set):
                    assignment(writer, row.assign, base, SegmentInHand(made.of.text, read=read), library)
            continue
        with writer.block(f"if {number} <= last and f[{number}]:"):
            field_text = f"f[{number}]"
            writer.line(
                f"reps = {field_text}.split(run.repetition) if run.repetition in {field_text} else ({field_text},)"
            )
            writer.line("n = len(reps)")
            for row in rows:
                if isinstance(row, Row):
                    hand = SegmentInHand(made.of.text, number, read)
                    _field_row(writer, row, made, library, hand)
    writer.lines = [*head, *values.settled(writer.lines, read)]
    writer.line("position = run.segment.position")
    writer.line("run.used[position] = run.used.get(position, 0) | used")
    writer.line("return got or used != 0")
    paths = [path_of(word.text) for ignore in made.ignores for word in ignore.names]
    return SegmentConverter(
        made.title,
        writer.function(made.title, "f, run, making, before"),
        identities.identifier(made),
        frozenset(p.field for p in paths if p is not None and p.field is not None),
    )


def _others(row: Row, made: Map) -> list[int] | None:
    """The other fields that fill the same element; None where one of them comes before the row's own."""
    rows = [other for other in made.rows if isinstance(other, Row) and len(other.target.steps) == 1]
    same = [other for other in rows if other.target.steps[0].name == row.target.steps[0].name]
    if same and same[0] is not row:
        return None
    paths = [path_of(other.source.text) for other in same[1:]]
    return [path.field for path in paths if path is not None and path.field is not None]


def _field_of(row: Row | Set) -> int | None:
    """The field that a row is about; of an assignment, None."""
    path = path_of(row.source.text) if isinstance(row, Row) else None
    return path.field if path is not None else None


def _field_row(writer: Writer, row: Row, made: Map, library: Library, hand: SegmentInHand) -> None:
    """Write a row of the field in hand, whose repetitions are `reps`."""
    path = path_of(row.source.text) or Path(made.of.text, 0, ())
    number, base, others = path.field or 0, made.target.text, _others(row, made)
    found = library.place(row.target, base)
    test = values.condition(writer, row.test, hand)
    holds = test is not None and not row.joined and not values.reads(row.test, made.of.text, number)
    if holds:
        # what the field in hand has no part in is asked once; a `""` is taken whatever it is
        writer.line(f"holds = {test}")
        test = "holds"
    with writer.when(f"holds or {writer.hold(NULL)} in reps" if holds else None):
        writer.line(f"run.field, run.component, reached = {number}, 0, False")
        if row.joined:
            _joined(writer, row, found, test, number, library)
            return
        free = placing.free(writer, found)
        counted = free is not None or library.traced
        with writer.block("for i, e in enumerate(reps, 1):" if counted else "for e in reps:"):
            clears, told = _clears(row, base, found, others) if not path.steps else (None, [])
            with writer.block(f"if e == {writer.hold(NULL)}:"):
                if told:
                    held = " or ".join(f"run.has(f, {other}, 0, 0)" for other in told)
                    with writer.block(f"if {held}:"):
                        writer.line("continue")
                if clears is not None:
                    writer.line(f"making.clears.append({writer.hold(clears)})")
                    writer.line("reached = True")
                writer.line("continue")
            source = hand.raw(path) if path.steps else "e"
            tests = [source, *(each for each in (test, _lacking(writer, row, base, library)) if each is not None)]
            with writer.block(f"if not ({' and '.join(tests)}):"):
                writer.line("continue")
            if free is not None:
                with writer.block(f"if not ({free}):"):
                    with writer.block("if reached:"):
                        writer.line("run.lose(i)")
                    writer.line("continue")
            mark = tracing.begin(writer, traced=library.traced)
            with _row_value(writer, row, found, hand, library, path, level=len(path.steps)):
                step = tracing.told(writer, mark, row, found, "i")
                placing.put(writer, found, "value", ("reached = True", *step), known_free=True)
            tracing.end(writer, mark, row)
        with writer.block("if reached:"):
            writer.line(f"used |= {1 << number}")


def _joined(writer: Writer, row: Row, found: Place, test: str | None, number: int, library: Library) -> None:
    """All repetitions of the field in hand as lines of one text, behind those of the segments before it."""
    null = writer.hold(NULL)
    writer.line(f"value = [t for t in [run.leaf(e).rstrip() for e in reps if e != {null}] if t]")
    with writer.block(f"if value and {test}:" if test else "if value:"):
        box = placing.opened(writer, found.boxes)
        kind = writer.hold(plain(found.type))
        with writer.block(f'if run.join({box}, "{found.leaf}", value, {kind}):'):
            writer.line(f"used |= {1 << number}")
            for line in tracing.told(writer, tracing.begin(writer, traced=library.traced), row, found):
                writer.line(line)


def _clears(row: Row, base: str, found: Place, others: list[int] | None) -> tuple[str | None, list[int]]:
    """What a field sent as `""` removes: an element, the entries of a list that the row tells apart, or nothing.

    A list that several fields fill is removed by the first of them in the map, and only where the message tells of none
    by the others, whose numbers stand behind: PID-5 removes the names, PID-9 does not, nor does PID-5 beside a PID-9.
    """
    if found.boxes or found.leaf is None:
        return None, []
    if not found.many or others == []:
        return f"{base}.{found.element}", []
    for assign in row.presets:
        if isinstance(assign.value, Template) and assign.target.span.text in {"use", "system"}:
            return f"{base}.{found.element}[{assign.target.span.text}={assign.value.parts[0]}]", []
    return (None, []) if others is None else (f"{base}.{found.element}", others)
