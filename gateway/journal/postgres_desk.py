"""The journal on PostgreSQL for people at a command line, beside any number of gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import asyncpg

from gateway.journal.desk import Desk, check_version
from gateway.journal.model import JournalUnavailable
from gateway.journal.postgres_batches import FAILURES, storage_fails, unavailable
from gateway.journal.postgres_reading import on_postgres
from gateway.journal.postgres_schema import MIGRATIONS, SCHEMA, Connection, Database, harden, options
from gateway.journal.steps import Work

T = TypeVar("T")
_THERE = f"SELECT to_regclass('{SCHEMA}.schema_version') IS NOT NULL"
_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"
_GATEWAYS = "SELECT count(*) FROM gateway WHERE expires > now()"


class PostgresDesk:
    """The journal of several gateways."""

    def __init__(self, connection: Connection, runner: asyncio.Runner, *, alone: bool) -> None:
        """Work on a connection that is open."""
        self._connection = connection
        self._runner = runner
        self._alone = alone

    @property
    def alone(self) -> bool:
        """Whether no gateway used the journal when this was opened; one may have begun since."""
        return self._alone

    def read(self, work: Work[T]) -> T:
        """What work that only reads comes to."""
        return _safely(self._runner, lambda: self._transaction(work, readonly=True))

    def change(self, work: Work[T]) -> T:
        """What work comes to in one transaction that writes."""
        return _safely(self._runner, lambda: self._transaction(work, readonly=False))

    async def _transaction(self, work: Work[T], *, readonly: bool) -> T:
        isolation: Literal["repeatable_read", "read_committed"] = "repeatable_read" if readonly else "read_committed"
        async with self._connection.transaction(isolation=isolation, readonly=readonly):
            return await on_postgres(self._connection, work)


@contextmanager
def desk(database: Database) -> Iterator[Desk]:
    """A desk on a database.

    Errors: JournalUnavailable, also for a schema of another version.
    """
    with asyncio.Runner() as runner:
        connection = _safely(runner, lambda: _connected(database))
        try:
            if not _safely(runner, lambda: connection.fetchval(_THERE)):
                raise JournalUnavailable("there is no journal in this database: a gateway that uses it makes one")
            check_version(_safely(runner, lambda: connection.fetchval(_VERSION)), len(MIGRATIONS))
            gateways = _safely(runner, lambda: connection.fetchval(_GATEWAYS))
            yield PostgresDesk(connection, runner, alone=gateways == 0)
        finally:
            runner.run(connection.close())


async def _connected(database: Database) -> Connection:
    """A connection on which a question may take as long as it needs: people wait, no sender does."""
    connection: Connection = await asyncpg.connect(**{**options(database), "command_timeout": None})
    try:
        await harden(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _safely(runner: asyncio.Runner, ask: Callable[[], Awaitable[T]]) -> T:
    async def asked() -> T:
        return await ask()

    try:
        return runner.run(asked())
    except FAILURES as error:
        if not storage_fails(error):
            raise
        raise unavailable(error) from error
