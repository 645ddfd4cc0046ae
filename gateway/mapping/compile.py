"""Maps to plain Python functions, one for each data type and segment (`segments.py`), written row by row.

A data type's function takes the text of an element and gives the value of its target, or None where nothing of the
message is in it: what a map sets by itself makes nothing alone. The first row that fills an element wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from gateway.fhir import Elements
from gateway.hl7v2 import NULL
from gateway.mapping import identities, placing, tracing, values
from gateway.mapping.codes import CodeMap
from gateway.mapping.coding import adder, counter, recoded, translator
from gateway.mapping.memory import CODED, remembered
from gateway.mapping.nodes import Assign, Counted, Key, Later, Map, Row, Set, Target, Using
from gateway.mapping.primitives import EACH, PRIMITIVES, VARIANTS
from gateway.mapping.run import Fields, Json, Making, Run, Slots
from gateway.mapping.targets import Place, place, plain
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


@dataclass(frozen=True, slots=True, eq=False)
class SegmentConverter:
    """A segment's map. Shape: `ignored` are the fields that it leaves out by name."""

    title: str
    fill: Fill
    identify: identities.Identify
    ignored: frozenset[int]


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
        None if source == "raw" else source, placing.free(writer, found), lacking(writer, row, base, library),
        values.condition(writer, row.test, hand),
    ]  # fmt: skip
    with writer.block(f"if {' and '.join(test for test in tests if test) or 'True'}:"):
        if hand.level == 0 and path.steps and _may_report(row, found):
            writer.line(f"run.component = {path.steps[0]}")
        mark = tracing.begin(writer, traced=library.traced)
        with row_value(writer, row, found, hand, library, path, level=hand.level + len(path.steps)):
            told = tracing.told(writer, mark, row, found)
            placing.put(writer, found, "value", ("got = True", *told), known_free=True)
        tracing.end(writer, mark, row)


def _may_report(row: Row, found: Place) -> bool:
    """Whether a row may have something to report about its source: any text is a string."""
    return row.using is not None or row.coded is not None or plain(found.type) not in {"string", "markdown"}


@contextmanager
def row_value(
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


# --- assignments ---------------------------------------------------------------------------------------------------


def assignment(
    writer: Writer, assign: Assign, base: str, hand: Hand, library: Library, then: str = "got = True"
) -> None:
    """Write one assignment into `out`. Shape: `then` is done where its value came out of the message."""
    found = library.place(assign.target, base)
    with (
        writer.when(values.condition(writer, assign.test, hand)),
        writer.when(lacking(writer, assign, base, library)),
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


def lacking(writer: Writer, of: Row | Assign, base: str, library: Library) -> str | None:
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
