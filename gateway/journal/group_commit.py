"""Operations that write, run together: one transaction, one wait for the disk, and no answer before it is over.

The statements of a batch run in the event loop, between two of them nothing else does; only what waits for the disk,
the commit, goes to a thread. (Statement by statement in a thread, each would wait for the interpreter's lock, and take
it away from whoever converts a message.) Whatever is handed over while a batch is committed makes the next batch. Where
one asks alone and the disk is quick (`pace.py`) it is all done as it is handed over, without task, thread or turn of
the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from gateway.exclusive import begin, begun
from gateway.journal.model import JournalUnavailable
from gateway.journal.operation import FAILURES, Operation, Result, tried, unavailable
from gateway.journal.pace import Pace
from gateway.observing import counts

T = TypeVar("T")
_Job: TypeAlias = tuple[Operation[Any], "asyncio.Future[Any]"]

# Past this a batch takes no more: bounds how long other requests wait for its statements, not its speed.
_LARGE_BATCH = 64
# How long another process may have the file. Seconds.
_PATIENCE = 5.0


def together(connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> list[Result]:
    """Run operations in the open transaction, which stays open for the commit; one that raises is undone alone.

    Shape: a result for each, in order. An operation may be run twice, its first effects undone, so it touches nothing
    but the connection.
    Errors: sqlite3.Error where the storage itself fails: then none of them is stored.
    """
    results = [tried(connection, operation) for operation in operations]
    if any(error is not None for _, error in results):
        # Rare enough that the others needn't pay for a savepoint each time.
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        results = [_behind_savepoint(connection, operation) for operation in operations]
    return results


def _behind_savepoint(connection: sqlite3.Connection, operation: Operation[Any]) -> Result:
    connection.execute("SAVEPOINT operation")
    result = tried(connection, operation)
    if result[1] is not None:
        connection.execute("ROLLBACK TO operation")
    connection.execute("RELEASE operation")
    return result


class GroupCommit:
    """The connection that writes, and the operations handed to it.

    Shape: `connect` opens the connection (again after each failure of the storage); it is used by one thread at a time,
    which need not be the one that opened it.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], pace: Pace | None = None) -> None:
        """Open nothing yet."""
        self._connect = connect
        self._pace = Pace() if pace is None else pace
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[_Job] = []
        self._thread: ThreadPoolExecutor | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take operations from now on."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-commit")

    async def stop(self) -> None:
        """Finish what was handed over, close the connection."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._running is not None:
            await asyncio.wait({self._running})
        if self._connection is not None:
            # the last connection that closes folds the write-ahead log into the file
            await asyncio.get_running_loop().run_in_executor(thread, self._connection.close)
            self._connection = None
        thread.shutdown()

    def submit(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Hand over an operation, to be done whether or not anyone still awaits its future.

        Errors: JournalUnavailable when it was not started, or, in the future, when the storage fails; in the future
        also whatever the operation raises.
        """
        if self._thread is None:
            raise JournalUnavailable("the journal is not open")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = operation, future
        if self._running is None or self._running.done():
            done = self._at_once(operation) if self._pace.in_loop() else None
            if done is not None:
                _tell((job,), done)
                return future
            self._running = asyncio.create_task(self._drain(self._thread), name="journal-commit")
        self._waiting.append(job)
        return future

    def _at_once(self, operation: Operation[Any]) -> list[Result] | None:
        """The result of an operation that asks alone, once on the disk; None where it has to wait for the file."""
        connection = self._connection
        if connection is None:
            return None
        try:
            if not begun(connection):
                return None
            results = together(connection, (operation,))
            started = time.perf_counter()
            connection.commit()
        except FAILURES as error:
            return self._failed(error, 1)
        took = time.perf_counter() - started
        self._pace.took(took)
        counts().committed(1, took)
        return results

    async def _drain(self, thread: ThreadPoolExecutor) -> None:
        # those who were woken together submit together: without this the first would make a batch of its own
        await asyncio.sleep(0)
        while self._waiting:
            batch = list(islice(self._waiting, _LARGE_BATCH))
            del self._waiting[: len(batch)]
            _tell(batch, await self._stored(thread, [operation for operation, _ in batch]))

    async def _stored(self, thread: ThreadPoolExecutor, operations: Sequence[Operation[Any]]) -> list[Result]:
        """Results of a batch once it is on the disk; after a failure the next batch opens a connection of its own."""
        in_thread = asyncio.get_running_loop().run_in_executor
        try:
            if self._connection is None:
                self._connection = await in_thread(thread, self._connect)
            await begin(self._connection, _PATIENCE)
            results = together(self._connection, operations)
            started = time.perf_counter()
            await in_thread(thread, self._connection.commit)
            took = time.perf_counter() - started
            self._pace.waited(len(operations), took, others=bool(self._waiting))
            counts().committed(len(operations), took)
        except FAILURES as error:
            return self._failed(error, len(operations))
        return results

    def _failed(self, error: Exception, operations: int) -> list[Result]:
        """What so many operations come to whose storage failed.

        What is left of the transaction goes with the connection, and so does whatever state the failure left.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # the failure itself is already on its way to all callers
                connection.close()
        return [(None, unavailable(error)) for _ in range(operations)]


def _tell(batch: Sequence[_Job], results: Sequence[Result]) -> None:
    for (_, future), (value, error) in zip(batch, results, strict=True):
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
