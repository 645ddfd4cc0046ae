"""Layouts: how a CSV file of one kind is written and what its columns hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from gateway.tabular.located import Located
from gateway.tabular.records import Dialect

Kind = Literal["text", "code", "integer", "decimal", "boolean", "date", "instant"]
KINDS: tuple[Kind, ...] = ("text", "code", "integer", "decimal", "boolean", "date", "instant")
Value = str | bool | int | Decimal | date | datetime


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Shape: `header` is its name in the file's header line; `formats` are those of a date or an instant, the first that
    fits counts; `codes` names the code map of a code, `among` are its codes where they can be listed; `true` and
    `false` are the words of a boolean; `pattern` is a regular expression that a text matches as a whole.
    Units: `longest` in characters.
    """

    name: str
    header: str
    kind: Kind
    required: bool = False
    title: str = ""
    formats: tuple[str, ...] = ()
    codes: str | None = None
    among: frozenset[str] | None = None
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    pattern: str | None = None
    longest: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """One layout.

    Shape: `columns` by name, in the order of the file where it has no header line; `strangers` says whether columns
    that the layout doesn't know may be there; `whole` whether a file with a faulty row is refused as a whole; `only`
    are the values of columns that a row must have to be read, others are passed over; `nothing` are the cells that
    stand for no value; `zone` is that of times without an offset. `located` is the file, for what reads the rest of it.
    """

    name: str
    title: str
    dialect: Dialect
    header: bool
    columns: Mapping[str, Column]
    located: Located
    strangers: bool = False
    whole: bool = True
    only: Mapping[str, frozenset[str]] | None = None
    nothing: frozenset[str] = frozenset({""})
    zone: str = "Europe/London"

    @property
    def needed(self) -> frozenset[str]:
        """Headers that a file must have, folded."""
        return frozenset(fold(c.header) for c in self.columns.values() if c.required)

    @property
    def known(self) -> frozenset[str]:
        """Headers that a file may have, folded."""
        return frozenset(fold(c.header) for c in self.columns.values())


def fold(header: str) -> str:
    """A header without what makes no difference: blanks around it and letter case."""
    return header.strip().casefold()


def overlap(one: Layout, other: Layout) -> bool:
    """Whether a file could be of both layouts.

    Each takes a header line that has what it needs and, unless it lets strangers pass, nothing that it doesn't know.
    """
    if not (one.header and other.header):
        return True
    both = one.needed | other.needed
    return (one.strangers or both <= one.known) and (other.strangers or both <= other.known)


def fits(layout: Layout, header: Sequence[str]) -> bool:
    """Whether a header line is one of this layout."""
    sent = [fold(cell) for cell in header]
    found = frozenset(sent)
    doubled = any(sent.count(name) > 1 for name in layout.known & found)
    return not doubled and layout.needed <= found and (layout.strangers or found <= layout.known)
