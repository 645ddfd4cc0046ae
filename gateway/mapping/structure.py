"""A message's map as a function: its rows in order, each once for every segment that it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from gateway.finding import Finding
from gateway.hl7v2 import Segment
from gateway.language.nodes import Word
from gateway.mapping import placing, values
from gateway.mapping.compile import Laid, Library, SegmentConverter, assignment, key_of, segment
from gateway.mapping.groups import Instance, Shape
from gateway.mapping.nodes import Assign, Every, Group, Key, MessageMap, Row, Step, Target
from gateway.mapping.run import Fields, Json, Making, Run, Slots
from gateway.mapping.values import SegmentInHand
from gateway.mapping.writer import Writer

Assigned = Callable[[Run, Fields, Json, Slots], bool]
Make = Callable[[Run, Segment], None]
Do = Callable[[Run, Fields], None]


@dataclass(frozen=True, slots=True, eq=False)
class MessageConverter:
    """A message's map.

    Shape: `rows` by group, each a segment's name with what is done for it; `once` the segments that may stand one time,
    and `tells` what each of them tells of; `ignored` are the fields that the maps in use leave out by name; `names`
    those that a group gives; `late` is done when all resources are known.
    """

    structure: str
    groups: Shape
    rows: Mapping[str, tuple[tuple[str, tuple[Make, ...]], ...]]
    once: frozenset[str]
    tells: Mapping[str, str]
    requires: tuple[str, ...]
    ignored: Mapping[str, frozenset[int]]
    names: Mapping[str, frozenset[str]]
    late: tuple[Callable[[Run], None], ...]

    def run(self, run: Run, instance: Instance) -> None:
        """Convert a message into a run's resources."""
        self._instance(run, instance)
        for name, found in instance.segments.items():
            if name in self.once and found[1:]:
                run.findings.append(_second(found, self.tells.get(name, "thing")))
        for name in self.requires:
            if name not in run.names:
                place = run.doubts.get(name)
                why = f", as {_DOUBT}" if place else ""
                words = f"no {name} could be identified{why}, so the message could not be converted"
                run.findings.append(Finding("error", "required", words, place, "MAP-REQUIRED"))
        for late in self.late:
            late(run)

    def _instance(self, run: Run, instance: Instance) -> None:
        for name in self.names[instance.shape.name]:
            run.names.pop(name, None)
        for name, makes in self.rows[instance.shape.name]:
            found = instance.segments.get(name, ())
            if name in self.once and not instance.shape.name:
                found = found[:1]
            for each in found:
                for make in makes:
                    make(run, each)
        for below in instance.below:
            self._instance(run, below)


def compiled(made: MessageMap, once: frozenset[str], library: Library) -> MessageConverter:
    """A checked map as a converter."""
    compiler = _Compiler(library)
    groups = {"": made.rows, **{g.path.text: g.rows for g in made.groups}}
    rows = {path: tuple(compiler.blocks(found)) for path, found in groups.items()}
    return MessageConverter(
        made.structure.text,
        _shape("", (), made.rows, made.groups),
        rows,
        once,
        {row.source.text: row.target.steps[0].name for row in reversed(made.rows)},
        tuple(word.text for requires in made.requires for word in requires.names),
        compiler.ignored,
        {path: frozenset(r.target.steps[0].name for r in found if not r.target.steps[1:]) - compiler.outer(path, groups)
         for path, found in groups.items()},
        tuple(compiler.late),
    )  # fmt: skip


def _shape(path: str, starts: tuple[str, ...], rows: tuple[Row, ...], groups: tuple[Group, ...]) -> Shape:
    below = [g for g in groups if g.path.text.rpartition(".")[0] == path and g.path.text != path]
    return Shape(
        path,
        starts,
        tuple(dict.fromkeys(row.source.text for row in rows)),
        tuple(_shape(g.path.text, tuple(w.text for w in g.starts), g.rows, groups) for g in below),
    )


