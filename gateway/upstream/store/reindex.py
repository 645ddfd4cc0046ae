"""The index made anew from the stored bodies, where what it is made by has changed since.

A store's file outlives the program that wrote it: another version of the index, or another table of search parameters,
finds rows there that mean something else. They are made again when the file is opened, in one transaction, with the
stretches of time in which they held: pages of a search that began before stay what they were.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from gateway.specs import FhirTables
from gateway.upstream import wire
from gateway.upstream.store.extraction import Extractor, compile_type, digest
from gateway.upstream.store.schema import COLUMNS, GONE, VERSION, emptied, parameters
from gateway.upstream.store.values import Row
from gateway.upstream.store.versions import Names, numbered

_AT_ONCE = 1000
"""Resources between two writes."""
_WAIT = "PRAGMA busy_timeout=600000"
_DO_NOT_WAIT = "PRAGMA busy_timeout=0"
_HISTORY = """
    SELECT key, type, since, until, body FROM (
      SELECT r.key, r.type, p.version, p.since, p.until, p.body FROM past p JOIN resource r ON r.key = p.resource
      UNION ALL SELECT key, type, version, since, NULL, body FROM resource
    ) ORDER BY key, version"""
_LOG = logging.getLogger(__name__)

Told = Callable[[int, int], None]
_Held = dict[tuple[str, Row], int]
"""By table and row, since when it holds."""


def reindex(
    connection: sqlite3.Connection, tables: FhirTables, *, always: bool = False, told: Told = lambda *_: None
) -> int:
    """Make the index anew where it was made by something else, or `always`; how many resources that took.

    Shape: `connection` is a writer's, outside of a transaction; `told` gets how many are done, and of how many.
    """
    wanted = digest(VERSION, tables)
    if not always and connection.execute("SELECT indexed FROM state").fetchone()[0] == wanted:
        return 0
    connection.execute(_WAIT)
    connection.execute("BEGIN IMMEDIATE")
    try:
        count = 0
        # another process may have been faster
        if always or connection.execute("SELECT indexed FROM state").fetchone()[0] != wanted:
            count = _fill(connection, tables, told)
            connection.execute("UPDATE state SET indexed = ?", (wanted,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute(_DO_NOT_WAIT)
    return count


def _fill(connection: sqlite3.Connection, tables: FhirTables, told: Told) -> int:
    total: int = connection.execute("SELECT count(*) FROM resource").fetchone()[0]
    if total:
        _LOG.warning("the store's index is made anew for %d resources", total)
    emptied(connection)
    names, numbers = Names(connection), parameters(connection)
    extractors: dict[str, Extractor] = {}
    kept: dict[str, list[Row]] = defaultdict(list)
    count = 0
    for key, marked, versions in _histories(connection):
        type_ = marked.removeprefix(GONE)
        if type_ not in extractors:
            extractors[type_] = compile_type(type_, numbers, tables)
        for table, row, since, until in _stretches(extractors[type_], versions):
            kept[table].append((*row, key, since, until))
        count += 1
        if count % _AT_ONCE == 0:
            _write(connection, names, kept)
            told(count, total)
    told(count, total)
    _write(connection, names, kept)
    if total:
        _LOG.warning("the store's index is made anew")
    return count


def _histories(connection: sqlite3.Connection) -> Iterator[tuple[int, str, list[tuple[int, int | None, bytes]]]]:
    """Each resource with its versions, the oldest first: since, until (None: it stands), body."""
    found: list[tuple[int, int | None, bytes]] = []
    before: tuple[int, str] | None = None
    for key, type_, since, until, body in connection.cursor().execute(_HISTORY):
        if before is not None and before[0] != key:
            yield (*before, found)
            found = []
        before = (key, type_)
        found.append((since, until, body))
    if before is not None:
        yield (*before, found)


def _stretches(
    extractor: Extractor, versions: Iterable[tuple[int, int | None, bytes]]
) -> Iterator[tuple[str, Row, int, int | None]]:
    """Index rows with the stretch in which each held; one that goes and comes back has two."""
    held: _Held = {}
    for since, _, body in versions:
        found = extractor.rows(wire.loads(body)) if body else {}  # a deletion has no values
        now = {(table, row) for table, rows in found.items() for row in rows}
        for gone in held.keys() - now:
            yield (*gone, held.pop(gone), since)
        for come in now - held.keys():
            held[come] = since
    for (table, row), since in held.items():
        yield table, row, since, None


def _write(connection: sqlite3.Connection, names: Names, kept: dict[str, list[Row]]) -> None:
    for table, rows in kept.items():
        width = len(COLUMNS[table]) + 1
        values = numbered(names, table, (row[:width] for row in rows))
        marks = ", ".join("?" * (width + 3))
        connection.executemany(
            f'INSERT INTO "{table}" VALUES ({marks})',  # noqa: S608 - the schema's names
            [(*value, *row[width:]) for value, row in zip(values, rows, strict=True)],
        )
        rows.clear()
