"""Maps to plain Python functions, one for each data type and segment (`segments.py`), written row by row.

A data type's function takes the text of an element and gives the value of its target, or None where nothing of the
message is in it: what a map sets by itself makes nothing alone. The first row that fills an element wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from threading import Lock
from typing import Any

from gateway.fhir import Elements
from gateway.hl7v2 import NULL
from gateway.mapping import identities, placing, tracing, values
from gateway.mapping.codes import CodeMap
from gateway.mapping.coding import adder, counter, recoded, translator
from gateway.mapping.memory import CODED, led_on, remembered
from gateway.mapping.nodes import Assign, Counted, Key, Later, Map, Row, Set, Target, Using
from gateway.mapping.primitives import EACH, PRIMITIVES, VARIANTS
from gateway.mapping.run import Fields, Json, Making, Run, Slots
from gateway.mapping.targets import Place, place, plain
from gateway.mapping.values import Cells, Hand, SegmentInHand
from gateway.mapping.vocabulary import Path, path_of
from gateway.mapping.writer import Whole, Writer
from gateway.source import Diagnostic

Laid = Callable[[Json, Slots], bool]
"""Lays a row's own assignments into a thing; whether any of their values came out of the message."""
Convert = Callable[..., Any]
"""A data type's function of a text and a run.

Shape: one that is `laid` has two arguments more, which lay a row's own assignments into the thing before and after the
map's rows, or are None.
"""
Fill = Callable[[Fields, Run, Making, bool], bool]
"""A segment's function: lays its fields into a thing; whether any of them reached it, or what was laid before."""

DEEPEST = 2

_TEXTS = frozenset({"string", "markdown"})


@dataclass(frozen=True, slots=True, eq=False)
class SegmentConverter:
    """A segment's map."""

    fill: Fill
    identify: identities.Identify


@dataclass(slots=True, eq=False)
class Library:
    """Checked maps, each compiled when it is first used.

    Shape: `traced` keeps the rows that ran (`tracing.py`); `lock` is held by whoever compiles, for messages are
    converted in threads too.
    """

    maps: Mapping[Key, Map]
    codes: Mapping[str, CodeMap]
    elements: Elements
    traced: bool = False
    compiled: dict[tuple[Key, int, bool], Convert] = field(default_factory=dict)
    segments: dict[Key, SegmentConverter] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def converter(self, using: Using, level: int, *, laid: bool) -> Convert:
        """The function that a row uses. Shape: `laid` for a row with assignments of its own."""
        key = (key_of(using), min(level, DEEPEST), laid)
        with self.lock:
            if key not in self.compiled:
                self.compiled[key] = _datatype(self.maps[key[0]], key[1], self, laid=laid)
            return self.compiled[key]

    def place(self, target: Target, base: str) -> Place:
        """The place of a target, which the checker has found good."""
        found = place(target, base, self.elements)
        if isinstance(found, Diagnostic):
            raise TypeError(found.message)
        return found


def key_of(using: Using) -> Key:
    """What the map that a row uses is found by."""
    return (using.datatype.text, using.target.text, using.variant.text if using.variant else None)


# --- data types ----------------------------------------------------------------------------------------------------


def _datatype(made: Map, level: int, library: Library, *, laid: bool) -> Convert:
    target = made.target.text
    if not made.rows:
        return _primitive(made, level)
    hand, writer = Cells(level), Writer()
    # where others put something in too, or ask where it is, items are found by their names
    writer.whole = None if laid or library.traced else Whole()
    for row in made.rows:
        _cell_row(writer, row, made, hand, library)
    with writer.block("if not got:"):
        writer.line("return None")
    if laid:
        with writer.block("if after is not None:"):
            writer.line("after(out, slots)")
    _finish(writer, made, hand, library)
    body = writer.lines
    writer.lines = []
    _unpack(writer, hand)
    writer.line("out = {}")
    if writer.whole is None:
        writer.line("slots = {}")
    elif writer.whole.slots:
        writer.line(f"{' = '.join(writer.whole.slots.values())} = None")
    writer.line("got = before is not None and before(out, slots)" if laid else "got = False")
    writer.lines += body
    arguments = "raw, run, before, after" if laid else "raw, run"
    function: Convert = writer.function(f"{made.title}, level {level}", arguments)
    if laid or library.traced:  # what is remembered runs no row
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


