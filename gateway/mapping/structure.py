"""A message's map compiled: each of its rows a function of a segment, in the order in which they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from gateway.fhir import derived_id
from gateway.finding import Finding
from gateway.hl7v2 import Segment
from gateway.language.nodes import Word
from gateway.mapping import placing, tracing, values
from gateway.mapping.compile import Laid, Library, SegmentConverter, assignment, key_of
from gateway.mapping.groups import Shape, placed
from gateway.mapping.message_run import DOUBT, Make, MessageConverter
from gateway.mapping.nodes import Assign, Every, Group, Key, MessageMap, Row, Step, Target
from gateway.mapping.run import Fields, Json, Making, Run, Slots
from gateway.mapping.segments import converter_of
from gateway.mapping.values import SegmentInHand
from gateway.mapping.vocabulary import path_of
from gateway.mapping.writer import Writer

Assigned = Callable[[Run, Fields, Json, Slots], bool]
Do = Callable[[Run, Fields], None]


def compiled(made: MessageMap, once: frozenset[str], library: Library) -> MessageConverter:
    """A checked map as a converter."""
    compiler = _Compiler(library)
    groups = {"": made.rows, **{g.path.text: g.rows for g in made.groups}}
    rows = {path: tuple(compiler.blocks(found, compiler.outer(path, groups))) for path, found in groups.items()}
    last = tuple(compiler.blocks(made.last, compiler.whole(made)))
    for path in (path_of(word.text) for ignore in made.ignores for word in ignore.names):
        if path is not None and path.field is not None:
            compiler.ignored[path.of] = compiler.ignored.get(path.of, frozenset()) | {path.field}
    return MessageConverter(
        made.structure.text,
        _whole(made),
        frozenset(w.text for g in made.groups for w in (*g.starts, *(r.source for r in g.rows)))
        - {row.source.text for row in (*made.rows, *made.last)},
        rows,
        last,
        once,
        {row.source.text: row.target.steps[0].name for row in reversed((*made.rows, *made.last))},
        tuple((word.text, frozenset(s.text for s in r.sources)) for r in made.requires for word in r.names),
        compiler.ignored,
        {path: compiler.own(path, groups) for path in groups},
        tuple(compiler.late),
    )  # fmt: skip


def _whole(made: MessageMap) -> Shape:
    """The whole message as a group. What stands behind the first segment of a group is not behind what came before."""
    behind = [row for row in made.every_row() if row.after is not None]
    anchors = {*(row.after.text for row in behind if row.after), *(w.text for g in made.groups for w in g.starts)}
    return replace(
        _shape("", (), (*made.rows, *made.last), made.groups),
        placed=frozenset(row.source.text for row in behind),
        anchors=frozenset(anchors),
    )


def _shape(path: str, starts: tuple[str, ...], rows: tuple[Row, ...], groups: tuple[Group, ...]) -> Shape:
    below = [g for g in groups if g.path.text.rpartition(".")[0] == path and g.path.text != path]
    return Shape(
        path,
        starts,
        tuple(dict.fromkeys(_taken(row) for row in rows)),
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

    def own(self, path: str, groups: Mapping[str, tuple[Row, ...]]) -> frozenset[str]:
        """Names that a group and those below it give, which a new instance of the group forgets."""
        below = [p for p in groups if p == path or (path and p.startswith(path + "."))]
        given = frozenset(r.target.steps[0].name for p in below for r in groups[p] if not r.target.steps[1:])
        return given - self.outer(path, groups)

    def outer(self, path: str, groups: Mapping[str, tuple[Row, ...]]) -> frozenset[str]:
        """Names that an enclosing group gives, which a new instance of a group doesn't forget."""
        parents = [p for p in groups if p != path and (p == "" or path.startswith(p + "."))]
        return frozenset(r.target.steps[0].name for p in parents for r in groups[p])

    def whole(self, made: MessageMap) -> frozenset[str]:
        """Names that any row but the last ones gives."""
        return frozenset(r.target.steps[0].name for r in made.every_row() if r not in made.last)

    def blocks(self, rows: tuple[Row, ...], outer: frozenset[str]) -> Iterator[tuple[str, tuple[Make, ...]]]:
        """Rows that follow each other about one segment are done together, for each segment in turn.

        The first row of a name in its group makes a resource for each segment, unless a group around it gives the name.
        """
        given = set(outer)
        for name, block in groupby(rows, key=_taken):
            yield name, tuple(self.row(row, given) for row in block)

    def row(self, row: Row, given: set[str]) -> Make:
        """One row as a function of the run and a segment. Shape: `given` are the names of the rows before it."""
        if row.refers is not None:
            return self.made(row, self.referrer(row, row.refers.text))
        if row.using is None:
            raise TypeError(row)  # the checker refuses it
        key = key_of(row.using)
        converter = self.converters.get(key)
        if converter is None:
            converter = self.converters[key] = converter_of(key, self.library)
            name = row.source.text
            self.ignored[name] = self.ignored.get(name, frozenset()) | converter.ignored
        name, below = row.target.steps[0].name, row.target.steps[1:]
        before = self.assigned(row.presets, row)
        after = self.assigned(row.defaults, row)
        if below:
            do = self.part(name, below, row, converter, before, after)
        else:
            known = name in self.types
            self.types.setdefault(name, row.using.target.text)
            make = _maker(name, row, converter, before, after) if self.library.maps[key].identities else None
            do = make if name not in given and make is not None else _adder(name, converter, make, before, after)
            given.add(name)
            if not known:
                self.later(name, row)
        return self.made(row, do)

    def made(self, row: Row, do: Do) -> Make:
        """What is done for a segment where the row's condition holds."""
        test = _condition(row)

        def make(run: Run, each: Segment, fields: Fields) -> None:
            run.segment = each
            if test is None or test(run, fields):
                do(run, fields)

        def make_traced(run: Run, each: Segment, fields: Fields) -> None:
            mark = len(run.steps)
            make(run, each, fields)
            run.segment = each
            tracing.message_row(row, run, mark, run.names.get(row.target.steps[0].name))

        return make_traced if self.library.traced else make

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

    def referrer(self, row: Row, other: str) -> Do:
        """A row that refers to a resource in an element of another; a reference that stands already is not repeated."""
        name = row.target.steps[0].name
        put = self.putter(Target(row.target.steps[1:], row.target.span), self.types[name])
        leaf = row.target.steps[-1].name

        def do(run: Run, _: Fields) -> None:
            whole, found = run.names.get(name), run.names.get(other)
            if whole is not None and found is not None:
                reference = found.reference()
                standing = whole.resource.get(leaf)
                if not (isinstance(standing, list) and reference in standing):
                    put(whole.resource, whole.slots, reference)

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


