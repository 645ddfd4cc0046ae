"""A typed search, page by page, each page as of the moment of the first.

Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.query import Query, Sort
from gateway.specs import FhirTables
from gateway.upstream.store.conditions import Index, Sql, all_of, condition, narrows
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import BY_RESOURCE, COLUMNS
from gateway.upstream.store.versions import Version

PAGE = 50
PAGE_LIMIT = 1000
"""Entries of a page where none is asked for, and the most there are."""
_COLUMN_ORDER = {"_id": "id", "_lastUpdated": "updated"}
_TOKEN_PARTS = 2


@dataclass(frozen=True, slots=True)
class Page:
    """What a search found.

    Shape: `total` of all pages, None where it takes counting and nobody asked; `next` the token of the next page.
    """

    found: tuple[Version, ...]
    total: int | None
    next: str | None


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
        connection.execute("ROLLBACK")


def _page(connection: sqlite3.Connection, searching: Searching, query: Query) -> Page:
    _refuse(query)
    newest: int = connection.execute("SELECT moment FROM state").fetchone()[0]
    moment, offset = (newest, 0) if query.page is None else _position(query.page, newest)
    index = Index(connection, searching.parameters, moment, moment < newest, searching.now, searching.base)
    matches = _matches(index, query)
    count = min(PAGE if query.count is None else query.count, PAGE_LIMIT)
    if count == 0 or query.summary == "count":
        return Page((), _total(connection, matches), None)
    rows = _ordered(index, searching.tables, query, matches, Sql("LIMIT ? OFFSET ?", (count + 1, offset)))
    more = len(rows) > count
    total = None
    if query.total in {"accurate", "estimate"} and (more or offset):
        total = _total(connection, matches)
    elif query.total != "none" and not more:
        total = offset + len(rows)
    found = tuple(_version(connection, query.type, row) for row in rows[:count])
    return Page(found, total, _token(moment, offset + count) if more else None)


def _refuse(query: Query) -> None:
    """Refuse what the facade does itself, rather than leave it out in silence."""
    if query.elements:
        raise Refusal(400, "not-supported", "_elements is not offered by the store", "_elements")
    if query.summary not in {None, "false", "count"}:
        raise Refusal(400, "not-supported", f"_summary={query.summary} is not offered by the store", "_summary")


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


def _matches(index: Index, query: Query) -> Sql:
    """A statement for all versions that stood at the moment and fit.

    Shape: key, id, version, updated, and whether the version has been replaced since (1).
    """
    conditions = tuple(condition(index, query.type, clause) for clause in query.clauses)
    columns = "SELECT r.key, r.id, r.version, r.updated"
    if not index.past:
        # a plus keeps SQLite from walking through all resources of the type where an index names a few
        type_ = "+r.type" if any(map(narrows, query.clauses)) and not _by_id(query) else "r.type"
        return all_of((Sql(f"{columns}, 0 AS old FROM resource r WHERE {type_} = ?", (query.type,)), *conditions))
    still = Sql(f"{columns}, 0 AS old FROM resource r WHERE r.type = ? AND r.since <= ?", (query.type, index.moment))
    before = "SELECT c.key, c.type, c.id, p.version, p.updated FROM past p JOIN resource c ON c.key = p.resource"
    replaced = Sql(
        f"{columns}, 1 AS old FROM ({before} WHERE p.until > ? AND p.since <= ?) r WHERE r.type = ?",
        (index.moment, index.moment, query.type),
    )
    one, other = all_of((still, *conditions)), all_of((replaced, *conditions))
    return Sql(f"{one.text} UNION ALL {other.text}", (*one.values, *other.values))


def _by_id(query: Query) -> bool:
    return any(clause.name == "_id" and clause.modifier is None for clause in query.clauses)


def _total(connection: sqlite3.Connection, matches: Sql) -> int:
    statement = f"SELECT count(*) FROM ({matches.text})"  # noqa: S608 - text of this module, values bound
    return int(connection.execute(statement, matches.values).fetchone()[0])


def _ordered(index: Index, tables: FhirTables, query: Query, matches: Sql, window: Sql) -> list[tuple[Any, ...]]:
    order: list[str] = []
    columns, joins = [Sql("SELECT m.*")], [matches]
    for number, key in enumerate(query.sort):
        name, direction = f"s{number}", "DESC" if key.descending else "ASC"
        if key.name in _COLUMN_ORDER:
            order.append(f"m.{_COLUMN_ORDER[key.name]} {direction}")
            continue
        table, value = _sort_value(index, tables, query.type, key)
        if table in BY_RESOURCE:
            columns.append(Sql(f"({value.text} AND resource = m.key) AS {name}", value.values))
            order.append(f"{name} IS NULL, {name} {direction}")  # who has no value comes last either way
        else:
            joins.append(
                Sql(f"LEFT JOIN ({value.text} GROUP BY resource) {name} ON {name}.resource = m.key", value.values)
            )
            order.append(f"{name}.value IS NULL, {name}.value {direction}")
    statement = (
        f"{', '.join(c.text for c in columns)} FROM ({matches.text}) m {' '.join(j.text for j in joins[1:])} "
        f"ORDER BY {', '.join([*order, 'm.key'])} {window.text}"
    )
    values = [value for piece in (*columns, *joins, window) for value in piece.values]
    return index.connection.execute(statement, values).fetchall()


def _sort_value(index: Index, tables: FhirTables, type_: str, key: Sort) -> tuple[str, Sql]:
    """The table of a sort key, and a statement for the value there: the least, or going down the greatest."""
    if (type_, key.name) not in index.parameters:
        raise Refusal(400, "not-supported", f"_sort by {key.name} is not offered by the store", "_sort")
    table = tables.search_parameters[type_, key.name].type
    column = next(c.split()[0] for c in COLUMNS[table])
    found = f"{'max' if key.descending else 'min'}({column}) AS value"
    # a plus keeps SQLite from walking through all values of the parameter for one resource
    statement = (
        f'SELECT {found} FROM "{table}" WHERE +parameter = ?'  # noqa: S608 - the schema's names
        if table in BY_RESOURCE
        else f'SELECT resource, {found} FROM "{table}" WHERE parameter = ?'  # noqa: S608 - same
    )
    return table, all_of((Sql(statement, (index.parameters[type_, key.name],)), index.at))


def _version(connection: sqlite3.Connection, type_: str, row: tuple[Any, ...]) -> Version:
    key, id_, number, updated, old, *_ = row
    body: bytes
    if old:
        statement = "SELECT body FROM past WHERE resource = ? AND version = ?"
        (body,) = connection.execute(statement, (key, number)).fetchone()
    else:
        (body,) = connection.execute("SELECT body FROM resource WHERE key = ?", (key,)).fetchone()
    return Version(type_, id_, number, updated, body)
