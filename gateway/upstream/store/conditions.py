"""Values of a search as SQL conditions over the index tables.

The type of a parameter and of a value decides the condition, never the parameter's name: another search parameter is
another row of the table of search parameters. Two alone are columns of the resource: `_id` and `_lastUpdated`.

Source: https://hl7.org/fhir/R4/search.html#prefix and the sections of each parameter type
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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
from gateway.upstream.store.extraction import has_values, is_canonical
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import COLUMNS as OF_TABLE
from gateway.upstream.store.schema import WIDE
from gateway.upstream.store.statements import Rows, Sql, all_of, either, listed
from gateway.upstream.store.values import DAY, fold, microseconds, without_punctuation

URL, BUSINESS_VERSION = "url", "version"
"""The search parameters that canonical references lead to: the URL, and the version that may stand behind a bar."""

_OWN = {
    table: [name for name in (column.split()[0] for column in columns) if name != "part"]
    for table, columns in OF_TABLE.items()
}
"""Columns that the rows of a table are ordered by before their resources."""
_LAST_CHARACTER = chr(0x10FFFF)
_MILLISECOND = 1000
_NEARLY = 0.1
"""What `ap` allows to either side. Source: https://hl7.org/fhir/R4/search.html#prefix"""
_TARGETS = 10
"""An id alone is looked for as that of each type, where they are no more, by absolute addresses of this store too."""
_NOWHERE = -1
_SYSTEMS_KNOWN = 4
_SYSTEMS = """
    WITH RECURSIVE known(system) AS (
      SELECT min(system) FROM token WHERE parameter = ? AND code = ?
      UNION ALL
      SELECT (SELECT min(system) FROM token WHERE parameter = ? AND code = ? AND system > known.system)
      FROM known WHERE known.system IS NOT NULL
    ) SELECT system FROM known WHERE system IS NOT NULL LIMIT ?"""
"""Systems one after the other, each by one look into the index."""
ARMS = 20
"""Alternatives that are looked up one by one; more are looked for in all values."""


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
        if len(several) > ARMS:
            several = (either(several),)
        # OR would walk through all values of the parameter
        arms = tuple(all_of((start, self.at, one)) for one in several) or (all_of((start, self.at)),)
        equal = " AND ".join(f"{column} = ?" for column in _OWN[table])
        ordered = len(alternatives) <= ARMS and all(one.text == equal for one in alternatives)
        apart = tuple(all_of((start, self.at, one)) for one in alternatives) if ordered else ()
        return Rows(arms, apart=apart, table=table)

    def name(self, text: str) -> int:
        """Number of a system; for one that was never stored a number that no row has."""
        if not text:
            return 0
        row = self.connection.execute("SELECT id FROM name WHERE text = ?", (text,)).fetchone()
        return _NOWHERE if row is None else int(row[0])

    def systems(self, parameter: tuple[str, str], code: str) -> list[int] | None:
        """Numbers of the systems that a code was stored with, in the index of a parameter; None where they are many."""
        place = (self.parameters[parameter], code)
        rows = self.connection.execute(_SYSTEMS, (*place, *place, _SYSTEMS_KNOWN + 1)).fetchall()
        return [row[0] for row in rows] if len(rows) <= _SYSTEMS_KNOWN else None

    def checked(self, check: Callable[[bytes], bool]) -> Sql:
        """The condition that a Python function takes the body of the row `r`."""
        if not self.checks:
            checks = self.checks
            self.connection.create_function("checked", 2, lambda number, body: checks[number](body))
        self.checks.append(check)
        return Sql("checked(?, r.body)", (len(self.checks) - 1,))


def of_value(
    index: Index, place: tuple[str, str], value: Value, modifier: str | None, *, apart: bool = False
) -> tuple[Sql, ...]:
    """The condition of one value on a row of its table, as alternatives.

    Shape: `place` is the parameter's type and code; `apart` asks for rows that stand in order, if with more of them.
    Errors: Refusal.
    """
    match value:
        case StringValue():
            return _string(value, modifier)
        case TokenValue():
            return _token(index, place, value, apart=apart)
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
            return _reference(index, place, value)
        case UriValue():
            return _uri(index, place, value, modifier)
        case _:
            raise _refused(place, "is not offered by the store with this value")


def of_composite(index: Index, type_: str, value: CompositeValue, together: Sequence[bool]) -> tuple[Rows, ...]:
    """The resources that fit a composite's value: all that is told fits.

    Shape: `together` tells the components whose values must be of one repetition of an element.
    """
    parts, alone = [], []
    for (parameter, part), same in zip(value.parts, together, strict=True):
        place = (type_, parameter.code)
        alternatives = of_value(index, place, part, None)
        if same:
            parts.append((parameter.type, place, alternatives))
        else:
            alone.append(index.rows(parameter.type, place, alternatives))
    also: Sql | None = None
    for table, code, alternatives in reversed(parts[1:]):
        found = index.rows(table, code, alternatives, select="resource, part").sql(also)
        also = Sql(f"(resource, part) IN ({found.text})", found.values)
    if also is None:
        return tuple(alone)
    table, code, alternatives = parts[0]
    first = index.rows(table, code, alternatives)
    return Rows(tuple(all_of((arm, also)) for arm in first.arms)), *alone


