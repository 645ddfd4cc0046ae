"""A journal for people at a command line: read beside a running gateway, written where that is safe."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from gateway.journal import sqlite_schema as schema
from gateway.journal.lock import InUse, only_holder
from gateway.journal.model import JournalUnavailable
from gateway.journal.steps import Work, on_sqlite

T = TypeVar("T")
_PATIENCE = 10_000
"""How long a running gateway may have the file. Units: milliseconds."""


class Desk(Protocol):
    """Where work on a journal is done, one piece after the other. Errors: JournalUnavailable."""

    @property
    def alone(self) -> bool:
        """Whether no gateway uses the journal, and none can begin to while this is open."""

    def read(self, work: Work[T]) -> T:
        """What work that only reads comes to, all of it as of one moment."""

    def change(self, work: Work[T]) -> T:
        """What work comes to in one transaction that writes."""


class SqliteDesk:
    """The journal of a data folder."""

    def __init__(self, path: Path, connect: Callable[[Path], sqlite3.Connection], *, alone: bool) -> None:
        """Open its file.

        Errors: JournalUnavailable.
        """
        self._path = path
        self._alone = alone
        self._connection = self._safely(lambda: connect(path))

    @property
    def alone(self) -> bool:
        """Whether no gateway uses the journal."""
        return self._alone

    def read(self, work: Work[T]) -> T:
        """What work that only reads comes to."""
        return self._safely(lambda: self._transaction("BEGIN", work))

    def change(self, work: Work[T]) -> T:
        """What work comes to in one transaction that writes."""
        return self._safely(lambda: self._transaction("BEGIN IMMEDIATE", work))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _transaction(self, begin: str, work: Work[T]) -> T:
        self._connection.execute(begin)
        try:
            answer = on_sqlite(self._connection, work)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return answer

    def _safely(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (sqlite3.Error, OSError) as error:
            raise JournalUnavailable(f"the journal {self._path} can't be used: {error}") from error


@contextmanager
def to_read(path: Path) -> Iterator[Desk]:
    """A desk where nothing is written, beside a gateway or not.

    Errors: JournalUnavailable, also for a journal of another version's schema.
    """
    with _closing(SqliteDesk(_there(path), _reading, alone=False)) as desk:
        yield desk


@contextmanager
def to_write(path: Path) -> Iterator[Desk]:
    """A desk where one writes, beside a gateway or not; where none runs, none can be started meanwhile.

    Errors: JournalUnavailable, also for a journal of another version's schema that a gateway uses.
    """
    try:
        handle = only_holder(_there(path))
    except InUse:
        with _closing(SqliteDesk(path, _beside, alone=False)) as desk:
            yield desk
        return
    try:
        with _closing(SqliteDesk(path, _held, alone=True)) as desk:
            yield desk
    finally:
        os.close(handle)


@contextmanager
def _closing(desk: SqliteDesk) -> Iterator[Desk]:
    try:
        yield desk
    finally:
        desk.close()


def _there(path: Path) -> Path:
    if not path.is_file():
        raise JournalUnavailable(f"there is no journal at {path}: give the gateway's data folder with --data")
    return path


def _reading(path: Path) -> sqlite3.Connection:
    connection = schema.connect_to_read(path)
    return _of_this_version(connection)


def _beside(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    return _thorough(_of_this_version(connection))


def _held(path: Path) -> sqlite3.Connection:
    return _thorough(_patient(schema.connect(path)))


def _thorough(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A connection that overwrites what it takes out, for nobody waits for it."""
    connection.execute("PRAGMA secure_delete=ON")
    return connection


def _patient(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute(f"PRAGMA busy_timeout={_PATIENCE}")
    return connection


def _of_this_version(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        check_version(schema.schema_version(_patient(connection)), len(schema.MIGRATIONS))
    except BaseException:
        connection.close()
        raise
    return connection


def check_version(found: int, known: int) -> None:
    """See that a journal's schema is the one that this program knows: the tools change none.

    Errors: JournalUnavailable.
    """
    if found != known:
        raise JournalUnavailable(
            f"the journal is of schema {found}, and this program knows {known}: use the program that the gateway runs, "
            "or start the gateway of this one first"
        )
