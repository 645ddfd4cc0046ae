"""Turns: what concerns one key is done one after the other, whatever else goes on at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from gateway.interactions.refused import Refused, error


class Order:
    """Locks by key that vanish when nobody holds or awaits them."""

    def __init__(self) -> None:
        """Start with no key in use."""
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turns(self, keys: Iterable[tuple[str, str | None]], deadline: float | None = None) -> AsyncIterator[None]:
        """Hold the turn of several keys, taken in one order so that nobody waits in a circle.

        Shape: target and order key; without an order key there is no turn to wait for.
        Units: `deadline` on the event loop's clock.
        Errors: Refused (busy) where the turn does not come by then.
        """
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout_at(deadline):
                    for target, key in sorted({(target, key) for target, key in keys if key is not None}):
                        lock = self._locks.setdefault((target, key), asyncio.Lock())
                        await stack.enter_async_context(lock)
            except TimeoutError as late:
                words = "messages with the same order key are still in hand; send the message again later"
                raise Refused("busy", error("lock-error", words)) from late
            yield
