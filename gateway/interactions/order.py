"""Turns: what concerns one key is done one after the other, whatever else goes on at the same time.

Within a gateway by locks; from other gateways that share its journal by the journal, once the lock is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from weakref import WeakValueDictionary

from gateway.interactions.refused import Refused, error
from gateway.journal import Journal

Key = tuple[str, str]


class Order:
    """Locks by key that vanish when nobody holds or awaits them."""

    def __init__(self, journal: Journal | None = None) -> None:
        """Start with no key in use. Shape: without a journal there is no other gateway."""
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._journal = journal if journal is not None and journal.shared else None

    def turns(self, keys: Iterable[tuple[str, str | None]], deadline: float | None = None) -> Turns:
        """Hold the turn of several keys in an `async with`, taken in one order so that nobody waits in a circle.

        Shape: target and order key; without an order key there is no turn to wait for.
        Units: `deadline` on the event loop's clock.
        Errors: Refused (busy) where the turn does not come by then; JournalUnavailable where gateways share a journal
        that fails.
        """
        wanted = sorted({(target, key) for target, key in keys if key is not None})
        locks = [(key, self._locks.setdefault(key, asyncio.Lock())) for key in wanted]
        return Turns(locks, self._journal, deadline)


class Turns:
    """The turns of one who holds them, or waits."""

    __slots__ = ("_deadline", "_held", "_journal", "_locks", "_taken")

    def __init__(self, locks: list[tuple[Key, asyncio.Lock]], journal: Journal | None, deadline: float | None) -> None:
        """Hold none yet."""
        self._locks = locks
        self._journal = journal
        self._held: list[asyncio.Lock] = []
        self._taken: list[Key] = []
        self._deadline = deadline

    async def __aenter__(self) -> None:
        """Take them."""
        if not self._locks:
            return
        try:
            async with asyncio.timeout_at(self._deadline):
                for key, lock in self._locks:
                    await lock.acquire()
                    self._held.append(lock)
                    if self._journal is not None:
                        await self._journal.take_turn(key)
                        self._taken.append(key)
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
        while self._taken and self._journal is not None:
            self._journal.give_turn_back(self._taken.pop())
        while self._held:
            self._held.pop().release()
