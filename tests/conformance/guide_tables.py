"""The tables of HL7's v2-to-FHIR guide, read where they are at hand: nothing of them is part of this repository."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["messages", "segments", "datatypes", "codesystems"]
KINDS: tuple[Kind, ...] = ("messages", "segments", "datatypes", "codesystems")
FOLDER = Path("reference") / "v2-to-fhir"
_CHANGED_ROUND = frozenset({"ConfidentialityClassification"})  # its codes stand where the displays belong
_HEAD = 2  # two lines of titles


@dataclass(frozen=True, slots=True)
class GuideRow:
    """A row that has a target.

    Shape: `table` is the file's name; `source` and `target` as the guide writes them, of codes the codes; `of` is the
    segment map that a message's row names, or the display and the system of a code.
    """

    kind: Kind
    table: str
    line: int
    source: str
    target: str
    assigned: str = ""
    of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Shape: `rows` are those with a target alone."""

    kind: Kind
    name: str
    rows: tuple[GuideRow, ...]


def tables(shared: Path) -> Iterator[Table]:
    """Every table below the shared folder, kind by kind."""
    for kind in KINDS:
        for path in sorted((shared / FOLDER / kind).glob("*.csv")):
            with path.open(encoding="utf-8-sig", newline="") as file:
                cells = [[_clean(cell) for cell in row] + [""] * 20 for row in csv.reader(file)][_HEAD:]
            found = (_row(kind, path.stem, number, row) for number, row in enumerate(cells, _HEAD + 1))
            yield Table(kind, path.stem, tuple(row for row in found if row.target))


def _row(kind: Kind, table: str, line: int, cells: list[str]) -> GuideRow:
    if kind == "codesystems":
        # some tables have the display and the system one column further left
        left = cells[7] and cells[8].startswith(("http", "urn"))
        display, system = (cells[7], cells[8]) if left else (cells[8] or cells[7], cells[9])
        if table in _CHANGED_ROUND:
            return GuideRow(kind, table, line, cells[0], display, of=(cells[6], system))
        return GuideRow(kind, table, line, cells[0], cells[6], of=(display, system))
    if kind == "messages":
        return GuideRow(kind, table, line, cells[1], cells[9], of=(cells[10],))
    return GuideRow(kind, table, line, cells[1], cells[9], cells[16].strip('"'))


def _clean(cell: str) -> str:
    return re.sub(r"\s+", " ", cell.replace("\xa0", " ")).strip()
