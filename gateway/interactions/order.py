"""Turns: what concerns one key is done one after the other, whatever else goes on at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from weakref import WeakValueDictionary

from gateway.interactions.refused import Refused, error

Key = tuple[str, str]


class Order:
    """Locks by key that vanish when nobody holds or awaits them."""

    def __init__(self) -> None:
        """Start with no key in use."""
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def turns(self, keys: Iterable[tuple[str, str | None]], deadline: float | None = None) -> Turns:
        """Hold the turn of several keys in an `async with`, taken in one order so that nobody waits in a circle.

        Shape: target and order key; without an order key there is no turn to wait for.
        Units: `deadline` on the event loop's clock.
        Errors: Refused (busy) where the turn does not come by then.
        """
        wanted = sorted({(target, key) for target, key in keys if key is not None})
        return Turns([self._locks.setdefault(key, asyncio.Lock()) for key in wanted], deadline)


class Turns:
    """The turns of one who holds them, or waits."""

    __slots__ = ("_deadline", "_held", "_locks")

    def __init__(self, locks: list[asyncio.Lock], deadline: float | None) -> None:
        """Hold none yet."""
        self._locks = locks
        self._held: list[asyncio.Lock] = []
        self._deadline = deadline

    async def __aenter__(self) -> None:
        """Take them."""
        if not self._locks:
            return
        try:
            async with asyncio.timeout_at(self._deadline):
                for lock in self._locks:
                    await lock.acquire()
                    self._held.append(lock)
        except BaseException as fault:
            self._release()
            if not isinstance(fault, TimeoutError):
                raise
            words = "messages with the same order key are still in hand; send the message again later"
            raise Refused("busy", error("lock-error", words)) from fault

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        self._release()

    def _release(self) -> None:
        while self._held:
            self._held.pop().release()
