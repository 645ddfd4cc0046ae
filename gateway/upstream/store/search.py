"""A typed search, page by page, each page as of the moment of the first.

Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.query import Query, Sort
from gateway.specs import FhirTables
from gateway.upstream.store.conditions import Index
from gateway.upstream.store.extraction import value_rows
from gateway.upstream.store.including import included
from gateway.upstream.store.matching import body_of, few, in_order, matches
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import COLUMNS
from gateway.upstream.store.statements import Sql
from gateway.upstream.store.versions import Version

PAGE = 50
PAGE_LIMIT = 1000
"""Entries of a page where none is asked for, and the most there are."""
_COLUMN_ORDER = {"_id": "id", "_lastUpdated": "updated"}
_PLACES = {"_id": 1, "_lastUpdated": 3}
"""Where these stand in a row of `matches`."""
_TOKEN_PARTS = 2
_PAGE_IN_LOOP = 100


@dataclass(frozen=True, slots=True)
class Page:
    """What a search found.

    Shape: `total` of all pages, None where it takes counting and nobody asked; `next` the token of the next page;
    `included` comes with what was found, and `whole` says that nothing of that was left out.
    """

    found: tuple[Version, ...]
    total: int | None
    next: str | None
    included: tuple[Version, ...] = ()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Searching:
    """What every search of a store needs.

    Shape: `parameters` numbers (type, code); `base` is the address that absolute references to the store begin with.
    Units: `now` in microseconds since 1970.
    """

    tables: FhirTables
    parameters: Mapping[tuple[str, str], int]
    now: int
    base: str = ""


def search(connection: sqlite3.Connection, searching: Searching, query: Query) -> Page:
    """One page, all of it read at one moment.

    Errors: Refusal.
    """
    if connection.in_transaction:  # the writer's own, for a condition on what it writes
        return _page(connection, searching, query)
    connection.execute("BEGIN")
    try:
        return _page(connection, searching, query)
    finally:
        connection.set_progress_handler(None, 0)  # what interrupted the search would interrupt this too
        connection.execute("ROLLBACK")


def is_long(query: Query) -> bool:
    """Whether a search is known to take long before it begins: it looks into many resources."""
    looking = bool(query.includes) or any(clause.modifier == "text" for clause in query.clauses)
    return looking and (query.count or PAGE) > _PAGE_IN_LOOP


def _page(connection: sqlite3.Connection, searching: Searching, query: Query) -> Page:
    if query.summary == "text" and query.includes:
        raise Refusal(400, "invalid", "_summary=text can not go with _include or _revinclude", "_summary")
    newest: int = connection.execute("SELECT moment FROM state").fetchone()[0]
    moment, offset = (newest, 0) if query.page is None else _position(query.page, newest)
    index = Index(
        connection,
        searching.tables,
        searching.parameters,
        moment,
        moment < newest,
        searching.now,
        searching.base,
    )
    fitting = matches(index, query.type, (*query.clauses, *query.links))
    count = min(PAGE if query.count is None else query.count, PAGE_LIMIT)
    if count == 0 or query.summary == "count":
        return Page((), _total(connection, fitting), None)
    rows = _ordered(index, query, fitting, count + 1, offset)
    more = len(rows) > count
    total = None
    if query.total in {"accurate", "estimate"} and (more or offset):
        total = _total(connection, fitting)
    elif query.total != "none" and not more and (rows or not offset):
        total = offset + len(rows)
    found = tuple(_version(index, query.type, row) for row in rows[:count])
    others, whole = included(index, query.includes, found) if query.includes else ((), True)
    return Page(found, total, _token(moment, offset + count) if more else None, others, whole)


def _token(moment: int, offset: int) -> str:
    return base64.urlsafe_b64encode(f"{moment}.{offset}".encode()).decode().rstrip("=")


def _position(token: str, newest: int) -> tuple[int, int]:
    try:
        parts = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii").split(".")
    except ValueError:  # not base64, or not ASCII in it
        parts = []
    if len(parts) == _TOKEN_PARTS and all(part.isdigit() and len(part) < len(str(2**62)) for part in parts):
        moment, offset = int(parts[0]), int(parts[1])
        if moment <= newest:
            return moment, offset
    raise Refusal(400, "value", "_page is not a token that this store gave out", "_page")


def _total(connection: sqlite3.Connection, fitting: Sql) -> int:
    statement = f"SELECT count(*) FROM ({fitting.text})"  # noqa: S608 - text of this package, values bound
    return int(connection.execute(statement, fitting.values).fetchone()[0])


def _ordered(index: Index, query: Query, fitting: Sql, count: int, offset: int) -> Sequence[tuple[Any, ...]]:
    """Rows of `matches` in order: as an index has them, sorted by their bodies where they are few, else by an index."""
    if not query.sort:
        window = in_order(index, query.type, (*query.clauses, *query.links), count, offset)
        if window is not None:
            return index.connection.execute(window.text, window.values).fetchall()
    if any(key.name not in _PLACES for key in query.sort) and (known := few(index, fitting)) is not None:
        for key in reversed(query.sort):
            known = _sorted(index, query.type, key, known)
        return [row for row, _ in known[offset : offset + count]]
    return _by_index(index, query, fitting, Sql("LIMIT ? OFFSET ?", (count, offset)))


def _sorted(
    index: Index, type_: str, key: Sort, known: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]]
) -> list[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """In the order of one key, what is alike as it stood; who has no value comes last either way."""
    having, lacking = [], []
    text = index.tables.search_parameters[type_, key.name].type == "string"
    for row, resource in known:
        if key.name in _PLACES:
            values = [row[_PLACES[key.name]]]
        else:
            # rows of a text without the text itself are but other ways to find it
            rows = value_rows(type_, key.name, index.tables)(resource)
            values = [value[0] for value in rows if not text or value[1]]
        if values:
            best = (max if key.descending else min)(values)
            having.append((best, row, resource))
        else:
            lacking.append((row, resource))
    having.sort(key=lambda one: one[0], reverse=key.descending)
    return [*((row, resource) for _, row, resource in having), *lacking]


def _by_index(index: Index, query: Query, fitting: Sql, window: Sql) -> Sequence[tuple[Any, ...]]:
    order: list[str] = []
    joins: list[Sql] = []
    for number, key in enumerate(query.sort):
        direction = "DESC" if key.descending else "ASC"
        if key.name in _COLUMN_ORDER:
            order.append(f"m.{_COLUMN_ORDER[key.name]} {direction}")
            continue
        value, name = _sort_value(index, query.type, key), f"s{number}"
        joins.append(Sql(f"LEFT JOIN ({value.text} GROUP BY resource) {name} ON {name}.resource = m.key", value.values))
        order.append(f"{name}.value IS NULL, {name}.value {direction}")  # who has no value comes last either way
    statement = (
        f"SELECT m.* FROM ({fitting.text}) m {' '.join(join.text for join in joins)} "  # noqa: S608 - text of this package
        f"ORDER BY {', '.join([*order, 'm.key'])} {window.text}"
    )
    values = [value for piece in (fitting, *joins, window) for value in piece.values]
    return index.connection.execute(statement, values).fetchall()


def _sort_value(index: Index, type_: str, key: Sort) -> Sql:
    """A statement for the value of each resource to sort by: the least, or going down the greatest."""
    table = index.tables.search_parameters[type_, key.name].type
    column = COLUMNS[table][0].split()[0]
    found = f"resource, {'max' if key.descending else 'min'}({column}) AS value"
    # rows without their text are but other ways to find it
    whole = (Sql("exact <> ''"),) if table == "string" else ()
    return index.rows(table, (type_, key.name), whole, select=found).sql()


def _version(index: Index, type_: str, row: tuple[Any, ...]) -> Version:
    key, id_, number, updated, old, *_ = row
    return Version(type_, id_, number, updated, body_of(index, key, number, old))
