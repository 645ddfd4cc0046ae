"""Clauses of a search as SQL conditions over the index tables.

The type of a parameter and of a value decides the condition, never the parameter's name: another search parameter is
another row of the table of search parameters. Two alone are columns of the resource: `_id` and `_lastUpdated`.

Source: https://hl7.org/fhir/R4/search.html#prefix and the sections of each parameter type
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.query import (
    Clause,
    DateValue,
    MissingValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    Value,
)
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.values import fold, microseconds

_LAST_CHARACTER = chr(0x10FFFF)
_MILLISECOND = 1000
_NEARLY = 0.1
"""What `ap` allows to either side. Source: https://hl7.org/fhir/R4/search.html#prefix"""


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL with the values of its question marks."""

    text: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Index:
    """Where and when to look.

    Shape: `parameters` numbers (type, code); `past` whether `moment` is before the newest; `base` is the address that
    absolute references to this store begin with. Units: `now` in microseconds since 1970.
    """

    connection: sqlite3.Connection
    parameters: Mapping[tuple[str, str], int]
    moment: int
    past: bool
    now: int
    base: str

    @property
    def at(self) -> Sql:
        """The condition that a row held at the moment."""
        if self.past:
            return Sql("since <= ? AND (until IS NULL OR until > ?)", (self.moment, self.moment))
        return Sql("until IS NULL")

    def rows(self, type_: str, clause: Clause, condition: Sql) -> Sql:
        """Numbers of the resources that have a row which meets a condition."""
        return all_of(
            (
                Sql(
                    f'SELECT resource FROM "{clause.parameter.type}" WHERE parameter = ?',  # noqa: S608 - a table's name
                    (self.parameters[type_, clause.name],),
                ),
                self.at,
                condition,
            )
        )

    def name(self, text: str) -> int:
        """Number of a system; -1, which no row has, for one that was never stored."""
        if not text:
            return 0
        row = self.connection.execute("SELECT id FROM name WHERE text = ?", (text,)).fetchone()
        return -1 if row is None else int(row[0])


def all_of(pieces: Iterable[Sql]) -> Sql:
    """Every piece holds; the first may be the beginning of a statement that ends in a condition."""
    found = tuple(pieces)
    text = " AND ".join(piece.text if number == 0 else f"({piece.text})" for number, piece in enumerate(found))
    return Sql(text or "TRUE", tuple(value for piece in found for value in piece.values))


def any_of(pieces: Iterable[Sql]) -> Sql:
    """Some piece holds."""
    found = tuple(pieces)
    text = " OR ".join(f"({piece.text})" for piece in found)
    return Sql(f"({text})", tuple(value for piece in found for value in piece.values))


def condition(index: Index, type_: str, clause: Clause) -> Sql:
    """The condition of a clause on the row `r` of a resource.

    Errors: Refusal.
    """
    if clause.name in _COLUMNS and clause.modifier in {None, "not"}:
        found = any_of(_COLUMNS[clause.name](index, value) for value in clause.values)
        return Sql(f"NOT {found.text}", found.values) if clause.modifier else found
    if (type_, clause.name) not in index.parameters or clause.modifier == "text":
        shown = f"{clause.name}:{clause.modifier}" if clause.modifier else clause.name
        raise Refusal(400, "not-supported", f"{shown} is not offered by the store", shown)
    if clause.modifier == "missing":
        rows = index.rows(type_, clause, Sql("TRUE"))
        absent = any(isinstance(value, MissingValue) and value.missing for value in clause.values)
        return Sql(f"r.key {'NOT ' if absent else ''}IN ({rows.text})", rows.values)
    rows = index.rows(type_, clause, any_of(_of_value(index, clause, value) for value in clause.values))
    return Sql(f"r.key {'NOT ' if clause.modifier == 'not' else ''}IN ({rows.text})", rows.values)


def narrows(clause: Clause) -> bool:
    """Whether the index tables name the resources that fit a clause, rather than those that don't."""
    absent = any(isinstance(value, MissingValue) and value.missing for value in clause.values)
    return clause.name not in _COLUMNS and clause.modifier != "not" and not absent