class _Compiler:
    """Compiles the rows of one message's map."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.types: dict[str, str] = {}
        self.ignored: dict[str, frozenset[int]] = {}
        self.late: list[Callable[[Run], None]] = []
        self.converters: dict[Key, SegmentConverter] = {}

    def outer(self, path: str, groups: Mapping[str, tuple[Row, ...]]) -> frozenset[str]:
        """Names that an enclosing group gives, which a new instance of a group doesn't forget."""
        parents = [p for p in groups if p != path and (p == "" or path.startswith(p + "."))]
        return frozenset(r.target.steps[0].name for p in parents for r in groups[p])

    def blocks(self, rows: tuple[Row, ...]) -> Iterator[tuple[str, tuple[Make, ...]]]:
        """Rows that follow each other about one segment are done together, for each segment in turn."""
        for name, block in groupby(rows, key=lambda row: row.source.text):
            yield name, tuple(self.row(row) for row in block)

    def row(self, row: Row) -> Make:
        """One row as a function of the run and a segment."""
        if row.using is None:
            raise TypeError(row)  # the checker refuses it
        key = key_of(row.using)
        converter = self.converters.get(key)
        if converter is None:
            converter = self.converters[key] = segment(self.library.maps[key], self.library)
            name = row.source.text
            self.ignored[name] = self.ignored.get(name, frozenset()) | converter.ignored
        name, below = row.target.steps[0].name, row.target.steps[1:]
        test = _condition(row)
        before = self.assigned(row.presets, row)
        after = self.assigned(row.defaults, row)
        if below:
            do = self.part(name, below, row, converter, before, after)
        elif name in self.types:
            do = _adder(name, converter, before, after)
        else:
            self.types[name] = row.using.target.text
            do = _maker(name, row.using.target.text, converter, before, after)
            self.later(name, row)

        def make(run: Run, each: Segment) -> None:
            run.segment = each
            fields = run.fields(each)
            if test is None or test(run, fields):
                do(run, fields)

        return make

    def part(
        self, name: str, below: tuple[Step, ...], row: Row, converter: SegmentConverter,
        before: Assigned | None, after: Assigned | None,
    ) -> Do:  # fmt: skip
        """A row whose segment makes an element of a resource that is there already."""
        put = self.putter(Target(below, row.target.span), self.types[name])

        def do(run: Run, fields: Fields) -> None:
            whole = run.names.get(name)
            if whole is None:
                return
            whole.seen.clear()
            part = Making("")
            if converter.fill(fields, run, part, _bound(before, run, fields)):
                if after is not None:
                    after(run, fields, part.resource, part.slots)
                put(whole.resource, whole.slots, part.resource)

        return do

    def putter(self, target: Target, base: str) -> Callable[[Json, Slots, Any], None]:
        """A function that puts a value into a thing."""
        writer = Writer()
        placing.put(writer, self.library.place(target, base), "value", ())
        return writer.function("put", "out, slots, value")

    def assigned(self, assigns: tuple[Assign, ...], row: Row) -> Assigned | None:
        """The assignments of a row; a reference to a resource counts as told by the message."""
        made = [assign for assign in assigns if not isinstance(assign.value, Every)]
        if not made or row.using is None:
            return None
        writer, base, hand = Writer(), row.using.target.text, SegmentInHand(row.source.text)
        writer.line("got = False")
        for assign in made:
            if isinstance(assign.value, Word) and assign.value.text in self.types:
                with writer.when(values.condition(writer, assign.test, hand)):
                    writer.line(f"value = run.names.get({writer.hold(assign.value.text)})")
                    with writer.block("if value is not None:"):
                        writer.line("value = value.reference()")
                        placing.put(writer, self.library.place(assign.target, base), "value", ("got = True",))
            else:
                assignment(writer, assign, base, hand, self.library)
        writer.line("return got")
        return writer.function(f"assignments of {row.source.text}", "run, f, out, slots")

    def later(self, name: str, row: Row) -> None:
        """Assignments of `every resource`: they wait until all are known."""
        for assign in row.presets:
            if isinstance(assign.value, Every):
                put = self.putter(assign.target, self.types[name])

                def refer(run: Run, put: Callable[[Json, Slots, Any], None] = put) -> None:
                    own = run.names.get(name)
                    if own is not None:
                        for making in run.made.values():
                            if making is not own:
                                put(own.resource, own.slots, making.reference())

                self.late.append(refer)


def _condition(row: Row) -> Callable[[Run, Fields], bool] | None:
    if row.test is None:
        return None
    writer = Writer()
    writer.line(f"return {values.condition(writer, row.test, SegmentInHand(row.source.text))}")
    return writer.function(f"condition of {row.source.text}", "run, f")


def _bound(assigned: Assigned | None, run: Run, fields: Fields) -> Laid | None:
    if assigned is None:
        return None
    return lambda out, slots: assigned(run, fields, out, slots)


def _maker(name: str, type_: str, converter: SegmentConverter, before: Assigned | None, after: Assigned | None) -> Do:
    def do(run: Run, fields: Fields) -> None:
        run.names.pop(name, None)
        making = Making(type_)
        converter.fill(fields, run, making, _bound(before, run, fields))
        run.doubt = None
        found = converter.identify(run, fields, making.resource)
        if found is None:
            _unidentified(run, name, type_)
            return
        making.id = found
        if after is not None:
            after(run, fields, making.resource, making.slots)
        run.names[name] = run.register(making)

    return do


def _adder(name: str, converter: SegmentConverter, before: Assigned | None, after: Assigned | None) -> Do:
    def do(run: Run, fields: Fields) -> None:
        making = run.names.get(name)
        if making is None:
            return
        making.seen.clear()
        converter.fill(fields, run, making, _bound(before, run, fields))
        if after is not None:
            after(run, fields, making.resource, making.slots)

    return do


_DOUBT = "two different NHS numbers were sent"


def _unidentified(run: Run, name: str, type_: str) -> None:
    """Nothing that was made of a segment is kept, so none of its fields was mapped."""
    run.used.pop(run.segment.position, None)
    segment, place = run.segment.name, run.doubt
    words = f"{segment} carries nothing that identifies a resource of type {type_}, so none was made of it"
    if place is not None:
        run.doubts[name] = place
        words = f"{_DOUBT}, so {segment} identifies no resource of type {type_}, and none was made of it"
    run.findings.append(Finding("warning", "required", words, place or segment, "MAP-IDENTITY"))


def _second(found: Sequence[Segment], tells: str) -> Finding:
    """A message has more segments of a name than its structure lets stand: which of them counts is not known."""
    name, count = found[0].name, "two" if len(found) == 2 else str(len(found))  # noqa: PLR2004  a word for it
    words = (
        f"this message type tells of one {tells} in one {name} segment, and this message has {count} {name} segments"
    )
    return Finding("error", "structure", words, f"{name}[{found[1].number}]", "MAP-STRUCTURE")
