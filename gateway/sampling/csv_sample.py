"""A file of rows by a layout.

What stands in a cell is what `specs/samples/csv.csv` says of the column, else something of its kind and pattern.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from gateway.language.nodes import Column as ColumnLeaf
from gateway.rules import Check
from gateway.sampling.draw import Draw, Form
from gateway.sampling.wishes import Spoiling, Wish, asked, spoiled, wishes
from gateway.tabular import Column, Layout

_PARTS = {"YYYY": "%Y", "MM": "%m", "DD": "%d", "hh": "%H", "mm": "%M", "ss": "%S", "ZZ": "%z"}
_TOKEN = re.compile("|".join(_PARTS))
_ATOM = re.compile(r"(\[[^\]]+\]|\\d|[A-Za-z0-9 -])(?:\{(\d+)(?:,(\d+))?\}|([?*+]))?")
_RANGE = re.compile(r"([A-Za-z0-9])-([A-Za-z0-9])|(.)")
MANY = {"?": (0, 1), "*": (0, 3), "+": (1, 3)}

Row = dict[str, str]


class PatternError(ValueError):
    """A pattern that nothing can be made for: `specs/samples/csv.csv` has to tell of its column."""


def form_of(column: Column) -> Form:
    """How a column writes moments and days."""
    form = column.formats[0] if column.formats else "YYYY-MM-DD"
    written = _TOKEN.sub(lambda token: _PARTS[token[0]], form)
    return Form(lambda moment: moment.strftime(written), lambda day: day.strftime(written))


def made(layout: Layout, checks: Sequence[Check], draw: Draw) -> Row:
    """A row: texts by column.

    Errors: HoleError, PatternError.
    """
    wished: dict[str, list[Wish]] = {}
    for wish in wishes(checks):
        if isinstance(wish.leaf, ColumnLeaf):
            wished.setdefault(wish.leaf.name, []).append(wish)
    draw.begin()
    return {name: _cell(layout, column, wished.get(name, ()), draw) for name, column in layout.columns.items()}


def _cell(layout: Layout, column: Column, wished: Sequence[Wish], draw: Draw) -> str:
    told = draw.lists.csv.get(f"{layout.name}.{column.name}")
    draw.form = form_of(column)
    if told == "" and not wished and not column.required:
        return ""
    text = draw.text(told) if told else _invented(column, draw)
    text = _fulfilled(text, wished, draw)
    return text if column.longest is None else text[: column.longest]


def _fulfilled(text: str, wished: Iterable[Wish], draw: Draw) -> str:
    for wish in wished:
        if wish.options and text not in wish.options:
            text = draw.one(wish.options)
        elif wish.predicate == "nhs-number":
            text = draw.text("{nhs-number}")
    return text


def _invented(column: Column, draw: Draw) -> str:
    match column.kind:
        case "code":
            return draw.one(sorted(column.among)) if column.among else ""
        case "boolean":
            return draw.one((*column.true, *column.false))
        case "integer" | "decimal":
            return str(draw.chance.randrange(1, 100))
        case "date":
            return draw.text("{day}")
        case "instant":
            return draw.text("{moment}")
        case "text":
            if column.pattern is not None:
                return matching(column.pattern, draw)
            return draw.text("{words.word}") if column.required else ""


def matching(pattern: str, draw: Draw) -> str:
    """A text that a pattern of characters, classes and counts matches.

    Errors: PatternError.
    """
    made = ""
    for atom, least, most, mark in _ATOM.findall(pattern):
        low, high = MANY[mark] if mark else (int(least or 1), int(most or least or 1))
        characters = _characters(atom)
        made += "".join(draw.one(characters) for _ in range(draw.chance.randint(low, high)))
    if re.fullmatch(pattern, made) is None:
        raise PatternError(
            f"nothing can be made for the pattern {pattern}: tell of its column in specs/samples/csv.csv"
        )
    return made


def _characters(atom: str) -> str:
    if atom == r"\d":
        return "0123456789"
    if not atom.startswith("["):
        return atom
    found = ""
    for first, last, single in _RANGE.findall(atom[1:-1]):
        found += single or "".join(map(chr, range(ord(first), ord(last) + 1)))
    return found


def body(layout: Layout, rows: Iterable[Mapping[str, str]]) -> bytes:
    """A file as it is sent."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=layout.dialect.delimiter, quotechar=layout.dialect.quote or '"')
    if layout.header:
        writer.writerow([column.header for column in layout.columns.values()])
    writer.writerows([row[name] for name in layout.columns] for row in rows)
    return out.getvalue().encode(layout.dialect.encoding)


def joined(layout: Layout, files: Sequence[bytes]) -> bytes:
    """Several files as one: the header line of the first, the rows of all."""
    rows = files if not layout.header else [file.partition(b"\r\n")[2] for file in files]
    head = files[0].partition(b"\r\n")[0] + b"\r\n" if layout.header else b""
    return head + b"".join(rows)


# --- faults --------------------------------------------------------------------------------------------------------


def met(layout: Layout, row: Row, check: Check, draw: Draw) -> Row:
    """The row with what makes a check apply to it."""
    found = dict(row)
    for wish in asked(check.when):
        if isinstance(wish.leaf, ColumnLeaf):
            draw.form = form_of(layout.columns[wish.leaf.name])
            found[wish.leaf.name] = _fulfilled(found[wish.leaf.name], (wish,), draw)
    return found


def broken(layout: Layout, row: Row, doing: Iterable[Spoiling], draw: Draw) -> Row:
    """The row with these cells made wrong."""
    found = dict(row)
    for spoiling in doing:
        if isinstance(spoiling.leaf, ColumnLeaf):
            column = layout.columns[spoiling.leaf.name]
            form = form_of(column)
            far = tuple(_far(form, column, draw.moment + timedelta(days=days)) for days in (-400, 400))
            others = sorted(column.among or ())
            found[column.name] = spoiled(found[column.name], spoiling, others, (far[0], far[1]))
    return found


def _far(form: Form, column: Column, moment: datetime) -> str:
    day: date = moment.date()
    return form.day(day) if column.kind == "date" else form.moment(moment)


def otherwise(layout: Layout, row: Row) -> Iterator[Row]:
    """The row with one cell emptied or another code in it, each in turn."""
    for name, column in layout.columns.items():
        for text in ("", *sorted(column.among or ()), *(("A", "C") if column.pattern else ())):
            yield {**row, name: text}
