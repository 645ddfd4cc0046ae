"""Records to rows by a layout: the header matched, cells made values, all that is wrong told by line and column."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.finding import Finding
from gateway.source import nearest
from gateway.tabular import mistaken
from gateway.tabular.layout import Column, Layout, Value, fits, fold
from gateway.tabular.records import Dialect, Record, records, utf16
from gateway.tabular.values import Fault, Known, Read, reader, shown

UNREADABLE, CELLS, MISSING, UNFIT = "CSV-R01", "CSV-R02", "CSV-V01", "CSV-V02"
HEADER, EMPTY, ENCODED, MISTAKEN = "CSV-H01", "CSV-H02", "CSV-H03", "CSV-H04"
_SOME = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Shape: `values` of every column of the layout, None where there is none; empty where `findings` refuse the row.
    Units: `line` in which it begins, from 1.
    """

    line: int
    values: Mapping[str, Value | None]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """A file whose layout is known. Shape: `header` is its header line, None where the layout has none."""

    layout: Layout
    header: tuple[str, ...] | None


def place(line: int, column: str | None = None) -> str:
    """Where something is wrong, as findings say it."""
    return f"line {line}" if column is None else f"line {line}, column {column}"


def begin(start: bytes, layouts: Sequence[Layout], encoding: str | None = None) -> Begun | Finding:
    """The layout of a file, by its first bytes.

    Shape: `layouts` are those of which it may be: one without a header line, or several told apart by theirs;
    `encoding` is what the sender said of this file, None where it leaves that to the layout.
    Errors: a Finding where its header line is none of them.
    """
    if utf16(start):
        return Finding("error", "structure", "the file is in UTF-16: save it as UTF-8", place(1), ENCODED)
    binary = mistaken.no_text(start)
    if binary is not None:
        return Finding("error", "structure", binary, place(1), MISTAKEN)
    if encoding is not None:
        layouts = [replace(layout, dialect=replace(layout.dialect, encoding=encoding)) for layout in layouts]
    if len(layouts) == 1 and not layouts[0].header:
        return Begun(layouts[0], None)
    first: Record | None = None
    for layout in layouts:
        found = _first(start, layout.dialect)
        if found is not None and found.fault is None and fits(layout, found.cells):
            return Begun(layout, tuple(found.cells))
        first = first or found
    if first is None:
        return Finding("error", "required", "the file has no line; send the file as the body", place(1), EMPTY)
    other = mistaken.other_text(start)
    if other is not None:
        return Finding("error", "structure", other, place(1), MISTAKEN)
    if first.fault is not None:
        return Finding("error", "structure", f"the header line can't be read: {first.fault}", place(first.line), HEADER)
    return _no_layout(start, layouts)


def _first(start: bytes, dialect: Dialect) -> Record | None:
    return next(records((start,), dialect), None)


def _no_layout(start: bytes, layouts: Sequence[Layout]) -> Finding:
    """What the header line lacks, or has too much, of the layout that it is nearest to."""
    wants = []
    for layout in layouts:
        found = _first(start, layout.dialect)
        sent = [] if found is None else found.cells
        folded = [fold(cell) for cell in sent]
        missing = [c.header for c in layout.columns.values() if c.required and fold(c.header) not in folded]
        strange = [] if layout.strangers else [cell for cell in sent if fold(cell) not in layout.known]
        doubled = [c.header for c in layout.columns.values() if folded.count(fold(c.header)) > 1]
        cut = mistaken.other_delimiter(sent[0], layout) if len(sent) == 1 else None
        if cut is not None:
            return Finding(
                "error", "structure", f"the header line is not that of {layout.name}: {cut}", place(1), HEADER
            )
        wants.append((len(missing) + len(strange) + len(doubled), layout, missing, strange, doubled))
    _, layout, missing, strange, doubled = min(wants, key=lambda want: want[0])
    words = [f"the header line is not that of {layout.name}"]
    words += [f"it lacks {_listed(missing)}"] if missing else []
    words += [f"it has {_listed([_guessed(cell, layout) for cell in strange])}"] if strange else []
    words += [f"it has {_listed(doubled)} twice"] if doubled else []
    return Finding("error", "structure", "; ".join(words), place(1), HEADER)


