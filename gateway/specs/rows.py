"""Reading what all tables are written in: lines, and CSV with a header, each row with its file and line.

What is wrong in a file is a `SpecsError` that names file, line and what to do.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gateway.stated import Stated

ROOT = Path(__file__).resolve().parents[2] / "specs"
"""The repository's `specs/`."""


class SpecsError(Stated):
    """A file below `specs/` that can't be read; the text is `file:line: what is wrong: what to do`."""

    def __init__(self, origin: Origin, words: str) -> None:
        """Say where and what."""
        super().__init__(f"{origin}: {words}")
        self.origin = origin


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a fact stands.

    Shape: `file` relative to the root of the specs where it is below it. Units: lines are counted from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        """`file:line`, which editors make clickable."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a CSV table: column name to text, empty text where the cell is empty."""

    origin: Origin
    values: Mapping[str, str]


def table(path: Path) -> tuple[Row, ...]:
    """Rows of a CSV table with a header; lines that start with `#` and empty lines are left out.

    Errors: SpecsError for a missing file, a missing or doubled column name, a row of another length, a bad byte.
    Source: RFC 4180, UTF-8, LF or CRLF.
    """
    name = shown_path(path)
    lines = lines_of(path)
    numbers: list[int] = []
    # csv counts what it is given; the comments it never sees would shift its line numbers
    reader = csv.reader(_counted(lines, numbers), strict=True)
    rows: list[Row] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            origin = Origin(name, numbers[-1])
            if header is None:
                header = cells
                _check_header(header, origin)
            elif len(cells) != len(header):
                raise SpecsError(origin, f"{len(cells)} cells where the header has {len(header)}: add or quote cells")
            else:
                rows.append(Row(origin, MappingProxyType(dict(zip(header, cells, strict=True)))))
    except csv.Error as error:
        raise SpecsError(Origin(name, numbers[-1] if numbers else 1), f"not CSV ({error}): quote the cell") from error
    if header is None:
        raise SpecsError(Origin(name, 1), "no header line: the first line names the columns")
    return tuple(rows)


def by_name(path: Path, column: str) -> dict[str, Row]:
    """Rows of a CSV table by one column.

    Errors: SpecsError for a name that stands twice, and what `table` says.
    """
    found: dict[str, Row] = {}
    for row in table(path):
        name = row.values[column]
        if name in found:
            raise SpecsError(row.origin, f"`{name}` stands twice: keep one")
        found[name] = row
    return found


def shown_path(path: Path) -> str:
    """A path as an Origin shows it: from the repository where it is in it."""
    return path.relative_to(ROOT.parent).as_posix() if path.is_relative_to(ROOT.parent) else path.as_posix()


def lines_of(path: Path) -> list[str]:
    """Lines of a text file.

    Errors: SpecsError for a missing file or a bad byte.
    """
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise SpecsError(
            Origin(shown_path(path), 1), "no such file: run `gateway specs build` or restore it"
        ) from error
    except UnicodeDecodeError as error:
        raise SpecsError(
            Origin(shown_path(path), 1), f"byte {error.start} is not UTF-8: save the file as UTF-8"
        ) from error


def _counted(lines: list[str], numbers: list[int]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            numbers.append(number)
            yield line + "\n"


def _check_header(header: list[str], origin: Origin) -> None:
    if "" in header or len(set(header)) != len(header):
        raise SpecsError(origin, "the header has an empty or a doubled column name: name each column once")
