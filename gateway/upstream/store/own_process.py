"""The store's writer in a process of its own, so that indexing takes another core than the one that answers.

What is to be written goes over as JSON with a number, and the outcome comes back under it. Whoever reads stays in the
gateway's process: SQLite lets one write while others read. The other end is `__main__.py` beside this file.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway import fhir
from gateway.finding import Finding
from gateway.upstream import wire
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.room import Room
from gateway.upstream.store.writer import Unwritable

MODULE = "gateway.upstream.store"
OPENED = 0
"""Number of the first answer, which says whether the file could be opened."""
BUFFER = 64 * 1024 * 1024
"""Units: bytes that may wait in a pipe's reader."""
UNDER_WAY = 16 * 1024 * 1024
"""What may have been handed over and not be answered yet: more waits with whoever asks. Units: bytes."""
_LENGTH = 8
"""Units: bytes of a frame's length, which comes before it."""
_PATIENCE = 10.0
"""What the process gets to finish in. Units: seconds."""
_PAUSE = 30.0
"""How long after one ended the next is started. Units: seconds."""

Answer = dict[str, Any]


class WriterProcess:
    """The gateway's end: hands writes over and waits for each."""

    def __init__(self, path: Path) -> None:
        """Start nothing yet. Shape: `path` is the store's file."""
        self._path = path
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._room = Room(UNDER_WAY)
        self._sizes: dict[int, int] = {}
        self._last = OPENED
        self._not_before = 0.0

    @property
    def ready(self) -> bool:
        """Whether writes can be handed over; where not, a process is started for those to come."""
        starting = self._starting is not None and not self._starting.done()
        if self._process is None and not starting and asyncio.get_running_loop().time() >= self._not_before:
            self._starting = asyncio.create_task(self._start(), name="store-writer")
        return self._process is not None

    async def put(self, resources: Sequence[tuple[dict[str, Any], str | None]]) -> None:
        """Write resources under their own ids, all or none; see `StoreApp.put`.

        Errors: Refusal; Unwritable, also where the process ended: they may have been written or not then.
        """
        self._input()
        self._last += 1
        number = self._last
        raw = framed({"number": number, "put": resources})
        await self._room.take(len(raw))
        try:
            handed_to = self._input()  # it may have ended meanwhile
        except Unwritable:
            self._room.give(len(raw))
            raise
        self._sizes[number] = len(raw)
        handed_to.write(raw)
        answer = await self._answer(number)
        if "unwritable" in answer:
            raise Unwritable(answer["unwritable"])
        if "status" in answer:
            raise Refusal.of(answer["status"], tuple(Finding(*found) for found in answer["findings"]))

    async def aclose(self) -> None:
        """Let the process finish what it was given, and end it."""
        self._not_before = float("inf")
        if self._starting is not None:
            await asyncio.wait({self._starting})
        process, listening = self._process, self._listening
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if listening is not None:
            await asyncio.wait({listening}, timeout=_PATIENCE)
            if process is not None and process.returncode is None:
                process.kill()
            await asyncio.wait({listening})

    def _input(self) -> asyncio.StreamWriter:
        """Where writes are handed over. Errors: Unwritable where no process takes them."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            raise Unwritable("its writer is not running")
        return process.stdin

    async def _answer(self, number: int) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        try:
            return await answered
        finally:
            del self._waiting[number]

    async def _start(self) -> None:
        """Start the process; it counts as there once it has opened the file."""
        # a session of its own: an operator's Ctrl-C is for the gateway, which ends it when all is written
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", MODULE, str(self._path), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, limit=BUFFER, start_new_session=True,
        )  # fmt: skip
        self._listening = asyncio.create_task(self._listen(process), name="store-writer-answers")
        if "unwritable" not in await self._answer(OPENED):
            self._process = process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Take answers until the process ends; those who still wait then learn that it did."""
        if process.stdout is None:
            raise TypeError(process)
        try:
            while True:
                answer = wire.loads(await frame(process.stdout))
                self._room.give(self._sizes.pop(answer["number"], 0))
                waiting = self._waiting.get(answer["number"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except asyncio.IncompleteReadError:
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()
        finally:
            self._process = None
            self._not_before = max(self._not_before, asyncio.get_running_loop().time() + _PAUSE)
            for number in list(self._sizes):
                self._room.give(self._sizes.pop(number))
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result({"unwritable": "its writer ended"})


async def frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame of a pipe.

    Errors: asyncio.IncompleteReadError at its end.
    """
    return await reader.readexactly(int.from_bytes(await reader.readexactly(_LENGTH), "big"))


def framed(value: dict[str, Any]) -> bytes:
    """A value as a frame."""
    raw = fhir.dump(value)
    return len(raw).to_bytes(_LENGTH, "big") + raw