def _of_value(index: Index, clause: Clause, value: Value) -> Sql:
    match value:
        case StringValue():
            return _string(value, clause.modifier)
        case TokenValue():
            return _token(index, value)
        case DateValue():
            return _date(value, index.now, "low", "high")
        case QuantityValue():
            return all_of((_number(value), _unit(index, value)))
        case NumberValue():
            return _number(value)
        case ReferenceValue():
            return _reference(index, value)
        case UriValue():
            return Sql("uri = ?", (value.uri,))
        case _:
            raise Refusal(
                400, "not-supported", f"{clause.name} is not offered by the store with this value", clause.name
            )


def _string(value: StringValue, modifier: str | None) -> Sql:
    folded = fold(value.text)
    match modifier:
        case "exact":
            return Sql("folded = ? AND exact = ?", (folded, value.text))
        case "contains":
            return Sql("instr(folded, ?) > 0", (folded,))
        case _:
            return Sql("folded >= ? AND folded < ?", (folded, folded + _LAST_CHARACTER))


def _token(index: Index, value: TokenValue) -> Sql:
    if value.system is None:
        return Sql("code = ?", (value.code,))
    if value.code is None:
        return Sql("system = ?", (index.name(value.system),))
    return Sql("code = ? AND system = ?", (value.code, index.name(value.system)))


def _date(value: DateValue, now: int, low: str, high: str) -> Sql:
    """The table of prefixes, over the stretch of time of the value and that of the row."""
    first, after = microseconds(value.low), microseconds(value.high)
    margin = int(abs(now - first) * _NEARLY) if value.prefix == "ap" else 0
    within = f"{low} >= ? AND {high} <= ?"
    return {
        "eq": Sql(within, (first, after)),
        "ne": Sql(f"NOT ({within})", (first, after)),
        "gt": Sql(f"{high} > ?", (after,)),
        "lt": Sql(f"{low} < ?", (first,)),
        "ge": Sql(f"({high} > ? OR {within})", (after, first, after)),
        "le": Sql(f"({low} < ? OR {within})", (first, first, after)),
        "sa": Sql(f"{low} >= ?", (after,)),
        "eb": Sql(f"{high} <= ?", (first,)),
        "ap": Sql(f"{low} < ? AND {high} > ?", (after + margin, first - margin)),
    }[value.prefix]


def _number(value: NumberValue | QuantityValue) -> Sql:
    """The same for numbers; the row's bounds both belong to it."""
    number, low, high = float(value.number), float(value.low), float(value.high)
    margin = abs(number) * _NEARLY
    return {
        "eq": Sql("low >= ? AND high < ?", (low, high)),
        "ne": Sql("NOT (low >= ? AND high < ?)", (low, high)),
        "gt": Sql("high > ?", (number,)),
        "lt": Sql("low < ?", (number,)),
        "ge": Sql("high >= ?", (number,)),
        "le": Sql("low <= ?", (number,)),
        "sa": Sql("low > ?", (number,)),
        "eb": Sql("high < ?", (number,)),
        "ap": Sql("low <= ? AND high >= ?", (number + margin, number - margin)),
    }[value.prefix]


def _unit(index: Index, value: QuantityValue) -> Sql:
    if value.code is None:
        return Sql("TRUE")
    if value.system is None:
        return Sql("code = ? OR unit = ?", (value.code, value.code))
    return Sql("code = ? AND system = ?", (value.code, index.name(value.system)))


def _reference(index: Index, value: ReferenceValue) -> Sql:
    if value.url is not None:
        url, bar, version = value.url.partition("|")
        absolute = Sql("target = ? AND kind = ?" if bar else "target = ?", (url, f"|{version}") if bar else (url,))
        if value.id is None or value.url.partition(f"/{value.type}/")[0] != index.base:
            return absolute
        return any_of((absolute, Sql("target = ? AND kind = ?", (value.id, value.type))))
    if value.type is not None:
        return Sql("target = ? AND kind = ?", (value.id, value.type))
    return Sql("target = ? AND kind <> ''", (value.id,))


def _id(_: Index, value: Value) -> Sql:
    code = value.code if isinstance(value, TokenValue) and not value.system else None
    return Sql("r.id = ?", (code,))


def _last_updated(index: Index, value: Value) -> Sql:
    if not isinstance(value, DateValue):
        raise Refusal(400, "value", "_lastUpdated takes a date", "_lastUpdated")
    return _date(value, index.now, "r.updated", f"r.updated + {_MILLISECOND}")


_COLUMNS: Mapping[str, Callable[[Index, Value], Sql]] = {"_id": _id, "_lastUpdated": _last_updated}
