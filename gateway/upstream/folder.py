"""A folder as a target: each message a file, for demonstrations and for engines that read file drops."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from gateway.upstream.answer import Answer, TargetDown

_RECEIPT = re.compile(r"[A-Za-z0-9_\-]{1,100}")


class FolderTarget:
    """One folder."""

    def __init__(self, name: str, folder: Path) -> None:
        """Make nothing yet."""
        self.name = name
        self._folder = folder

    async def deliver(self, raw: bytes, receipt: str) -> Answer:
        """Write `<receipt>.hl7`: it is there whole or not at all, and on the disk when this returns.

        Errors: TargetDown where the folder can't be written; ValueError for a receipt that is no file name.
        """
        if not _RECEIPT.fullmatch(receipt):
            raise ValueError("a receipt is letters, digits, hyphens and underscores")
        try:
            await asyncio.to_thread(_write, self._folder, f"{receipt}.hl7", raw)
        except OSError as error:
            raise TargetDown(self.name, f"its folder can't be written: {error.strerror}") from error
        return Answer(200, {}, b"")

    async def ready(self) -> None:
        """Whether the folder is there, or can be made.

        Errors: TargetDown.
        """
        try:
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise TargetDown(self.name, f"its folder can't be made: {error.strerror}") from error

    async def aclose(self) -> None:
        """Nothing is open."""


def _write(folder: Path, name: str, raw: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # a reader of the folder that looks for *.hl7 never sees the half-written file
    unfinished = folder / f".{name}.part"
    with unfinished.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / name)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
