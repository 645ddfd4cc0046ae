"""Room for what is under way to somebody slower: who finds none waits for its turn."""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """So many bytes at once; more than that goes alone."""

    def __init__(self, most: int) -> None:
        """Hold nothing. Units: bytes."""
        self._most = most
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """What is under way. Units: bytes."""
        return self._taken

    async def take(self, size: int) -> None:
        """Wait until there is room, behind those who waited before."""
        if not self._waiting and self._fits(size):
            self._taken += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)
            else:
                self._waiting.remove((size, turn))
                self._next()
            raise

    def give(self, size: int) -> None:
        """Give back what was taken; those who wait take it."""
        self._taken -= size
        self._next()

    def _next(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            self._taken += size
            turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self._taken or self._taken + size <= self._most
