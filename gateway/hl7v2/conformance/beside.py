"""What the dictionaries do not say: longest lengths, and tables whose codes can't be listed.

Both stand beside them, written by hand: `lengths.csv` and `open-tables.csv`, each row with its source or its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import specs
from gateway.hl7v2.definitions import FOLDER
from gateway.specs import Row, SpecsError


@dataclass(frozen=True, slots=True)
class Length:
    """A longest length in characters, and what has it: a data type or a field of a version."""

    most: int
    of: str


@dataclass(frozen=True, slots=True)
class Beside:
    """What the dictionaries do not say.

    Shape: `lengths` by version and by data type (`ST`) or field (`MSH-10`); `open_tables` are numbers.
    """

    lengths: Mapping[tuple[str, str], Length]
    open_tables: frozenset[str]


def beside(root: Path = specs.ROOT) -> Beside:
    """Read both tables. Errors: SpecsError."""
    folder = root / FOLDER
    lengths = {(row.values["version"], row.values["of"]): _length(row) for row in specs.table(folder / "lengths.csv")}
    return Beside(lengths, frozenset(row.values["table"] for row in specs.table(folder / "open-tables.csv")))


def _length(row: Row) -> Length:
    version, of, most = row.values["version"], row.values["of"], row.values["most"]
    if not most.isdecimal() or not row.values["source"]:
        raise SpecsError(row.origin, "most is a number, and a length names its source: correct the row")
    return Length(int(most), f"{of} of HL7 {version}")
