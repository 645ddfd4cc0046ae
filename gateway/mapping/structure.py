"""A message's map planned: its groups, and its rows by the segment that they are about, in the order they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from gateway.mapping import placing
from gateway.mapping.blocks import Block, Planned
from gateway.mapping.compile import Library, key_of
from gateway.mapping.groups import Shape, placed
from gateway.mapping.message_run import MessageConverter
from gateway.mapping.nodes import Every, Group, MessageMap, Row
from gateway.mapping.run import Json, Run, Slots
from gateway.mapping.segments import ignored
from gateway.mapping.vocabulary import path_of
from gateway.mapping.writer import Writer


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
    """Plans the rows of one message's map, and what is written of them when a segment first comes."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.types: dict[str, str] = {}
        self.ignored: dict[str, frozenset[int]] = {}
        self.late: list[Callable[[Run], None]] = []

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

    def blocks(self, rows: tuple[Row, ...], outer: frozenset[str]) -> Iterator[tuple[str, Block]]:
        """Rows that follow each other about one segment are done together, for each segment in turn.

        The first row of a name in its group makes a resource for each segment, unless a group around it gives the name.
        """
        given = set(outer)
        for name, block in groupby(rows, key=_taken):
            yield name, Block(name, [self.row(row, given) for row in block], self.library)

    def row(self, row: Row, given: set[str]) -> Planned:
        """One row. Shape: `given` are the names of the rows before it."""
        name, types = row.target.steps[0].name, dict(self.types)
        first = name not in given
        if row.refers is None:
            if row.using is None:
                raise TypeError(row)  # the checker refuses it
            left_out = ignored(self.library.maps[key_of(row.using)])
            self.ignored[row.source.text] = self.ignored.get(row.source.text, frozenset()) | left_out
            if not row.target.steps[1:]:
                given.add(name)
                if name not in self.types:
                    self.types[name] = row.using.target.text
                    self.later(name, row)
        return Planned(row, types, first)

    def later(self, name: str, row: Row) -> None:
        """Assignments of `every resource`: they wait until all are known."""
        for assign in row.presets:
            if isinstance(assign.value, Every):
                writer = Writer()
                placing.put(writer, self.library.place(assign.target, self.types[name]), "value", ())
                put = writer.function("put", "out, slots, value")

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
