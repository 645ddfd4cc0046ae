"""Threads that read for searches too long for the event loop, shared out so that nobody's long one holds others up.

A search gets a short turn first. One that is not done by then is stopped and begins anew in the long lane, where each
asker has one turn at a time: so the short lane is soon free for whoever comes, whatever was asked. What nobody waits
for any more is stopped at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.upstream.store.schema import open_reader

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
"""Reads, and may be done again from the start."""

STRIDE = 10_000
"""Steps of SQLite's machine between two looks whether to go on."""
SHORT_TURN = 500
"""Strides of a turn in the short lane: a quarter of a second or so."""
SHORT, LONG = 2, 2
"""Threads of each lane."""
LONG_EACH = 1
"""Turns in the long lane that one asker may have at a time."""
CLOSED = "the store is closed"


class _Turn:
    """What SQLite asks while it works: it stops where the answer is true.

    Shape: `strides` are those that the turn has, None for as many as it takes; `left` says that nobody waits any more.
    """

    __slots__ = ("left", "spent", "strides")

    def __init__(self, strides: int | None) -> None:
        self.strides = strides
        self.spent = 0
        self.left = False

    def __call__(self) -> bool:
        self.spent += 1
        return self.left or self.over

    @property
    def over(self) -> bool:
        """Whether it took more than it has."""
        return self.strides is not None and self.spent > self.strides


class _Reader:
    """A connection and the thread that uses it, both opened when they are first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="store-search")

    def work(self, work: Work[T], turn: _Turn) -> T:
        """Do a piece of work, in this reader's thread. Errors: what it raises; sqlite3.OperationalError, stopped."""
        if turn.left:
            raise sqlite3.OperationalError("nobody waits for it")
        if self._connection is None:
            self._connection = open_reader(self._path)
        self._connection.set_progress_handler(turn, STRIDE)
        try:
            return work(self._connection)
        finally:
            self._connection.set_progress_handler(None, 0)

    def close(self) -> None:
        """Close it once what it does is done."""
        self.thread.shutdown()
        if self._connection is not None:
            self._connection.close()


class _Lane:
    """Some readers, and who waits for one of them.

    Shape: one that is free goes to whoever has the fewest, of those to who came first; nobody has more than `each`.
    """

    def __init__(self, path: Path, readers: int, each: int) -> None:
        self.readers = [_Reader(path) for _ in range(readers)]
        self._free = [*self.readers]
        self._each = each
        self._held: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[_Reader]]] = []
        self._closed = False

    async def take(self, asker: str) -> _Reader:
        """A reader, when it is this asker's turn. Errors: sqlite3.OperationalError once it is closed."""
        if self._closed:
            raise sqlite3.OperationalError(CLOSED)
        turn: asyncio.Future[_Reader] = asyncio.get_running_loop().create_future()
        self._waiting.append((asker, turn))
        self._share_out()
        try:
            return await turn
        except asyncio.CancelledError:
            if (asker, turn) in self._waiting:
                self._waiting.remove((asker, turn))
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give(asker, turn.result())
            raise

    def give(self, asker: str, reader: _Reader) -> None:
        """Give a reader back."""
        self._free.append(reader)
        self._held[asker] -= 1
        if not self._held[asker]:
            del self._held[asker]
        self._share_out()

    def close(self) -> None:
        """Tell those who wait that there is nothing more to wait for; readers are closed apart."""
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for _, turn in waiting:
            if not turn.done():
                turn.set_exception(sqlite3.OperationalError(CLOSED))

    def _share_out(self) -> None:
        while self._free:
            fit = [one for one in self._waiting if self._held[one[0]] < self._each]
            if not fit:
                return  # whoever is left has its share
            found = min(fit, key=lambda one: self._held[one[0]])
            self._waiting.remove(found)
            self._held[found[0]] += 1
            found[1].set_result(self._free.pop())


class Readers:
    """All readers of one file. Used in one event loop."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._short = _Lane(path, SHORT, SHORT)
        self._long = _Lane(path, LONG, LONG_EACH)
        self._turns: set[_Turn] = set()

    async def run(self, work: Work[T], asker: str) -> T:
        """What a piece of work comes to, done in a thread.

        Errors: what it raises.
        """
        turn = _Turn(SHORT_TURN)
        try:
            return await self._turn(self._short, work, asker, turn)
        except sqlite3.OperationalError as error:
            if not turn.over or error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        return await self._turn(self._long, work, asker, _Turn(None))

    async def aclose(self) -> None:
        """Stop what is under way and close all."""
        for lane in (self._short, self._long):
            lane.close()
        for turn in self._turns:
            turn.left = True
        for reader in (*self._short.readers, *self._long.readers):
            await asyncio.to_thread(reader.close)

    async def _turn(self, lane: _Lane, work: Work[T], asker: str, turn: _Turn) -> T:
        reader = await lane.take(asker)
        done = asyncio.get_running_loop().run_in_executor(reader.thread, reader.work, work, turn)
        self._turns.add(turn)

        def over(ended: asyncio.Future[T]) -> None:
            self._turns.discard(turn)
            lane.give(asker, reader)
            if not ended.cancelled():
                ended.exception()  # where nobody waits any more, nobody is told

        done.add_done_callback(over)
        try:
            return await asyncio.shield(done)
        finally:
            turn.left = True
