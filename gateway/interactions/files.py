"""Files that came: where they are kept, and the work on them that goes on behind the answers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from starlette.requests import Request

from gateway.identity.private_file import make_folder
from gateway.interactions import body
from gateway.interactions.refused import Refused, error
from gateway.journal import kept_files
from gateway.journal.sealed import Key

CHUNK = kept_files.CHUNK
AT_ONCE = 2
"""So many files are worked on behind the answers at the same time; others wait."""

_FILE_MODE = 0o600
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Kept:
    """A file on the disk. Shape: `sha256` of its content, inflated, in hexadecimal. Units: `size` in bytes."""

    path: Path
    size: int
    sha256: str


class Files:
    """The folder of files, and the tasks that work on them.

    Shape: `keys` seal what is kept; with none it is kept as it is.
    """

    def __init__(self, folder: Path, keys: Sequence[Key] = ()) -> None:
        """Work on nothing yet."""
        self._folder = folder
        self._keys = tuple(keys)
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(AT_ONCE)

    def path(self, receipt: str) -> Path:
        """Where the file of a receipt is kept."""
        return kept_files.place(self._folder, receipt)

    def chunks(self, receipt: str) -> Iterator[bytes]:
        """The content of a file in pieces.

        Errors: OSError; Unsealable.
        """
        return kept_files.chunks(self._keys, self.path(receipt), receipt)

    def beginning(self, receipt: str) -> bytes:
        """The first bytes of a file.

        Errors: OSError; Unsealable.
        """
        found = bytearray()
        for chunk in self.chunks(receipt):
            found += chunk
            if len(found) >= CHUNK:
                break
        return bytes(found[:CHUNK])

    async def keep(self, request: Request, limit: int, receipt: str) -> Kept:
        """Write a request's body to the disk as it comes, in constant memory; it is there when this returns.

        Units: `limit` in bytes, for what was sent and for what it inflates to.
        Errors: Refused as `body.read`; 503 where it can't be written. Then nothing is left of it.
        """
        writing, digest, size = kept_files.Writing(self._keys, receipt), hashlib.sha256(), 0
        path = self._folder / f"{receipt}{writing.suffix}"
        try:
            make_folder(self._folder)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
            with os.fdopen(handle, "wb") as file:
                async for chunk in body.arriving(request, limit):
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(writing.part(chunk))
                file.write(writing.end())
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            await asyncio.to_thread(_sync, self._folder)
        except OSError as fault:
            self.drop(receipt)
            log.error("file", why=str(fault))
            words = "the file can't be kept, so nothing was taken; send it again later"
            raise Refused("down", error("transient", words, None, "HTTP-B05")) from fault
        except BaseException:
            self.drop(receipt)
            raise
        return Kept(path, size, digest.hexdigest())

    def receipts(self) -> tuple[str, ...]:
        """Receipts whose files are kept."""
        return kept_files.receipts(self._folder)

    def rested(self, receipt: str, seconds: float) -> bool:
        """Whether nothing was written to a file for so long."""
        try:
            return time.time() - self.path(receipt).stat().st_mtime >= seconds
        except FileNotFoundError:
            return False

    def drop(self, receipt: str) -> None:
        """Keep a file no longer."""
        kept_files.drop(self._folder, receipt)

    def start(self, work: Awaitable[None], name: str) -> None:
        """Let work go on behind the answers; it never raises but when it is cancelled."""
        task = asyncio.create_task(self._in_turn(work), name=f"file {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, work: Awaitable[None]) -> None:
        async with self._turn:
            await work

    async def stop(self) -> None:
        """Stop what goes on; it is taken up again at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _sync(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
