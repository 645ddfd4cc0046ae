"""Turns: what concerns one key is done one after the other, whatever else goes on at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Order:
    """Locks by key that vanish when nobody holds or awaits them."""

    def __init__(self) -> None:
        """Start with no key in use."""
        self._locks: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, *key: str | None) -> AsyncIterator[None]:
        """Hold the turn of a key; with a part that is None there is no order to keep."""
        if None in key:
            yield
            return
        lock = self._locks.setdefault(tuple(str(part) for part in key), asyncio.Lock())
        async with lock:
            yield