def _guessed(cell: str, layout: Layout) -> str:
    near = nearest(cell, [column.header for column in layout.columns.values()])
    return f"the unknown {shown(cell)} (did you mean {near}?)" if near else f"the unknown {shown(cell)}"


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SOME} more" if len(words) > _SOME else ""
    return ", ".join(words[:_SOME]) + more


@dataclass(frozen=True, slots=True)
class _Cell:
    """How one cell of a record is read: where it stands, None where the file has no such column."""

    column: Column
    at: int | None
    read: Read


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows of a file in pieces.

    Shape: `codes` are the code maps by name.
    """

    begun: Begun
    codes: Mapping[str, Known]

    def rows(self, chunks: Iterable[bytes]) -> Iterator[Row]:
        """Every row that the layout's condition lets pass, read or with what is wrong with it; never raises."""
        layout, header = self.begun.layout, self.begun.header
        cells = self._cells()
        width = len(layout.columns) if header is None else len(header)
        found = records(chunks, layout.dialect)
        for record in found if header is None else itertools.islice(found, 1, None):
            if record.fault is not None:
                yield Row(record.line, {}, (self._unread(record),))
            elif len(record.cells) != width:
                words = f"the row has {len(record.cells)} cells where {_expected(header)} has {width}"
                yield Row(record.line, {}, (Finding("error", "structure", words, place(record.line), CELLS),))
            elif self._wanted(record, cells):
                yield self._row(record, cells)

    def _cells(self) -> tuple[_Cell, ...]:
        layout, header = self.begun.layout, self.begun.header
        names = [fold(cell) for cell in header] if header is not None else []
        made = []
        for number, column in enumerate(layout.columns.values()):
            at = (
                number if header is None else names.index(fold(column.header)) if fold(column.header) in names else None
            )
            made.append(_Cell(column, at, reader(column, layout.zone, self.codes.get(column.codes or ""))))
        return tuple(made)

    def _unread(self, record: Record) -> Finding:
        name = None
        if record.column is not None:
            header = self.begun.header or tuple(self.begun.layout.columns)
            name = header[record.column - 1] if record.column <= len(header) else str(record.column)
        return Finding("error", "structure", record.fault or "", place(record.line, name), UNREADABLE)

    def _wanted(self, record: Record, cells: Iterable[_Cell]) -> bool:
        only = self.begun.layout.only
        if only is None:
            return True
        sent = {c.column.name: record.cells[c.at].strip() for c in cells if c.at is not None and c.column.name in only}
        return all(sent.get(name, "") in values for name, values in only.items())

    def _row(self, record: Record, cells: Iterable[_Cell]) -> Row:
        values: dict[str, Value | None] = {}
        wrong: list[Finding] = []
        nothing, sent = self.begun.layout.nothing, record.cells
        for cell in cells:
            column = cell.column
            text = "" if cell.at is None else sent[cell.at].strip()
            if text in nothing:
                values[column.name] = None
                if column.required:
                    where = place(record.line, column.header)
                    wrong.append(Finding("error", "required", f"{column.header} is missing", where, MISSING))
                continue
            value = cell.read(text)
            if isinstance(value, Fault):
                where = place(record.line, column.header)
                wrong.append(Finding("error", value.code, f"{column.header}: {value.words}", where, UNFIT))
            else:
                values[column.name] = value
        return Row(record.line, {}, tuple(wrong)) if wrong else Row(record.line, values)


def _expected(header: tuple[str, ...] | None) -> str:
    return "the layout" if header is None else "the header line"
