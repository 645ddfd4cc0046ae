"""Several messages of a batch in hand at once: their answers leave in order, and those of one key wait for each other.

A message waits for the disk most of its time, and many that wait together wait once (group commit).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from collections.abc import Set as AbstractSet

import structlog

MOST = 16
"""Messages in hand at once."""
LARGEST = 1024 * 1024
"""Units: bytes of the messages in hand at once; one that is larger is in hand alone."""
log = structlog.get_logger()


class Ahead:
    """Answers that are due, in order: some are made already, others are being made."""

    def __init__(self) -> None:
        """Begin with nothing in hand."""
        self._due: deque[tuple[bytes | asyncio.Task[bytes], int]] = deque()
        self._last: dict[Hashable, asyncio.Task[bytes]] = {}
        self._size = 0
        self._count = 0

    def add(self, answer: bytes) -> None:
        """Add an answer that is made; an empty one is none."""
        if answer:
            self._due.append((answer, 0))

    def begin(self, work: Callable[[], Awaitable[bytes]], keys: AbstractSet[Hashable] | None, size: int) -> None:
        """Begin the work that makes an answer, once what was begun before under any of its keys has ended.

        Shape: without `keys` (None) it waits for all that was begun before, and all that follows waits for it.
        """
        self._last = {key: task for key, task in self._last.items() if not task.done()}
        everything = keys is None or None in self._last
        before = (
            set(self._last.values()) if everything else {self._last[key] for key in keys or () if key in self._last}
        )

        async def in_turn() -> bytes:
            if before:
                await asyncio.wait(before)
            return await work()

        task = asyncio.create_task(in_turn())
        for key in (None,) if keys is None else (*keys, task):
            self._last[key] = task
        self._due.append((task, size))
        self._size += size
        self._count += 1

    def is_full(self, size: int) -> bool:
        """Whether another message of a size has to wait for room."""
        return self._count > 0 and (self._count >= MOST or self._size + size > LARGEST)

    def made(self) -> Iterator[bytes]:
        """Answers that may leave now, without waiting.

        Errors: what the work raised.
        """
        while self._due:
            first = self._due[0][0]
            if isinstance(first, bytes):
                self._due.popleft()
                yield first
            elif first.done():
                yield self._taken(first)
            else:
                return

    async def wait(self) -> None:
        """Wait until the first answer that is due is made."""
        if self._due and isinstance(task := self._due[0][0], asyncio.Task):
            await asyncio.wait({task})

    def __bool__(self) -> bool:
        """Whether any answer is due."""
        return bool(self._due)

    def _taken(self, task: asyncio.Task[bytes]) -> bytes:
        _, size = self._due.popleft()
        self._size -= size
        self._count -= 1
        return task.result()

    def leave(self) -> None:
        """Leave what is in hand to itself: it is settled all the same, with nobody there to hear its answer."""
        for task, _ in self._due:
            if isinstance(task, asyncio.Task):
                _LEFT.add(task)
                task.add_done_callback(_ended)


_LEFT: set[asyncio.Task[bytes]] = set()
"""Work that nobody awaits: an event loop alone doesn't keep its tasks alive."""


def _ended(task: asyncio.Task[bytes]) -> None:
    _LEFT.discard(task)
    if not task.cancelled() and (fault := task.exception()) is not None:
        log.error("batch", why=f"a message that nobody awaited any more ended in {type(fault).__name__}")
