"""A folder as a target: each message a file, for demonstrations and for engines that read file drops.

The files hold patient data: they are for the gateway's own account, and so is a folder that the gateway makes. An
engine of another account reads a folder that its administrator made with a default ACL for it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

from gateway.upstream.answer import Answer, TargetDown

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_RECEIPT = re.compile(r"[A-Za-z0-9_\-]{1,100}")


_Job = tuple[str, bytes, asyncio.Future[None]]


class FolderTarget:
    """One folder; files that wait together are written by one thread in one go, and share the folder's sync."""

    def __init__(self, name: str, folder: Path) -> None:
        """Make nothing yet."""
        self.name = name
        self._folder = folder
        self._waiting: list[_Job] = []
        self._running: asyncio.Task[None] | None = None

    async def deliver(self, raw: bytes, receipt: str, suffix: str = "hl7") -> Answer:
        """Write `<receipt>.<suffix>`: it is there whole or not at all, and on the disk when this returns.

        Errors: TargetDown where the folder can't be written; ValueError for a receipt that is no file name.
        """
        if not _RECEIPT.fullmatch(receipt):
            raise ValueError("a receipt is letters, digits, hyphens and underscores")
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((f"{receipt}.{suffix}", raw, written))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        try:
            await asyncio.shield(written)
        except OSError as error:
            raise TargetDown(self.name, f"its folder can't be written: {error.strerror}") from error
        return Answer(200, {}, b"")

    async def _drain(self) -> None:
        while self._waiting:
            jobs, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(_write, self._folder, [(name, raw) for name, raw, _ in jobs])
            except OSError as error:
                for _, _, written in jobs:
                    written.set_exception(error)
            else:
                for _, _, written in jobs:
                    written.set_result(None)

    @property
    def breaker_state(self) -> str:
        """It has none."""
        return "closed"

    async def ready(self) -> None:
        """Whether the folder is there, or can be made.

        Errors: TargetDown.
        """
        try:
            await asyncio.to_thread(_make, self._folder)
        except OSError as error:
            raise TargetDown(self.name, f"its folder can't be made: {error.strerror}") from error

    async def aclose(self) -> None:
        """Finish what is being written."""
        if self._running is not None:
            await self._running


def _make(folder: Path) -> None:
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


def _write(folder: Path, files: Sequence[tuple[str, bytes]]) -> None:
    _make(folder)
    for name, raw in files:
        _write_one(folder, name, raw)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_one(folder: Path, name: str, raw: bytes) -> None:
    # a reader of the folder that looks for *.hl7 never sees the half-written file
    unfinished = f"{folder}/.{name}.part"
    try:
        handle = os.open(unfinished, _NEW, _FILE_MODE)
    except FileExistsError:  # left by a crash, whatever its mode
        Path(unfinished).unlink()
        handle = os.open(unfinished, _NEW, _FILE_MODE)
    try:
        left = memoryview(raw)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(unfinished, f"{folder}/{name}")  # noqa: PTH104 - a Path for each message takes longer than its file
