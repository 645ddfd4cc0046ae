"""A segment's map as a function: its rows field by field, each for every repetition of its field."""

from __future__ import annotations

from itertools import groupby

from gateway.hl7v2 import NULL
from gateway.mapping import identities, placing, tracing, values
from gateway.mapping.compile import Library, SegmentConverter, assignment, lacking, row_value
from gateway.mapping.nodes import Key, Map, Row, Set, Template
from gateway.mapping.targets import Place, plain
from gateway.mapping.values import SegmentInHand
from gateway.mapping.vocabulary import Path, path_of
from gateway.mapping.writer import Writer


def converter_of(key: Key, library: Library) -> SegmentConverter:
    """The converter of a segment's map: one for all message types, for each takes a tenth of a second's work."""
    with library.lock:
        found = library.segments.get(key)
        if found is None:
            found = library.segments[key] = _compiled(library.maps[key], library)
        return found


def _compiled(made: Map, library: Library) -> SegmentConverter:
    writer, base = Writer(), made.target.text
    writer.line("out = making.resource")
    writer.line("slots = making.slots")
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
    return SegmentConverter(writer.function(made.title, "f, run, making, got"), identities.identifier(made))


def ignored(made: Map) -> frozenset[int]:
    """The fields that a segment's map leaves out by name."""
    paths = [path_of(word.text) for ignore in made.ignores for word in ignore.names]
    return frozenset(p.field for p in paths if p is not None and p.field is not None)


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
            tests = [source, *(each for each in (test, lacking(writer, row, base, library)) if each is not None)]
            with writer.block(f"if not ({' and '.join(tests)}):"):
                writer.line("continue")
            if free is not None:
                with writer.block(f"if not ({free}):"):
                    with writer.block("if reached:"):
                        writer.line("run.lose(i)")
                    writer.line("continue")
            mark = tracing.begin(writer, traced=library.traced)
            with row_value(writer, row, found, hand, library, path, level=len(path.steps)):
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
