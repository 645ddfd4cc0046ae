"""Values of a search as SQL conditions over the index tables.

The type of a parameter and of a value decides the condition, never the parameter's name: another search parameter is
another row of the table of search parameters. Two alone are columns of the resource: `_id` and `_lastUpdated`.

Source: https://hl7.org/fhir/R4/search.html#prefix and the sections of each parameter type
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.query import (
    CompositeValue,
    DateValue,
    NumberValue,
    OfTypeValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    Value,
)
from gateway.specs import FhirTables
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import WIDE
from gateway.upstream.store.values import DAY, fold, microseconds

_LAST_CHARACTER = chr(0x10FFFF)
_MILLISECOND = 1000
_NEARLY = 0.1
"""What `ap` allows to either side. Source: https://hl7.org/fhir/R4/search.html#prefix"""
_EQUALITIES = re.compile(r"([a-z.]+ = \?(?: AND [a-z.]+ = \?)*)((?: AND [a-z.]+ <> '')*)")
_ARMS = 20
"""Alternatives that are looked up one by one; more are looked for in all values."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL with the values of its question marks."""

    text: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Statements that together select resources by rows of an index table.

    Shape: each of `arms` ends in a condition; `fitting` are statements that they name `fitting0`, `fitting1` ...
    """

    arms: tuple[Sql, ...]
    fitting: tuple[Sql, ...] = ()

    def sql(self, also: Sql | None = None) -> Sql:
        """One statement. Shape: `also` is a condition that its rows meet besides."""
        arms = self.arms if also is None else tuple(all_of((arm, also)) for arm in self.arms)
        named = ", ".join(f"fitting{n} AS MATERIALIZED ({one.text})" for n, one in enumerate(self.fitting))
        text = " UNION ALL ".join(arm.text for arm in arms)
        values = tuple(value for one in (*self.fitting, *arms) for value in one.values)
        return Sql(f"WITH {named} {text}" if named else text, values)


@dataclass(frozen=True, slots=True)
class Index:
    """Where and when to look.

    Shape: `parameters` numbers (type, code); `past` whether `moment` is before the newest; `base` is the address that
    absolute references to this store begin with; `checks` are called by number from SQL, with a resource's body.
    Units: `now` in microseconds since 1970.
    """

    connection: sqlite3.Connection
    tables: FhirTables
    parameters: Mapping[tuple[str, str], int]
    moment: int
    past: bool
    now: int
    base: str
    checks: list[Callable[[bytes], bool]] = field(default_factory=list)

    @property
    def at(self) -> Sql:
        """The condition that a row held at the moment."""
        if self.past:
            return Sql("since <= ? AND (until IS NULL OR until > ?)", (self.moment, self.moment))
        return Sql("until IS NULL")

    def rows(
        self, table: str, parameter: tuple[str, str], alternatives: Sequence[Sql] = (), *, select: str = "resource"
    ) -> Rows:
        """Numbers of the resources that have a row which meets one of several conditions.

        Shape: `parameter` is type and code; without alternatives any row will do; `select` names other columns to have.
        """
        start = Sql(
            f'SELECT {select} FROM "{table}" WHERE parameter = ?',  # noqa: S608 - the schema's names
            (self.parameters[parameter],),
        )
        several = listed(alternatives)
        if len(several) > _ARMS:
            several = (either(several),)
        # OR would walk through all values of the parameter
        return Rows(tuple(all_of((start, self.at, one)) for one in several) or (all_of((start, self.at)),))

    def name(self, text: str) -> int:
        """Number of a system; -1, which no row has, for one that was never stored."""
        if not text:
            return 0
        row = self.connection.execute("SELECT id FROM name WHERE text = ?", (text,)).fetchone()
        return -1 if row is None else int(row[0])

    def checked(self, check: Callable[[bytes], bool]) -> Sql:
        """The condition that a Python function takes the body of the row `r`."""
        if not self.checks:
            checks = self.checks
            self.connection.create_function("checked", 2, lambda number, body: checks[number](body))
        self.checks.append(check)
        return Sql("checked(?, r.body)", (len(self.checks) - 1,))


def all_of(pieces: Iterable[Sql]) -> Sql:
    """Every piece holds; the first may be the beginning of a statement that ends in a condition."""
    found = tuple(pieces)
    text = " AND ".join(piece.text if number == 0 else f"({piece.text})" for number, piece in enumerate(found))
    return Sql(text or "TRUE", tuple(value for piece in found for value in piece.values))


def any_of(pieces: Iterable[Sql]) -> Sql:
    """Some piece holds."""
    return either(listed(pieces))


def listed(pieces: Iterable[Sql]) -> tuple[Sql, ...]:
    """The same pieces, but equalities of the same columns as one look-up of a list."""
    alike: dict[str, list[tuple[Any, ...]]] = {}
    for piece in pieces:
        alike.setdefault(piece.text, []).append(piece.values)
    found: list[Sql] = []
    for text, several in alike.items():
        equal = _EQUALITIES.fullmatch(text)
        if len(several) > 1 and equal is not None:
            found.append(_list(equal[1], equal[2], several))
        else:
            found += [Sql(text, values) for values in several]
    return tuple(found)


def _list(equalities: str, rest: str, several: Sequence[tuple[Any, ...]]) -> Sql:
    columns = [part.removesuffix(" = ?") for part in equalities.split(" AND ")]
    values = tuple(value for one in several for value in one)
    if len(columns) == 1:
        return Sql(f"{columns[0]} IN ({','.join('?' * len(several))}){rest}", values)
    row = f"({','.join('?' * len(columns))})"
    return Sql(f"({', '.join(columns)}) IN (VALUES {','.join([row] * len(several))}){rest}", values)


def either(pieces: Sequence[Sql]) -> Sql:
    """Some piece holds, in a tree as deep as it must be: SQLite takes 1,000 levels."""
    if len(pieces) == 1:
        return Sql(f"({pieces[0].text})", pieces[0].values)
    middle = len(pieces) // 2
    one, other = either(pieces[:middle]), either(pieces[middle:])
    return Sql(f"({one.text} OR {other.text})", (*one.values, *other.values))


def of_value(index: Index, value: Value, modifier: str | None, what: str) -> tuple[Sql, ...]:
    """The condition of one value on a row of its table, as alternatives.

    Shape: `what` names the parameter, for the words of a refusal.
    Errors: Refusal.
    """
    match value:
        case StringValue():
            return (_string(value, modifier),)
        case TokenValue():
            return (_token(index, value),)
        case OfTypeValue():
            return (Sql("code = ? AND system = ?", (f"{value.code}|{value.value}", index.name(value.system))),)
        case DateValue():
            return _dates(value, index.now)
        case QuantityValue():
            unit = _unit(index, value)
            return tuple(number if unit is None else all_of((number, unit)) for number in _number(value))
        case NumberValue():
            return _number(value)
        case ReferenceValue():
            return _reference(index, value)
        case UriValue():
            return _uri(value, modifier)
        case _:
            raise Refusal(400, "not-supported", f"{what} is not offered by the store with this value", what)


def of_composite(index: Index, type_: str, value: CompositeValue, together: Sequence[bool]) -> tuple[Rows, ...]:
    """The resources that fit a composite's value: all that is told fits.

    Shape: `together` tells the components whose values must be of one repetition of an element.
    """
    parts, alone = [], []
    for (parameter, part), same in zip(value.parts, together, strict=True):
        alternatives = of_value(index, part, None, parameter.code)
        if same:
            parts.append((parameter.type, (type_, parameter.code), alternatives))
        else:
            alone.append(index.rows(parameter.type, (type_, parameter.code), alternatives))
    also: Sql | None = None
    for table, code, alternatives in reversed(parts[1:]):
        found = index.rows(table, code, alternatives, select="resource, part").sql(also)
        also = Sql(f"(resource, part) IN ({found.text})", found.values)
    if also is None:
        return tuple(alone)
    table, code, alternatives = parts[0]
    first = index.rows(table, code, alternatives)
    return Rows(tuple(all_of((arm, also)) for arm in first.arms)), *alone


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


def _dates(value: DateValue, now: int) -> tuple[Sql, ...]:
    """The table of prefixes, over the stretch of time of the value and that of the row.

    A row that reaches beyond a value begins within a day of that, or is one of the wide ones, which have their index.
    """
    first, after = microseconds(value.low), microseconds(value.high)
    margin = int(abs(now - first) * _NEARLY) if value.prefix == "ap" else 0
    early, late = first - margin, after + margin
    within = Sql("low >= ? AND low < ? AND high <= ?", (first, after, after))
    beyond = (Sql("low > ? AND high > ?", (after - DAY, after)), Sql(f"{WIDE['date']} AND high > ?", (after,)))
    return {
        "eq": (within,),
        "ne": (Sql("NOT (low >= ? AND high <= ?)", (first, after)),),
        "gt": beyond,
        "lt": (Sql("low < ?", (first,)),),
        "ge": (*beyond, within),
        "le": (Sql("low < ?", (first,)), within),
        "sa": (Sql("low >= ?", (after,)),),
        "eb": (Sql("low < ? AND high <= ?", (first, first)),),
        "ap": (
            Sql("low > ? AND low < ? AND high > ?", (early - DAY, late, early)),
            Sql(f"{WIDE['date']} AND high > ? AND low < ?", (early, late)),
        ),
    }[value.prefix]


def _number(value: NumberValue | QuantityValue) -> tuple[Sql, ...]:
    """The same for numbers; the row's bounds both belong to it, and are one but for ranges and comparators."""
    number, low, high = float(value.number), float(value.low), float(value.high)
    margin = abs(number) * _NEARLY
    wide = WIDE["number"]
    return {
        "eq": (Sql("low >= ? AND low < ? AND high < ?", (low, high, high)),),
        "ne": (Sql("NOT (low >= ? AND high < ?)", (low, high)),),
        "gt": (Sql("low > ?", (number,)), Sql(f"{wide} AND high > ?", (number,))),
        "lt": (Sql("low < ?", (number,)),),
        "ge": (Sql("low >= ?", (number,)), Sql(f"{wide} AND high >= ?", (number,))),
        "le": (Sql("low <= ?", (number,)),),
        "sa": (Sql("low > ?", (number,)),),
        "eb": (Sql("low < ? AND high < ?", (number, number)),),
        "ap": (
            Sql("low >= ? AND low <= ?", (number - margin, number + margin)),
            Sql(f"{wide} AND high >= ? AND low <= ?", (number - margin, number + margin)),
        ),
    }[value.prefix]


