"""Turns on PostgreSQL: a connection of its own that holds them, and takes them again after it broke.

A turn is an advisory lock of the connection's session. So it ends with a gateway that is gone, and also with the
connection of one that is not: then another may have it while the one that had it is still at work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from functools import partial
from typing import TypeVar

import structlog

from gateway.journal import postgres_queue as queue
from gateway.journal.model import JournalUnavailable
from gateway.journal.postgres_batches import Batches, Kind
from gateway.journal.postgres_schema import Connection, Database, connect

T = TypeVar("T")
R = TypeVar("R")
_PAUSES = (0.005, 0.01, 0.02, 0.05)
"""How long it is until a turn that another gateway has is tried again; the last again and again. Units: seconds."""

log = structlog.get_logger()


class PostgresTurns:
    """The turns of one gateway."""

    def __init__(self, database: Database) -> None:
        """Hold none, on no connection yet."""
        self._database = database
        self._batches = Batches(self._connect, commits=False)
        self._held: set[queue.Place] = set()

    def start(self) -> None:
        """Take operations from now on."""
        self._batches.start()

    async def stop(self) -> None:
        """Finish what was handed over, and let go of all turns."""
        await self._batches.stop()

    def submit(self, kind: Kind[T, R], value: T) -> asyncio.Future[R]:
        """Hand over an operation on the connection that holds the turns, as `Batches.submit`."""
        return self._batches.submit(kind, value)

    def keep(self) -> None:
        """See to it that the connection is there, so that what is held is held; who waits for it is told if not."""
        with contextlib.suppress(JournalUnavailable):  # it is closed, and turns go with their connection
            self.submit(queue.keep_turns, None).add_done_callback(_unheard)

    async def take(self, place: queue.Place) -> None:
        """As `Journal.take_turn`."""
        tries = 0
        while not await self._take(place):
            await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    async def _take(self, place: queue.Place) -> bool:
        asked = self.submit(queue.take_turns, place)
        try:
            taken = await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(partial(self._unheard_turn, place))
            raise
        if taken:
            self._held.add(place)
        return taken

    def _unheard_turn(self, place: queue.Place, asked: asyncio.Future[bool]) -> None:
        if not asked.cancelled() and asked.exception() is None and asked.result():
            self.give_back(place)

    def give_back(self, place: queue.Place) -> None:
        """As `Journal.give_turn_back`."""
        self._held.discard(place)
        with contextlib.suppress(JournalUnavailable):  # it is closed, and turns go with their connection
            self.submit(queue.give_turns_back, place).add_done_callback(_unheard)

    async def _connect(self) -> Connection:
        """A connection with the turns that are held: those of a broken one went with it."""
        connection = await connect(self._database)
        try:
            await self._take_again(connection, self._held)
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(self._broken)
        return connection

    async def _take_again(self, connection: Connection, held: Iterable[queue.Place]) -> None:
        """Take turns that are held before anything else is asked; one that another was quicker to take is lost."""
        left = list(held)
        for pause in (*_PAUSES, None):  # the server may be about to let go of the broken connection's
            if not left:
                return
            taken = await queue.take_turns(connection, left)
            left = [place for place, ours in zip(left, taken, strict=True) if not ours]
            if left and pause is not None:
                await asyncio.sleep(pause)
        for place in left:
            if place in self._held:  # and was not given back meanwhile
                self._held.discard(place)
                # without the order key, which says whose data it is
                log.error("turn_lost", target=place[0], why="another took it while the connection was broken")

    def _broken(self, _: object) -> None:
        """Connect again at once where turns are held: another waits for them, and must not get them."""
        if self._held:
            self.keep()


def _unheard(done: asyncio.Future[None]) -> None:
    """Nobody waits for this; what failed went with the connection."""
    if not done.cancelled():
        done.exception()
