"""Operations run together on one PostgreSQL connection: a statement for all of a kind, one commit for the batch.

Whatever is handed over while a batch is on its way makes the next one. So many requests share a few statements, whose
values travel as arrays (`unnest`), and one wait for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import asyncpg

from gateway.journal.model import JournalUnavailable
from gateway.journal.postgres_schema import ANSWERS_WITHIN, Connection
from gateway.observing import counts

T = TypeVar("T")
R = TypeVar("R")
Kind: TypeAlias = Callable[[Connection, Sequence[T]], Awaitable[Sequence[R | Exception]]]
"""What one kind of operation does for several values at once: a result, or a failure of its own, for each in order.

What it raises instead fails the batch, whose operations are then tried one by one.
"""
_Job: TypeAlias = tuple[Kind[Any, Any], Any, "asyncio.Future[Any]"]

_LARGE_BATCH = 256
_TRIES = 5
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
_OWN_FAULTS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.SyntaxOrAccessError)
"""What PostgreSQL says of a value or a statement that it can't take; all else is the storage that fails."""
FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that the server ended while nothing was asked
    OSError,
    TimeoutError,
    JournalUnavailable,
)


def storage_fails(error: Exception) -> bool:
    """Whether PostgreSQL, or the way to it, is at fault and not the one operation."""
    if isinstance(error, asyncpg.exceptions.InterfaceError):
        return not isinstance(error, ValueError)  # asyncpg's own DataError is both
    return isinstance(error, FAILURES) and not isinstance(error, _OWN_FAULTS)


def unavailable(error: Exception) -> JournalUnavailable:
    """A failure of the storage in the words of the journal."""
    if isinstance(error, JournalUnavailable):
        return JournalUnavailable(str(error))
    return JournalUnavailable(f"the journal's storage fails: {str(error) or type(error).__name__}")


class Batches:
    """The connection that operations share, and those that wait for it.

    Shape: `connect` opens it, again after each failure of the storage. With `commits` a batch is one transaction and
    nobody is answered before it is committed; without, each statement stands for itself.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, commits: bool) -> None:
        """Open nothing yet."""
        self._connect = connect
        self._commits = commits
        self._connection: Connection | None = None
        self._waiting: list[_Job] = []
        self._running: asyncio.Task[None] | None = None
        self._open = False

    def start(self) -> None:
        """Take operations from now on."""
        self._open = True

    async def stop(self) -> None:
        """Finish what was handed over, close the connection."""
        self._open = False
        if self._running is not None:
            await asyncio.wait({self._running})
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*FAILURES):  # whatever the server does with it, nobody uses it any more
                await connection.close(timeout=ANSWERS_WITHIN)

    def submit(self, kind: Kind[T, R], value: T) -> asyncio.Future[R]:
        """Hand over an operation, to be done whether or not anyone still awaits its future.

        Errors: JournalUnavailable when it was not started, or, in the future, when the storage fails; in the future
        also whatever the operation raises.
        """
        if not self._open:
            raise JournalUnavailable("the journal is not open")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((kind, value, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain(), name="journal-postgres")
        return future

    async def _drain(self) -> None:
        # those who were woken together submit together: without this the first would make a batch of its own
        await asyncio.sleep(0)
        while self._waiting:
            batch = list(islice(self._waiting, _LARGE_BATCH))
            del self._waiting[: len(batch)]
            started = time.perf_counter()
            results = await self._done(batch)
            if self._commits:
                counts().committed(len(batch), time.perf_counter() - started)
            _tell(batch, results)

    async def _done(self, batch: Sequence[_Job]) -> Sequence[Any]:
        """Results of a batch, or of its operations one by one where one of them fails all."""
        try:
            return await self._together(batch)
        except Exception as error:  # noqa: BLE001 - whoever awaits an operation gets what it raised
            if isinstance(error, FAILURES) and storage_fails(error):
                return [unavailable(error) for _ in batch]
            if len(batch) == 1:
                return [error]
        results: list[Any] = []
        for job in batch:
            results.extend(await self._done([job]))
        return results

    async def _together(self, batch: Sequence[_Job]) -> list[Any]:
        """Results of a batch once it is on the disk; again where it got into another gateway's way.

        Errors: what fails the batch; after a failure of the storage the next one opens a connection of its own.
        """
        for times in range(_TRIES):
            try:
                async with asyncio.timeout(ANSWERS_WITHIN):
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await self._connect()
                    if not self._commits:
                        return await _run(self._connection, batch)
                    async with self._connection.transaction():
                        results = await _run(self._connection, batch)
            except _AGAIN:
                if times == _TRIES - 1:
                    raise
            except BaseException as error:
                if not isinstance(error, Exception) or storage_fails(error):
                    self._drop()
                raise
            else:
                return results
        raise AssertionError  # the last try raised or returned

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


async def _run(connection: Connection, batch: Sequence[_Job]) -> list[Any]:
    """Run each kind once, in the order in which they were first handed over."""
    results: list[Any] = [None] * len(batch)
    places: dict[Kind[Any, Any], list[int]] = {}
    for place, (kind, _, _) in enumerate(batch):
        places.setdefault(kind, []).append(place)
    for kind, at in places.items():
        for place, result in zip(at, await kind(connection, [batch[place][1] for place in at]), strict=True):
            results[place] = result
    return results


def _tell(batch: Sequence[_Job], results: Sequence[Any]) -> None:
    for (_, _, future), result in zip(batch, results, strict=True):
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