def _unit(index: Index, value: QuantityValue) -> Sql | None:
    if value.code is None:
        return None
    if value.system is None:
        return Sql("code = ? OR unit = ?", (value.code, value.code))
    return Sql("code = ? AND system = ?", (value.code, index.name(value.system)))


def _reference(index: Index, value: ReferenceValue) -> tuple[Sql, ...]:
    if value.url is not None:
        url, bar, version = value.url.partition("|")
        absolute = Sql("target = ? AND kind = ?" if bar else "target = ?", (url, f"|{version}") if bar else (url,))
        if value.id is None or value.url.partition(f"/{value.type}/")[0] != index.base:
            return (absolute,)
        return absolute, Sql("target = ? AND kind = ?", (value.id, value.type))
    if value.type is not None:
        return (Sql("target = ? AND kind = ?", (value.id, value.type)),)
    return (Sql("target = ? AND kind <> ''", (value.id,)),)


def _uri(value: UriValue, modifier: str | None) -> tuple[Sql, ...]:
    match modifier:
        case "below":
            return (Sql("uri >= ? AND uri < ?", (value.uri, value.uri + _LAST_CHARACTER)),)
        case "above":
            above = [value.uri, *(value.uri[: found.end()] for found in re.finditer("/+", value.uri))]
            above += [one.rstrip("/") for one in above]
            return tuple(Sql("uri = ?", (one,)) for one in dict.fromkeys(above))
        case _:
            return (Sql("uri = ?", (value.uri,)),)