def _string(value: StringValue, modifier: str | None) -> tuple[Sql, ...]:
    folded = fold(value.text)
    if modifier == "exact":
        return (Sql("folded = ? AND exact = ?", (folded, value.text)),)
    either_way = dict.fromkeys((folded, without_punctuation(folded)))
    if modifier == "contains":
        return tuple(Sql("instr(folded, ?) > 0", (text,)) for text in either_way)
    return tuple(Sql("folded >= ? AND folded < ?", (text, text + _LAST_CHARACTER)) for text in either_way)


def _token(index: Index, place: tuple[str, str], value: TokenValue, *, apart: bool = False) -> tuple[Sql, ...]:
    if value.code is None:
        return (Sql("system = ?", (index.name(value.system or ""),)),)
    codes = dict.fromkeys((value.code, *([value.code.casefold()] if _is_text(index, place) else ())))
    if value.system is not None:
        system = index.name(value.system)
        return tuple(Sql("code = ? AND system = ?", (code, system)) for code in codes)
    found: list[Sql] = []
    for code in codes:
        # the rows of one system stand in the order of their resources, those of any system do not
        systems = index.systems(place, code) if apart else None
        if systems is None:
            found.append(Sql("code = ?", (code,)))
        else:
            found += [Sql("code = ? AND system = ?", (code, one)) for one in systems or (_NOWHERE,)]
    return tuple(found)


def _is_text(index: Index, place: tuple[str, str]) -> bool:
    """Whether the codes of a parameter are plain text, whose case does not count."""
    parameter = index.tables.search_parameters[place]
    return parameter.type == "token" and has_values(*place, "string", index.tables)


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


def _reference(index: Index, place: tuple[str, str], value: ReferenceValue) -> tuple[Sql, ...]:
    """References to a resource, relative and absolute ones with this store's address alike."""
    if value.version is not None:
        raise _refused(place, f"is searched by a resource, not by its version {value.version}: leave the version out")
    if value.url is not None:
        url, bar, version = value.url.partition("|")
        exact = bar or not is_canonical(*place, index.tables)  # a URL may stand with any version in a canonical
        kind = f"|{version}" if bar else ""
        absolute = Sql("target = ? AND kind = ?", (url, kind)) if exact else Sql("target = ?", (url,))
        if value.id is None or value.url.partition(f"/{value.type}/")[0] != index.base:
            return (absolute,)
        return absolute, Sql("target = ? AND kind = ?", (value.id, value.type))
    if value.type is not None:
        own = f"{index.base}/{value.type}/{value.id}"
        return tuple(Sql("target = ? AND kind = ?", pair) for pair in ((value.id, value.type), (own, "")))
    targets = index.tables.search_parameters[place].targets
    if not 0 < len(targets) <= _TARGETS:
        return (Sql("target = ? AND kind <> ''", (value.id,)),)
    pairs = [pair for one in targets for pair in ((value.id, one), (f"{index.base}/{one}/{value.id}", ""))]
    return tuple(Sql("target = ? AND kind = ?", pair) for pair in pairs)


def _uri(index: Index, place: tuple[str, str], value: UriValue, modifier: str | None) -> tuple[Sql, ...]:
    if modifier in {"above", "below"} and value.uri.lower().startswith("urn:"):
        raise _refused(place, f"can not be {modifier} a URN, which is part of nothing: leave :{modifier} out")
    match modifier:
        case "below":
            return (Sql("uri >= ? AND uri < ?", (value.uri, value.uri + _LAST_CHARACTER)),)
        case "above":
            above = [value.uri, *(value.uri[: found.end()] for found in re.finditer("/+", value.uri))]
            above += [one.rstrip("/") for one in above]
            return tuple(Sql("uri = ?", (one,)) for one in dict.fromkeys(above))
        case _:
            return Sql("uri = ?", (value.uri,)), *_canonical(index, place, value.uri)


def _canonical(index: Index, place: tuple[str, str], uri: str) -> tuple[Sql, ...]:
    """Further ways in which a URL with or without a business version fits.

    Source: https://hl7.org/fhir/R4/search.html#uri and #versions
    """
    type_, code = place
    url, bar, version = uri.rpartition("|")
    if not bar:  # any version of what is referred to
        reaches = has_values(type_, code, "canonical", index.tables)
        return (Sql("uri >= ? AND uri < ?", (f"{uri}|", f"{uri}}}")),) if reaches else ()
    if code != URL or (type_, BUSINESS_VERSION) not in index.parameters:
        return ()
    wanted = _token(index, (type_, BUSINESS_VERSION), TokenValue(version, None, version))
    having = index.rows("token", (type_, BUSINESS_VERSION), wanted).sql()
    return (Sql(f"uri = ? AND resource IN ({having.text})", (url, *having.values)),)


def _refused(place: tuple[str, str], words: str) -> Refusal:
    return Refusal(400, "not-supported", f"{place[1]} {words}", place[1])


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
