"""Operations that only read: the short ones at once, those that may be long in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.journal.model import JournalUnavailable
from gateway.journal.operation import FAILURES, Operation, storage_fails, unavailable

T = TypeVar("T")


class _Reader:
    """One connection. Shape: `connect` opens it, again after each failure of the storage."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

    def ask(self, operation: Operation[T]) -> T:
        """What an operation answers.

        Errors: JournalUnavailable where the storage fails; whatever else the operation raises.
        """
        try:
            self._connection = self._connection or self._connect()
            return operation(self._connection)
        except FAILURES as error:
            if isinstance(error, sqlite3.Error) and not storage_fails(error):
                raise
            self.close()
            raise unavailable(error) from error

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # of a storage that fails, which is told anyway
                connection.close()


class Reading:
    """The connections that read: one for the event loop, one for a thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Open nothing yet."""
        self._here, self._aside = _Reader(connect), _Reader(connect)
        self._thread: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Take operations from now on."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")

    async def stop(self) -> None:
        """Finish what was asked and close the connections."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._here.close()
            await asyncio.get_running_loop().run_in_executor(thread, self._aside.close)
            thread.shutdown()

    def at_once(self, operation: Operation[T]) -> T:
        """What a short operation (a look-up by an index) answers: handing it to a thread would take longer.

        Errors: JournalUnavailable, also before `start`; whatever else the operation raises.
        """
        if self._thread is None:
            raise JournalUnavailable("the journal is not open")
        return self._here.ask(operation)

    async def in_thread(self, operation: Operation[T]) -> T:
        """What an operation answers that may read much.

        Errors: as `at_once`.
        """
        if self._thread is None:
            raise JournalUnavailable("the journal is not open")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._aside.ask, operation)
