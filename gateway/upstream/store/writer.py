"""One writer: works that wait together are written in one transaction and acknowledged after its commit.

A work runs in the event loop, between two statements of the database nothing else runs; only the commit, which waits
for the disk, goes to a thread. (Statement by statement in a thread, each would wait for the interpreter's lock.)
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from gateway.exclusive import begin

T = TypeVar("T")

GROUP = 64
"""Most works in one commit."""
ENOUGH = 24
"""So many works are a group that waits for no more."""
LONGEST_PAUSE = 0.005
"""How long a group waits for more, at most. Units: seconds."""
_TURN = 0.001
"""How long works run before those get a turn who only read. Units: seconds."""
_PATIENCE = 10.0
"""How long another process may hold the database. Units: seconds."""


class Unwritable(Exception):  # noqa: N818 - the disk's state, told to the client as 503
    """The database could not be written (full, locked, broken); nothing of the work is stored."""


class _Work(Generic[T]):
    __slots__ = ("done", "run")

    def __init__(self, run: Callable[[], T], done: asyncio.Future[T]) -> None:
        self.run = run
        self.done = done


class Writer:
    """Runs works on one connection, grouped.

    Shape: `before` is called when a group begins, `after` before it commits, `undone` when a work failed or the group
    was rolled back: nothing that is kept outside of the database may outlive it. A work may be run more than once.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        before: Callable[[], None],
        after: Callable[[], None],
        undone: Callable[[], None],
    ) -> None:
        """Start nothing yet: the first work does."""
        self._connection = connection
        self._before, self._after, self._undone = before, after, undone
        self._waiting: deque[_Work[Any]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-commit")
        self._running: asyncio.Task[None] | None = None
        self._pause = 0.0

    async def submit(self, run: Callable[[], T]) -> T:
        """Result of a work, once it is on the disk.

        Errors: Unwritable; and what the work raised: what it wrote is undone then, the others of its group stand.
        """
        return await asyncio.shield(self.hand_over(run))

    def hand_over(self, run: Callable[[], T]) -> asyncio.Future[T]:
        """The same for whoever waits for many at once; nobody but the writer may cancel the future."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Work(run, done))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        return done

    async def aclose(self) -> None:
        """Finish what waits and close the connection."""
        if self._running is not None:
            await self._running
        self._thread.shutdown()
        self._connection.close()

    async def _drain(self) -> None:
        # what arrives in the same turn of the loop shares the first commit
        await asyncio.sleep(0)
        while self._waiting:
            if self._pause and len(self._waiting) < ENOUGH:
                await asyncio.sleep(self._pause)
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            try:
                await self._write(group)
            except Exception as error:  # noqa: BLE001 - handed to the callers that wait, who would wait for ever
                self._fail(group, error)

    async def _write(self, group: list[_Work[Any]]) -> None:
        """Run and commit a group; again without a work that failed half-way, until what is left stands."""
        while group and not await self._attempt(group):
            group = [work for work in group if not work.done.done()]

    async def _attempt(self, group: list[_Work[Any]]) -> bool:
        """Whether the group was committed; a savepoint for each work instead would copy every page that it touches."""
        connection = self._connection
        await begin(connection, _PATIENCE)
        self._before()
        results: list[tuple[_Work[Any], Any]] = []
        until = time.perf_counter() + _TURN
        for work in group:
            changes = connection.total_changes
            try:
                results.append((work, work.run()))
            except sqlite3.Error:
                raise  # the disk's state, which concerns the whole group
            except Exception as error:  # noqa: BLE001 - handed to the caller that waits; the others of the group stand
                _settle(work, error)
                self._undone()
                if connection.total_changes != changes:
                    connection.rollback()
                    return False
            if time.perf_counter() > until:
                await asyncio.sleep(0)  # a long group must not hold up who only reads
                until = time.perf_counter() + _TURN
        self._after()
        began = time.perf_counter()
        await asyncio.get_running_loop().run_in_executor(self._thread, connection.commit)
        # one who writes alone waits for nobody
        self._pause = min(time.perf_counter() - began, LONGEST_PAUSE) if len(group) > 1 else 0.0
        for work, result in results:
            work.done.set_result(result)
        return True

    def _fail(self, group: list[_Work[Any]], error: Exception) -> None:
        for work in group:
            _settle(work, Unwritable(str(error)) if isinstance(error, sqlite3.Error) else error)
        if self._connection.in_transaction:
            self._connection.rollback()
        self._undone()


def _settle(work: _Work[Any], error: Exception) -> None:
    if not work.done.done():
        work.done.set_exception(error)