def _taken(row: Row) -> str:
    """What the segments of a row are found by in its group."""
    return row.source.text if row.after is None else placed(row.source.text, row.after.text)


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


def _maker(name: str, row: Row, converter: SegmentConverter, before: Assigned | None, after: Assigned | None) -> Do:
    type_ = row.using.target.text if row.using is not None else ""

    def do(run: Run, fields: Fields) -> None:
        run.names.pop(name, None)
        used = run.used.get(run.segment.position, 0)
        making = Making(type_)
        converter.fill(fields, run, making, _bound(before, run, fields))
        run.doubt = None
        found = converter.identify(run, fields, making.resource)
        if found is None and row.by_receipt and run.doubt is None:
            found = _by_receipt(run, type_)
        elif found is not None and row.numbered:
            found = _numbered(run, type_, found)
        other = run.names.get(row.apart.text) if row.apart is not None else None
        if other is not None and other.id == found:
            run.used[run.segment.position] = used
            return
        if found is None:
            _unidentified(run, name, type_)
            return
        making.id = found
        making.only_new = row.only_new
        if after is not None:
            after(run, fields, making.resource, making.slots)
        run.names[name] = run.register(making)

    return do


def _adder(
    name: str, converter: SegmentConverter, make: Do | None, before: Assigned | None, after: Assigned | None
) -> Do:
    """A row that adds to a resource, or that makes it where there is none yet and its map can identify it."""

    def do(run: Run, fields: Fields) -> None:
        making = run.names.get(name)
        if making is None:
            if make is not None:
                make(run, fields)
            return
        making.seen.clear()
        converter.fill(fields, run, making, _bound(before, run, fields))
        if after is not None:
            after(run, fields, making.resource, making.slots)

    return do


def _unidentified(run: Run, name: str, type_: str) -> None:
    """Nothing that was made of a segment is kept, so none of its fields was mapped."""
    run.used.pop(run.segment.position, None)
    segment, place = run.segment.name, run.doubt
    run.doubts[name] = place
    words = f"{segment} carries nothing that identifies a resource of type {type_}, so none was made of it"
    if place is not None:
        words = f"{DOUBT}, so {segment} identifies no resource of type {type_}, and none was made of it"
    run.findings.append(Finding("warning", "required", words, place or segment, "MAP-IDENTITY"))


def _by_receipt(run: Run, type_: str) -> str:
    """Id of what nothing identifies: nobody else's, and the same when the submission is settled again."""
    segment = run.segment
    words = (
        f"{segment.name} carries nothing that identifies a resource of type {type_}, so the one made of it is known by "
        f"this submission alone: what is sent of it later makes another"
    )
    place = segment.name if segment.number == 1 else f"{segment.name}[{segment.number}]"
    run.findings.append(Finding("warning", "required", words, place, "MAP-IDENTITY"))
    return derived_id(type_, run.facts["context.receipt"], f"{segment.name}[{segment.number}]")


def _numbered(run: Run, type_: str, found: str) -> str:
    """Id of a segment's resource: the first of an identity has it, the others have their number with it."""
    count = run.counts[found] = run.counts.get(found, 0) + 1
    return found if count == 1 else derived_id(type_, found, str(count))
