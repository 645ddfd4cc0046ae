"""Files that came: where they are kept, and the work on them that goes on behind the answers."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from starlette.requests import Request

from gateway.identity.private_file import make_folder
from gateway.interactions import body
from gateway.interactions.refused import Refused, error

CHUNK = 64 * 1024
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
    """The folder of files, and the tasks that work on them."""

    def __init__(self, folder: Path) -> None:
        """Work on nothing yet."""
        self._folder = folder
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(AT_ONCE)

    def path(self, receipt: str) -> Path:
        """Where the file of a receipt is kept."""
        return self._folder / f"{receipt}.csv"

    async def keep(self, request: Request, limit: int, receipt: str) -> Kept:
        """Write a request's body to the disk as it comes, in constant memory; it is there when this returns.

        Units: `limit` in bytes, for what was sent and for what it inflates to.
        Errors: Refused as `body.read`; 503 where it can't be written. Then nothing is left of it.
        """
        path, digest, size = self.path(receipt), hashlib.sha256(), 0
        try:
            make_folder(self._folder)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
            with os.fdopen(handle, "wb") as file:
                async for chunk in body.arriving(request, limit):
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
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
        return tuple(sorted(path.stem for path in self._folder.glob("*.csv")))

    def drop(self, receipt: str) -> None:
        """Keep a file no longer."""
        self.path(receipt).unlink(missing_ok=True)

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


def chunks(path: Path) -> Iterator[bytes]:
    """A file in pieces.

    Errors: OSError.
    """
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def beginning(path: Path) -> bytes:
    """The first bytes of a file.

    Errors: OSError.
    """
    with path.open("rb") as file:
        return file.read(CHUNK)


def _sync(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
