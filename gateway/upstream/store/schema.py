"""Tables of the store, and how a connection to them is opened.

A resource has a number (`key`); its standing version is in `resource`, the versions before it in `past`. Every write
has a moment, a number that only grows: a row holds from `since` on, and until before `until`, or still where that is
null. Whoever reads at one moment sees the same whatever is written meanwhile, which is what keeps paging stable.

Index rows belong to the resource, not to its version: a value that stays the same over an update keeps its row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from gateway.specs import FhirTables
from gateway.upstream.store.extraction import indexed

VERSION = 3
"""Of the schema, kept in `user_version`, and of what the index keeps of a value: raise it when either changes.

A file of an earlier version gets an index made anew when it is opened (`reindex`), one of version 1 new tables for it.
"""

GONE = "-"
"""Stands before the type of what was deleted: no search for the type sees it, its number and its versions stay. The
deletion is a version without a body."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "string": ("folded TEXT", "exact TEXT"),
    "token": ("code TEXT", "system INTEGER", "part INTEGER"),
    "date": ("low INTEGER", "high INTEGER"),
    "number": ("low REAL", "high REAL", "part INTEGER"),
    "quantity": ("low REAL", "high REAL", "system INTEGER", "code TEXT", "unit TEXT", "part INTEGER"),
    "reference": ("target TEXT", "kind TEXT", "part INTEGER"),
    "uri": ("uri TEXT",),
}
"""Value columns of the index table of each parameter type.

Units: dates in microseconds since 1970, `high` exclusive. `system` is a number of the table `name`, 0 for none. `kind`
is the target's type for a relative reference, `|version` for a canonical with one, empty for an absolute URL. `part`
counts the repetitions of an element from 1, where a composite parameter asks for values of the same one; else it is 0.
"""


WIDE = {"date": "high - low > 86400000000", "number": "high > low", "quantity": "high > low"}
"""Rows that reach further up than where they stand in the order of their table: periods longer than a day, ranges,
comparators. They have an index of their own, by their upper end, so that what reaches beyond a value is found without
walking through all that begins before it. Units: those of the columns; a day in microseconds."""


def _index_table(name: str, columns: tuple[str, ...]) -> str:
    names = [column.split()[0] for column in columns]
    own = ", ".join(each for each in names if each != "part")
    # the part comes after the resource, so that it can be looked up whether one resource has a value
    last = "resource, part, since" if "part" in names else "resource, since"
    values = ", ".join(f"{column} NOT NULL" for column in columns)
    return (
        f'CREATE TABLE "{name}" (parameter INTEGER NOT NULL, {values}, resource INTEGER NOT NULL, '
        f"since INTEGER NOT NULL, until INTEGER, PRIMARY KEY (parameter, {own}, {last})) WITHOUT ROWID"
    )


_TABLES = (
    """CREATE TABLE resource (key INTEGER PRIMARY KEY, type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
       since INTEGER NOT NULL, updated INTEGER NOT NULL, body BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX resource_id ON resource (type, id)",
    "CREATE INDEX resource_updated ON resource (type, updated)",
    """CREATE TABLE past (resource INTEGER NOT NULL, version INTEGER NOT NULL, since INTEGER NOT NULL,
       until INTEGER NOT NULL, updated INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (resource, version))""",
    "CREATE INDEX past_until ON past (until)",
    "CREATE TABLE parameter (id INTEGER PRIMARY KEY, type TEXT NOT NULL, code TEXT NOT NULL, UNIQUE (type, code))",
    "CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    "CREATE TABLE state (moment INTEGER NOT NULL, updated INTEGER NOT NULL, indexed TEXT NOT NULL DEFAULT '')",
    "INSERT INTO state (moment, updated) VALUES (0, 0)",
)
_INDEX = (
    *(_index_table(name, columns) for name, columns in COLUMNS.items()),
    *(f'CREATE INDEX "{name}_wide" ON "{name}" (parameter, high) WHERE {which}' for name, which in WIDE.items()),
)
_LATER = "CREATE INDEX IF NOT EXISTS past_updated ON past (updated, resource, version)"
"""What files of the same version may lack still: histories go by it."""
_FROM_1 = "ALTER TABLE state ADD COLUMN indexed TEXT NOT NULL DEFAULT ''"


class StoreError(Exception):
    """A database file that can't be used; the words say which and why."""


def open_writer(path: Path, tables: FhirTables) -> sqlite3.Connection:
    """A connection that writes; makes the file and its tables where they are missing.

    A commit is on the disk before it returns (WAL, `synchronous=FULL`). Transactions are begun by hand. Used by one
    thread at a time, which need not be the one that opened it.

    Errors: StoreError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # it holds patient data; SQLite gives its other files the same mode
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        _prepare(connection, path, tables)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} can't be used as the store's database: {error}") from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, tables: FhirTables) -> None:
    connection.execute("PRAGMA busy_timeout=10000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-65536")
    connection.execute("PRAGMA temp_store=MEMORY")
    # a checkpoint rewrites pages that a burst touches again and again: fewer of them write less
    connection.execute("PRAGMA wal_autocheckpoint=8000")
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        connection.execute("ROLLBACK")
        connection.close()
        raise StoreError(
            f"{path} has version {version} of the store's tables, this gateway knows {VERSION}: "
            "run the gateway that wrote it, or a newer one"
        )
    if version == 0:
        for statement in (*_TABLES, *_INDEX):
            connection.execute(statement)
    elif version == 1:
        for statement in (*(f'DROP TABLE "{name}"' for name in COLUMNS), *_INDEX, _FROM_1):
            connection.execute(statement)
    if version != VERSION:
        connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute(_LATER)
    connection.executemany("INSERT OR IGNORE INTO parameter (type, code) VALUES (?, ?)", indexed(tables))
    connection.execute("COMMIT")
    # from here on whoever waits for the database waits in the event loop
    connection.execute("PRAGMA busy_timeout=0")


def emptied(connection: sqlite3.Connection) -> None:
    """Take all index rows away, within a transaction of the caller."""
    for name in COLUMNS:
        connection.execute(f'DELETE FROM "{name}"')  # noqa: S608 - the schema's names


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that can't write, to a database that a writer has opened before."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA cache_size=-16384")
    return connection


def parameters(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Number of each indexed search parameter by (type, code)."""
    return {(row[1], row[2]): row[0] for row in connection.execute("SELECT id, type, code FROM parameter")}
