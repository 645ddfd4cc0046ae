"""A lane: one thread with one SQLite connection, which takes its operations in batches.

Whatever is handed over while a batch is at work makes the next batch. The writer's lane puts a batch into one
transaction (group commit): one wait for the disk serves all of them, and none is answered before it is over. The
event loop is woken once a batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from gateway.journal.model import JournalUnavailable

T = TypeVar("T")
Operation: TypeAlias = Callable[[sqlite3.Connection], T]
Result: TypeAlias = tuple[Any, Exception | None]
Run: TypeAlias = Callable[[sqlite3.Connection, Sequence[Operation[Any]]], list[Result]]
_Job: TypeAlias = tuple[Operation[Any], "asyncio.Future[Any]"]

# Past this a batch takes no more: bounds the memory of one transaction, not its speed.
_LARGE_BATCH = 256


def commit_together(connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> list[Result]:
    """Run operations in one transaction; one that raises is undone alone.

    Shape: a result for each, in order. An operation may be run twice, its first effects undone, so it touches nothing
    but the connection.
    Errors: sqlite3.Error where the storage itself fails: then none of them is stored.
    """
    connection.execute("BEGIN IMMEDIATE")
    results = read_each(connection, operations)
    if any(error is not None for _, error in results):
        # Rare enough that the others needn't pay for a savepoint each time.
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        results = [_behind_savepoint(connection, operation) for operation in operations]
    connection.execute("COMMIT")
    return results


def _behind_savepoint(connection: sqlite3.Connection, operation: Operation[Any]) -> Result:
    connection.execute("SAVEPOINT operation")
    result = _tried(connection, operation)
    if result[1] is not None:
        connection.execute("ROLLBACK TO operation")
    connection.execute("RELEASE operation")
    return result


def read_each(connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> list[Result]:
    """Run operations one after the other; outside a transaction each sees what was committed when it starts.

    Shape: a result for each, in order.

    Errors: sqlite3.Error where the storage itself fails.
    """
    return [_tried(connection, operation) for operation in operations]


def _tried(connection: sqlite3.Connection, operation: Operation[Any]) -> Result:
    try:
        return operation(connection), None
    except Exception as error:
        # Not swallowed: whoever awaits the operation gets it, and the thread goes on for the others.
        if _storage_fails(error):
            raise
        return None, error


def _storage_fails(error: Exception) -> bool:
    """Whether the disk or the file is at fault, not the one operation.

    Source: https://docs.python.org/3/library/sqlite3.html#exceptions: OperationalError is full, locked, I/O;
    DatabaseError itself (none of its kinds) is a file that is damaged.
    """
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


class Lane:
    """The thread, its connection and the operations handed to it.

    Shape: `connect` opens the connection (again after each failure of the storage), `run` does a batch.
    """

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection], run: Run) -> None:
        """Make a lane that is not at work yet."""
        self._connect = connect
        self._run = run
        self._submitted: list[_Job] = []
        self._jobs: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._open = False

    def start(self) -> None:
        """Start the thread."""
        self._open = True
        self._thread.start()

    async def stop(self) -> None:
        """Finish what was handed over, close the connection, end the thread."""
        if self._open:
            self._open = False
            self._hand_over()
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)

    def submit(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Hand over an operation, to be done whether or not anyone still awaits its future.

        Errors: JournalUnavailable when the lane is not at work, or, in the future, when the storage fails; in the
        future also whatever the operation raises.
        """
        if not self._open:
            raise JournalUnavailable("the journal is not open")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if not self._submitted:
            # Those who were woken together submit together: without this the first would make a batch of its own.
            loop.call_soon(self._hand_over)
        self._submitted.append((operation, future))
        return future

    def _hand_over(self) -> None:
        if self._submitted:
            self._jobs.put(self._submitted)
            self._submitted = []

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        more = True
        while more:
            batch, more = self._gather()
            if batch:
                connection = self._serve(connection, batch)
        if connection is not None:
            connection.close()

    def _gather(self) -> tuple[list[_Job], bool]:
        """All that waits, at least one; and whether more may follow."""
        batch: list[_Job] = []
        jobs = self._jobs.get()
        while jobs is not None:
            batch += jobs
            if len(batch) >= _LARGE_BATCH:
                return batch, True
            try:
                jobs = self._jobs.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _serve(self, connection: sqlite3.Connection | None, batch: Sequence[_Job]) -> sqlite3.Connection | None:
        """Run a batch and tell its futures; answer the connection, or None where the next batch is to open one."""
        try:
            connection = connection or self._connect()
            results = self._run(connection, [operation for operation, _ in batch])
        except (sqlite3.Error, OSError, MemoryError, JournalUnavailable) as error:
            # What is left of the transaction goes with the connection, and so does whatever state the failure left.
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):  # the failure itself is already on its way to all callers
                    connection.close()
            connection = None
            words = str(error) if isinstance(error, JournalUnavailable) else f"the journal's storage fails: {error}"
            results = [(None, JournalUnavailable(words)) for _ in batch]
        _tell(batch, results)
        return connection


def _tell(batch: Sequence[_Job], results: Sequence[Result]) -> None:
    """Wake each event loop once with all the results that it awaits."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Result]]] = {}
    for (_, future), result in zip(batch, results, strict=True):
        by_loop.setdefault(future.get_loop(), []).append((future, result))
    for loop, told in by_loop.items():
        with contextlib.suppress(RuntimeError):  # a loop that was closed has nobody left who awaits
            loop.call_soon_threadsafe(_resolve, told)


def _resolve(told: Sequence[tuple[asyncio.Future[Any], Result]]) -> None:
    for future, (value, error) in told:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
