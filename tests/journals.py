"""A journal's storage, SQLite or PostgreSQL, for tests that hold on both."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from gateway.journal import Database, Journal, PostgresJournal, SqliteJournal
from gateway.journal.sealed_journal import SealedJournal
from tests import postgres

T = TypeVar("T")


class Storage(Protocol):
    """Where journals are kept."""

    def journal(self) -> SqliteJournal | PostgresJournal | SealedJournal:
        """A journal on it that is not open yet: the same gateway's each time."""

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What a statement answers."""


@dataclass
class OnSqlite:
    """A file."""

    path: Path

    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.path)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql).fetchall()


@dataclass
class OnPostgres:
    """A database, and the data folders of its gateways."""

    address: str
    folder: Path
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def journal(self) -> PostgresJournal:
        return PostgresJournal(Database(self.address), self.folder)

    def another(self) -> PostgresJournal:
        """The journal of another gateway, not open yet."""
        return PostgresJournal(Database(self.address), self.folder.with_name(f"gateway-{next(self.numbers)}"))

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return postgres.rows(self.address, sql)


async def eventually(ask: Callable[[], Awaitable[T]]) -> T:
    """The first answer that is one."""
    async with asyncio.timeout(20):
        found = await ask()
        while not found:
            await asyncio.sleep(0.05)
            found = await ask()
    return found


def played(storage: Storage, play: Callable[[Journal], Awaitable[T]]) -> T:
    """What `play` answers on a journal that is opened for it and closed after it."""

    async def whole() -> T:
        async with storage.journal() as journal:
            return await play(journal)

    return asyncio.run(whole())
