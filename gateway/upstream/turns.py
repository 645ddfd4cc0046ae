"""So many requests to one target at a time: the others wait for their turn, and not for long.

They are counted here and not among the connections, where a wait too long looks like a target that is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.upstream.answer import Answer, NoTurn
from gateway.upstream.exchange import Sender


class ByTurns:
    """A `Sender` that holds requests back while others are under way, used in one event loop.

    Shape: `most` is how many are under way at a time.
    Units: `longest`, how long one waits for its turn, in seconds.
    """

    def __init__(self, sender: Sender, most: int, longest: float) -> None:
        """Hold what sends, which this object closes."""
        self._sender = sender
        self._turns = asyncio.Semaphore(most)
        self._longest = longest

    async def answered(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, most: int
    ) -> Answer:
        """What the sender is answered. Errors: NoTurn where nothing was sent; those of the sender."""
        await self._turn()
        try:
            return await self._sender.answered(method, url, headers, content, most)
        finally:
            self._turns.release()

    async def _turn(self) -> None:
        """Errors: NoTurn."""
        if not self._turns.locked():  # which is usual, and needs no clock
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(self._longest):
                await self._turns.acquire()
        except TimeoutError as error:
            raise NoTurn from error

    async def aclose(self) -> None:
        """Close what sends."""
        await self._sender.aclose()
