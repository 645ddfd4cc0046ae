"""What the dictionaries do not say: longest lengths, how values look, whose codes they are, what can't be listed.

It stands beside them in tables written by hand, each row with its source or its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import specs
from gateway.hl7v2.conformance.formats import Format, read_formats
from gateway.hl7v2.definitions import FOLDER
from gateway.specs import Row, SpecsError

BY_HL7, BY_SITE = "hl7", "site"
"""Who defines a table."""
_VALUE, _FIRST = "value", "first"
_DATATYPES = "datatypes"


@dataclass(frozen=True, slots=True)
class Length:
    """A longest length in characters, and what has it: a data type or a field of a version."""

    most: int
    of: str


@dataclass(frozen=True, slots=True)
class Beside:
    """What the dictionaries do not say.

    Shape: `lengths` by version and by data type (`ST`) or field (`MSH-10`); `formats` by data type. `codes` are the
    data types whose value is a code, `coded` those whose first component is one, each with who defines its table:
    `BY_HL7` or `BY_SITE`. Of `open_types` nothing is said; `first` is the data type of a first component. `open_tables`
    and `typed_tables` are numbers: of those any code goes, these take the names of data types too. `said_by` tells of a
    field (segment and number) which other field of the segment names its data type.
    """

    lengths: Mapping[tuple[str, str], Length]
    formats: Mapping[str, Format]
    codes: Mapping[str, str]
    coded: Mapping[str, str]
    open_types: frozenset[str]
    first: Mapping[str, str]
    open_tables: frozenset[str]
    typed_tables: frozenset[str]
    said_by: Mapping[tuple[str, int], int]


def beside(root: Path = specs.ROOT) -> Beside:
    """Read the tables. Errors: SpecsError."""
    folder = root / FOLDER
    types = [_datatype(row) for row in specs.table(folder / "datatypes.csv")]
    tables = [_open_table(row) for row in specs.table(folder / "open-tables.csv")]
    return Beside(
        lengths={
            (row.values["version"], row.values["of"]): _length(row) for row in specs.table(folder / "lengths.csv")
        },
        formats=read_formats(folder / "formats.csv"),
        codes=_codes(types, _VALUE),
        coded=_codes(types, _FIRST),
        open_types=frozenset(one["datatype"] for one in types if one["open"]),
        first={one["datatype"]: one["first"] for one in types if one["first"]},
        open_tables=frozenset(one["table"] for one in tables if not one["takes"]),
        typed_tables=frozenset(one["table"] for one in tables if one["takes"]),
        said_by=dict(map(_said, specs.table(folder / "said-types.csv"))),
    )


def _codes(types: Iterable[Mapping[str, str]], of: str) -> dict[str, str]:
    return {one["datatype"]: one["codes"] for one in types if one["of"] == of}


def _datatype(row: Row) -> Mapping[str, str]:
    cell = row.values
    fits = cell["codes"] in {BY_HL7, BY_SITE, ""} and cell["of"] in {_VALUE, _FIRST, ""} and cell["open"] in {"y", ""}
    if not fits or bool(cell["codes"]) != bool(cell["of"]):
        words = f"codes is {BY_HL7} or {BY_SITE} with of {_VALUE} or {_FIRST}, or both are empty; open is y or empty"
        raise SpecsError(row.origin, f"{words}: correct the row")
    return cell


def _open_table(row: Row) -> Mapping[str, str]:
    if row.values["takes"] not in {_DATATYPES, ""}:
        raise SpecsError(row.origin, f"takes is {_DATATYPES}, or empty where any code goes: correct the row")
    return row.values


def _said(row: Row) -> tuple[tuple[str, int], int]:
    segment, field, by = row.values["segment"], row.values["field"], row.values["by"]
    if not field.isdecimal() or not by.isdecimal():
        raise SpecsError(row.origin, "field and by are numbers of fields: correct the row")
    return (segment, int(field)), int(by)


def _length(row: Row) -> Length:
    version, of, most = row.values["version"], row.values["of"], row.values["most"]
    if not most.isdecimal() or not row.values["source"]:
        raise SpecsError(row.origin, "most is a number, and a length names its source: correct the row")
    return Length(int(most), f"{of} of HL7 {version}")
