"""Maps and code maps as tables: which source goes where, under which condition, by which map and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.language.nodes import Test, Word
from gateway.mapping.codes import CodeMap
from gateway.mapping.nodes import Assign, Group, Ignore, Map, MessageMap, Row, Set, Statement
from gateway.source import Span

ROW = ("map", "group", "source", "target", "using", "coded", "when", "with", "line")
CODE = ("system", "code", "to_system", "to_code", "to_display", "line")
IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Shown:
    """A table. Shape: `columns` name the cells of each row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def names(statements: Iterable[Statement], codes: Mapping[str, CodeMap]) -> frozenset[str]:
    """What can be shown: segments, data types, message structures and types, code maps."""
    found = set(codes)
    for one in statements:
        if isinstance(one, Map):
            found.add(one.of.text)
        elif isinstance(one, MessageMap):
            found.update((one.structure.text, *(trigger.text for trigger in one.triggers)))
    return frozenset(found)


def shown(name: str, statements: Iterable[Statement], codes: Mapping[str, CodeMap]) -> Shown | None:
    """The table of a segment, a data type, a message structure or type, or a code map; None where there is none."""
    rows = tuple(cells for one in statements if _named(one, name) for cells in _rows(one))
    if rows:
        return Shown(ROW, rows)
    if name in codes:
        return Shown(CODE, tuple(
            (one.system, one.code, one.to_system, one.to_code, one.display, str(one.origin)) for one in codes[name]
        ))  # fmt: skip
    return None


def _named(one: Statement, name: str) -> bool:
    if isinstance(one, Map):
        return one.of.text == name
    return isinstance(one, MessageMap) and name in {one.structure.text, *(trigger.text for trigger in one.triggers)}


def _rows(one: Statement) -> Iterator[tuple[str, ...]]:
    if isinstance(one, Map):
        for part in one.rows:
            yield _row(one.title, "", part) if isinstance(part, Row) else _set(one.title, part)
        if not one.rows:  # the engine's own reading
            yield (one.title, "", one.of.text, one.target.text, "", "", "", "", _place(one.span))
        yield from _left_out(one.title, one.ignores)
    elif isinstance(one, MessageMap):
        title = one.structure.text
        for group, rows in _grouped(one):
            yield from (_row(title, group, row) for row in rows)
        yield from _left_out(title, one.ignores)


def _grouped(one: MessageMap) -> Iterator[tuple[str, tuple[Row, ...]]]:
    yield "", one.rows
    groups: tuple[Group, ...] = one.groups
    for group in groups:
        yield group.path.text, group.rows
    yield "", one.last


def _row(title: str, group: str, row: Row) -> tuple[str, ...]:
    using = ""
    if row.using is not None:
        using = f"{row.using.datatype.text} to {row.using.target.text}"
        using += f" as {row.using.variant.text}" if row.using.variant is not None else ""
    if row.refers is not None:
        using = f"reference to {row.refers.text}"
    source = row.source.text + (f" after {row.after.text}" if row.after is not None else "")
    told = [_assigned(assign) for assign in row.presets]
    told += [f"default {_assigned(assign)}" for assign in row.defaults]
    coded = row.coded.text if row.coded is not None else ""
    conditions = [condition(row.test)]
    conditions += [f"nothing in {row.without.span.text}"] if row.without is not None else []
    when = " and ".join(each for each in conditions if each)
    return (title, group, source, row.target.span.text, using, coded, when, ", ".join(told), _place(row.span))


def _set(title: str, part: Set) -> tuple[str, ...]:
    assign = part.assign
    coded = assign.coded.text if assign.coded is not None else ""
    conditions = [condition(assign.test)]
    conditions += [f"nothing in {assign.without.span.text}"] if assign.without is not None else []
    when = " and ".join(each for each in conditions if each)
    return (title, "", _value(assign), assign.target.span.text, "", coded, when, "", _place(part.span))


def _left_out(title: str, ignores: Iterable[Ignore]) -> Iterator[tuple[str, ...]]:
    for ignore in ignores:
        for word in ignore.names:
            yield (title, "", word.text, IGNORED, "", "", "", ignore.because.value, _place(word.span))


def _assigned(assign: Assign) -> str:
    when = condition(assign.test)
    return f"{assign.target.span.text} = {_value(assign)}" + (f" when {when}" if when else "")


def _value(assign: Assign) -> str:
    return assign.value.text if isinstance(assign.value, Word) else assign.value.span.text


def condition(test: Test | None) -> str:
    """A condition as its author wrote it, in one line; empty where there is none."""
    return "" if test is None else re.sub(r"\s+", " ", test.span.text)


def _place(span: Span) -> str:
    return f"{span.source.name}:{span.line}"
