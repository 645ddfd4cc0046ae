"""Code maps: what a code of one system is in another, from `specs/codes/*.csv`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gateway import specs
from gateway.specs import Origin

FOLDER = "codes"
COLUMNS = ("system", "code", "to_system", "to_code", "to_display", "source")

UNITS = "DurationUnit"
"""The code map that leads from senders' units of time to UCUM."""


@dataclass(frozen=True, slots=True)
class Coded:
    """One row of a code map.

    Shape: `system` is the name that HL7 v2 gives the code's system (`HL70001`); empty `to_system` and `display` where
    the target has none.
    """

    system: str
    code: str
    to_system: str
    to_code: str
    display: str
    origin: Origin


_WILD = re.compile(r"[*#]")


@dataclass(frozen=True, slots=True)
class CodeMap:
    """A code map.

    Shape: `rows` by code; `patterns` are the rows whose code ends in `*`, which stands for the rest, or has `#` in it,
    which stands for a number; also in the target's code and display.
    """

    name: str
    rows: Mapping[str, Coded]
    patterns: tuple[Coded, ...]

    @property
    def codes(self) -> frozenset[str] | None:
        """All of its codes, None where patterns stand for more."""
        return None if self.patterns else frozenset(self.rows)

    def find(self, code: str) -> Coded | None:
        """The row of a code, or None."""
        found = self.rows.get(code)
        if found is not None:
            return found
        for row in self.patterns:
            match = _pattern(row.code).fullmatch(code)
            if match is not None:
                to_code, display = _filled(row.to_code, match.groups()), _filled(row.display, match.groups())
                return Coded(row.system, code, row.to_system, to_code, display, row.origin)
        return None

    def __iter__(self) -> Iterator[Coded]:
        """Every row."""
        yield from self.rows.values()
        yield from self.patterns


@functools.cache
def _pattern(code: str) -> re.Pattern[str]:
    """The codes that a row with wild cards stands for."""
    return re.compile(re.escape(code).replace(r"\#", "([0-9]+)").replace(r"\*", "(.+)"), re.DOTALL)


def _filled(text: str, parts: tuple[str, ...]) -> str:
    """A target with what its wild cards stand for, in their order."""
    left = iter(parts)
    return _WILD.sub(lambda wild: next(left, wild[0]), text)


def load(folder: Path) -> Mapping[str, CodeMap]:
    """Every code map of a folder, by name.

    Errors: SpecsError for a file that is no code map, an empty code, or a code given twice.
    """
    return {path.stem: _read(path) for path in sorted(folder.glob("*.csv"))}


def laid(base: CodeMap | None, over: CodeMap) -> CodeMap:
    """A code map with another over it, whose rows replace or add to its own by their code."""
    if base is None:
        return over
    patterns = {row.code: row for row in (*over.patterns, *base.patterns)}
    patterns.update((row.code, row) for row in over.patterns)
    return CodeMap(base.name, MappingProxyType({**base.rows, **over.rows}), tuple(patterns.values()))


def _read(path: Path) -> CodeMap:
    rows: dict[str, Coded] = {}
    patterns: list[Coded] = []
    for row in specs.table(path):
        if tuple(row.values) != COLUMNS:
            raise specs.SpecsError(row.origin, "the columns of a code map are " + ", ".join(COLUMNS))
        system, code, to_system, to_code, display, _ = row.values.values()
        if not code or not to_code:
            raise specs.SpecsError(row.origin, "a code map needs both codes: fill the cell or leave the row out")
        if code in rows:
            raise specs.SpecsError(row.origin, f"{code} stands at {rows[code].origin} already: keep one of them")
        coded = Coded(system, code, to_system, to_code, display, row.origin)
        if code.endswith("*") or "#" in code:
            patterns.append(coded)
        else:
            rows[code] = coded
    return CodeMap(path.stem, MappingProxyType(rows), tuple(patterns))
