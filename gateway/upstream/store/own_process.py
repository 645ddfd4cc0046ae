"""The store's writer in a process of its own, so that indexing takes another core than the one that answers.

What is to be written goes over under a number, and the outcome comes back under it. Whoever reads stays in the
gateway's process: SQLite lets one write while others read. The other end is `__main__.py` beside this file; what goes
between them stands in `frames.py`. What is handed over in one turn of the loop goes in few frames.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.finding import Finding
from gateway.upstream.store.frames import Answer, Put, answers_of, frame, frame_of, put_of
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
AT_ONCE = 8
"""So many puts make a frame: a turn of the loop may convert many messages, and the process is to begin meanwhile."""
_PATIENCE = 10.0
"""What the process gets to finish in. Units: seconds."""
_PAUSE = 30.0
"""How long after one ended the next is started. Units: seconds."""


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
        self._going: list[Put] = []
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
        put = put_of(number, resources)
        size = put.size
        await self._room.take(size)
        try:
            self._input()  # it may have ended meanwhile
        except Unwritable:
            self._room.give(size)
            raise
        self._sizes[number] = size
        self._going.append(put)
        if len(self._going) == AT_ONCE:
            self._hand_over()
        elif len(self._going) == 1:
            asyncio.get_running_loop().call_soon(self._hand_over)
        answer = await self._answer(number)
        if "unwritable" in answer:
            raise Unwritable(answer["unwritable"])
        if "status" in answer:
            raise Refusal.of(answer["status"], tuple(Finding(*found) for found in answer["findings"]))

    def _hand_over(self) -> None:
        """Hand over what was put in this turn of the loop; where the process ended, whoever waits was told by then."""
        puts, self._going = self._going, []
        process = self._process
        if puts and process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(frame_of(puts))

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
                for answer in answers_of(await frame(process.stdout)):
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