def _primitive(made: Map, level: int) -> Convert:
    """A map without rows as a function, for maps that are traced: elsewhere it is written into its rows (`_read`)."""
    target, variant = made.target.text, made.variant.text if made.variant else None
    read = PRIMITIVES[target] if variant is None else VARIANTS[target, variant]

    def convert(raw: str, run: Run) -> Any:
        text = run.leaf(raw) if level == 0 else run.sub(raw, 1)
        value = read(text, run.zone) if text else None
        # of what is a value, but not of this kind, nothing is said: a date is no mistake where a time is looked for
        if value is None and variant is None and text.strip():
            run.reject(target)
        tracing.primitive(made, run, value)
        return value

    return convert


def _read(writer: Writer, made: Map, raw: str, level: int, *, cells: bool) -> None:
    """Give `value` what a map without rows makes of a text; `cells` says that `plain` tells whether it is one leaf."""
    target, variant = made.target.text, made.variant.text if made.variant else None
    text = f"run.sub({raw}, 1)" if level else f"run.leaf({raw})"
    writer.line(f"text = {raw} if plain else {text}" if cells and level else f"text = {text}")
    if variant is not None:
        writer.line(f"value = {writer.hold(VARIANTS[target, variant])}(text, run.zone) if text else None")
    else:
        _primed(writer, target, "text")


def _primed(writer: Writer, kind: str, asked: str) -> None:
    """Give `value` what `text` is as a value of a primitive type, where it is `asked`; what is none is reported."""
    if kind in _TEXTS:
        writer.line("value = text.strip() or None")
        return
    read = f"{writer.hold(PRIMITIVES[kind])}(text, run.zone)"
    if kind == "code":  # any text is one, but for blanks
        writer.line(f"value = text if text.isalnum() else {read} if text else None")
        return
    writer.line(f"value = {read} if {asked} else None")
    with writer.block("if value is None and text and not text.isspace():"):
        writer.line(f"run.reject({writer.hold(kind)})")


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
        raw = ("e" if not path.steps else hand.raw(path)) if whole else hand.raw(path)
        made = library.maps[key_of(using)]
        reports = not (isinstance(hand, Cells) and hand.level)
        component = (path.steps[0] if path.steps else 0) if reports else None
        if coded is not None and using.target.text in CODED and not (row.presets or row.defaults or library.traced):
            led = recoded(coded, found, library.codes)
            one = writer.later(lambda: led_on(library.converter(using, level, laid=False), led, component))
            writer.line(f"value = {one}({raw}, run)")
            if component is not None:
                with writer.block("if value is not None:"):
                    writer.line(f"run.component = {component}")
            coded = None
        elif made.rows or library.traced:
            _called(writer, row, raw, hand, library, level=level)
        else:
            _read(writer, made, raw, level, cells=not whole)
        if coded is not None:
            with writer.block("if value is not None:"):
                if component is not None:
                    writer.line(f"run.component = {component}")
                writer.line(f"value = {writer.hold(recoded(coded, found, library.codes))}(value, run)")
    each = using is not None and using.variant is not None and using.variant.text == EACH
    with writer.loop("for value in value or ():") if each else writer.block("if value is not None:"):
        yield


def _called(writer: Writer, row: Row, raw: str, hand: Hand, library: Library, *, level: int) -> None:
    """Give `value` what a row's map makes of a text; the map is compiled when such a text first comes."""
    using = row.using
    if using is None:
        raise TypeError(row)  # asked of rows with a map alone
    laid = bool(row.presets or row.defaults) and bool(library.maps[key_of(using)].rows)
    arguments = f"{raw}, run"
    if laid:
        nested = [_nested(writer, assigns, using.target.text, hand, library) for assigns in (row.presets, row.defaults)]
        arguments = ", ".join([arguments, *nested])
    writer.line(f"value = {writer.later(lambda: library.converter(using, level, laid=laid))}({arguments})")


def _text(writer: Writer, found: Place, text: str) -> None:
    writer.line(f"text = {text}")
    _primed(writer, plain(found.type), "text and not text.isspace()")


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
    with writer.block(f"def {name}(out, slots):"), writer.elsewhere():
        writer.line("got = False")
        for assign in assigns:
            assignment(writer, assign, base, hand, library)
        writer.line("return got")
    return name