def _id(_: Index, value: Value) -> Sql:
    code = value.code if isinstance(value, TokenValue) and not value.system else None
    return Sql("r.id = ?", (code,))


def _last_updated(index: Index, value: Value) -> Sql:
    """An instant of a millisecond, as the index has it; a row is no wider than what it is compared with."""
    if not isinstance(value, DateValue):
        raise Refusal(400, "value", "_lastUpdated takes a date", "_lastUpdated")
    first, after = microseconds(value.low), microseconds(value.high)
    margin = int(abs(index.now - first) * _NEARLY)
    within = "r.updated >= ? AND r.updated <= ?"
    last = after - _MILLISECOND
    return {
        "eq": Sql(within, (first, last)),
        "ne": Sql(f"NOT ({within})", (first, last)),
        "gt": Sql("r.updated > ?", (last,)),
        "lt": Sql("r.updated < ?", (first,)),
        "ge": Sql("r.updated > ? OR r.updated >= ? AND r.updated <= ?", (last, first, last)),
        "le": Sql("r.updated < ? OR r.updated >= ? AND r.updated <= ?", (first, first, last)),
        "sa": Sql("r.updated >= ?", (after,)),
        "eb": Sql("r.updated <= ?", (first - _MILLISECOND,)),
        "ap": Sql("r.updated < ? AND r.updated > ?", (after + margin, first - margin - _MILLISECOND)),
    }[value.prefix]


COLUMNS: Mapping[str, Callable[[Index, Value], Sql]] = {"_id": _id, "_lastUpdated": _last_updated}
"""Parameters that are columns of the row `r` of a resource."""
