"""`list` and `codes`: files beside the rules, read and judged.

A fault of a file never unloads the rules: such a list has no values, so the rules that name it err, and the checker
warns. The file of a list that can grow stale says of which day it is: `# as of 2026-05-01` on a line of its own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

from gateway.language.functions import PREDICATES
from gateway.language.lists import CodeList, NamedList, spelled
from gateway.language.nodes import Text
from gateway.rules import messages
from gateway.rules.clauses import Report, choose, duration, every
from gateway.rules.declared import CodesDeclaration, ListDeclaration
from gateway.rules.nodes import Said, Statement

Read = Callable[[str], bytes | None]
"""Bytes of a file by its name, named as rule files are; None where there is none."""

_AS_OF = re.compile(r"#\s*as of (\d{4}-\d{2}-\d{2})\s*")
_CODES = ("system", "code")


def forms() -> tuple[str, ...]:
    """What a list may be of: any form that a predicate knows."""
    return tuple(PREDICATES)


class _Unusable(Exception):  # noqa: N818 - a state of a file, told as a warning
    """Why a file can't be used, in words without any value of it."""


@dataclass(frozen=True, slots=True)
class _Table:
    """A file as read. Shape: rows with the line where each stands; `made` the day that the file is of."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    made: date | None


def values(statement: Statement, read: Read, today: date | None, report: Report) -> ListDeclaration | None:
    """A `list`. Shape: with `today`, one that is stale is warned of."""
    said = _said(statement)
    form = choose(said.words[0], forms(), "form of values", report)
    file = _file(said.texts[0], report)
    stale = next((c for c in every(statement, Said) if c.kind == "stale"), None)
    keeps = None if stale is None else duration(stale.words[0], stale.words[1], report)
    if form is None or file is None or (stale is not None and keeps is None):
        return None
    name, found, made = statement.name.text, None, None
    try:
        table = _read(read, file)
        made = table.made if keeps is None else _dated(table)
        found = _values(table, form)
    except _Unusable as fault:
        report.say(messages.LIST_FILE.at(said.texts[0].span, kind="list", word=name, why=fault))
    last = made + keeps if made is not None and keeps is not None else None
    if found is not None and today is not None and last is not None and today > last:
        report.say(messages.LIST_STALE.at(statement.name.span, word=name, day=made))
    if found is not None and today is not None and last is not None and made is not None and today < made:
        report.say(messages.LIST_EARLY.at(statement.name.span, word=name, day=made))
    held = NamedList(name, form, found, last, made if keeps is not None else None)
    return ListDeclaration(name, statement.title, form, file, keeps, made, held, statement.span)


def codings(statement: Statement, read: Read, report: Report) -> CodesDeclaration | None:
    """A `codes`."""
    said = _said(statement)
    file = _file(said.texts[0], report)
    if file is None:
        return None
    name, found = statement.name.text, None
    try:
        found = _codings(_read(read, file))
    except _Unusable as fault:
        report.say(messages.LIST_FILE.at(said.texts[0].span, kind="code list", word=name, why=fault))
    return CodesDeclaration(name, statement.title, file, CodeList(name, found), statement.span)


def _said(statement: Statement) -> Said:
    return next(clause for clause in every(statement, Said) if clause.kind == "")


def files(statements: Iterable[Statement]) -> tuple[str, ...]:
    """The files that statements name, each once, in alphabetical order; those that are none are left out."""
    named = (_file(_said(s).texts[0], Report()) for s in statements if s.kind in {"list", "codes"})
    return tuple(sorted({file for file in named if file is not None}))


def _file(text: Text, report: Report) -> str | None:
    """A file's name as rule files are named, from the folder of the file that speaks of it."""
    below = PurePosixPath(text.value)
    if below.is_absolute() or ".." in below.parts or "\\" in text.value or below.suffix != ".csv":
        report.say(messages.LIST_PLACE.at(text.span, word=text.value))
        return None
    return str(PurePosixPath(text.span.source.name).parent / below)


def _read(read: Read, file: str) -> _Table:
    """A CSV file with a header line; lines that begin with `#` are notes.

    Errors: _Unusable.
    """
    raw = read(file)
    if raw is None:
        raise _Unusable(f"there is no file {file}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _Unusable(f"{file} is not UTF-8 text") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    notes = [match for _, line in lines if (match := _AS_OF.fullmatch(line)) is not None]
    table = [(number, _cells(line, file, number)) for number, line in lines if not line.startswith("#")]
    if not table:
        raise _Unusable(f"{file} has no header line")
    return _Table(table[0][1], tuple(table[1:]), _day(notes[0][1], file) if notes else None)


def _cells(line: str, file: str, number: int) -> tuple[str, ...]:
    try:
        return tuple(cell.strip() for cell in next(csv.reader(io.StringIO(line), strict=True)))
    except (csv.Error, StopIteration):
        raise _Unusable(f"line {number} of {file} is no CSV") from None


def _day(text: str, file: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _Unusable(f"{file} is of a day that there is not") from None


def _dated(table: _Table) -> date:
    if table.made is None:
        raise _Unusable("no line of it says `# as of` a day, so nobody knows when it is stale")
    return table.made


def _values(table: _Table, form: str) -> frozenset[str]:
    if table.columns != (form,):
        raise _Unusable(f"its header line is not {form}")
    found: set[str] = set()
    for number, cells in table.rows:
        if len(cells) != 1 or not PREDICATES[form](cells[0]):
            raise _Unusable(f"line {number} holds what is no {form}")
        found.add(spelled(form, cells[0]))
    if not found:  # a file that was cut off looks the same, and would let everybody through
        raise _Unusable("it lists nobody")
    return frozenset(found)


def _codings(table: _Table) -> frozenset[tuple[str, str]]:
    if table.columns[:2] != _CODES:
        raise _Unusable("its header line does not begin with system,code")
    found: set[tuple[str, str]] = set()
    for number, cells in table.rows:
        if len(cells) != len(table.columns) or not (cells[0] and cells[1]):
            raise _Unusable(f"line {number} has not a system and a code")
        found.add((cells[0], cells[1]))
    if not found:
        raise _Unusable("it holds no code")
    return frozenset(found)
