"""Exports under way and done: who may see each, its files below the data folder, and their end.

Each has a folder with what is known of it (`export.json`) beside its files, so that every process of the gateway finds
it and one that is done outlives them. Whoever makes one holds a lock on its folder: one that is not done and that
nobody holds ended with its process, and says so.
Source: http://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from gateway.finding import Finding
from gateway.identity.private_file import make_folder, write_private
from gateway.interactions import export_state
from gateway.interactions.export_state import Failure, Owner, State
from gateway.interactions.faults import trace

LIFETIME = timedelta(hours=1)
"""How long the files stay after an export is done."""
MOST_AT_ONCE = 2
"""Exports that one caller may have under way."""
MOST_KEPT = 10
"""Exports that one caller may have, under way or done."""
FILE_MODE = 0o600
STATE, LOCK, NEW = "export.json", "lock", ".new-"
NOBODY = (Finding(
    "error", "transient", "the gateway was started anew while this export was made; begin it again", None, "HTTP-O09"
),)  # fmt: skip
FAULT = (Finding(
    "error", "exception", "the export failed; begin it again, and tell the gateway's operator its address if that does "
    "not help", None, "HTTP-O09",
),)  # fmt: skip
log = structlog.get_logger()


class TooLarge(Exception):  # noqa: N818 - a state of the export, told to whoever asks for it
    """The files of one caller's exports would take more than they may."""


@dataclass(slots=True)
class Export:
    """One export as the process that makes it, or is asked for it, knows it. Shape: `folder` is its own."""

    state: State
    folder: Path
    lock: int | None = None
    task: asyncio.Task[None] | None = field(default=None)

    def path(self, resource_type: str) -> Path:
        """The file of a type."""
        return self.folder / f"{resource_type}.ndjson"

    def save(self) -> None:
        """Write down what is known of it. Errors: OSError."""
        write_private(self.folder / STATE, export_state.written(self.state))

    def add(self, resource_type: str, lines: bytes, count: int, room: int) -> None:
        """Write resources, a line each, to the file of their type.

        Units: `room` in bytes: what it may hold more than it does.
        Errors: OSError as the file system says; TooLarge.
        """
        if len(lines) > room:
            raise TooLarge
        handle = os.open(self.path(resource_type), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(handle, "ab") as file:
            file.write(lines)
        files = {**self.state.files, resource_type: self.state.files.get(resource_type, 0) + count}
        self.state = replace(self.state, files=files, size=self.state.size + len(lines))

    def drop_files(self) -> None:
        """Remove its files; what is known of it stays. Errors: OSError."""
        for file in self.folder.glob("*.ndjson"):
            file.unlink()
        self.state = replace(self.state, files={}, size=0)


Work = Callable[[Export], Awaitable[Failure | None]]
"""Writes the files; what ended it early, None for nothing. Errors: what it raises is told as a fault."""


class Exports:
    """All exports of a data folder, with those that this process makes."""

    def __init__(self, folder: Path, lifetime: Callable[[], timedelta] = lambda: LIFETIME) -> None:
        """Look at what earlier processes left: what is no export goes at once, the rest after its time."""
        self._folder = folder
        self._lifetime = lifetime
        self._mine: dict[str, Export] = {}
        self._ends: set[asyncio.Task[None]] = set()
        for path in folder.iterdir() if folder.is_dir() else ():
            if _read(path) is not None:
                self._end_later(path.name)
            elif not _is_held(path):
                shutil.rmtree(path, ignore_errors=True)

    def of(self, caller: str, now: datetime) -> list[State]:
        """What a caller has, the oldest first; what has expired is removed."""
        self.expire(now)
        return sorted((one for one in self._states() if one.owner[0] == caller), key=lambda one: one.begun)

    def begin(self, state: State, work: Work, now: Callable[[], datetime]) -> Export:
        """Begin an export in the background. Shape: `state` as it begins, its id not yet given.

        Errors: OSError where its folder can't be made.
        """
        name = str(uuid.uuid4())
        made = self._folder / f"{NEW}{name}"
        make_folder(made)
        one = Export(replace(state, id=name), made, _held(made))
        one.save()
        one.folder = made.rename(self._folder / name)  # whole, so that no other process takes it for rubbish
        self._mine[name] = one
        one.task = asyncio.create_task(self._run(one, work, now), name=f"export {name}")
        return one

    def find(self, name: str, owner: Owner, now: datetime) -> Export | None:
        """An export of this owner that has not expired."""
        self.expire(now)
        one = self._mine.get(name) or self._left(name)
        return one if one is not None and one.state.owner == owner else None

    def remove(self, name: str) -> None:
        """End an export and remove its files; another process that makes it finds its folder gone."""
        one = self._mine.pop(name, None)
        if one is not None and one.task is not None:
            one.task.cancel()
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def expire(self, now: datetime) -> None:
        """Remove what has expired."""
        for one in list(self._states()):
            if self.expires(one) <= now and not self.is_under_way(one):
                self.remove(one.id)

    async def stop(self) -> None:
        """End what this process makes; each says so to whoever asks for it. What is done stays."""
        tasks = [one.task for one in self._mine.values() if one.task is not None]
        for task in (*tasks, *self._ends):
            task.cancel()
        await asyncio.gather(*tasks, *self._ends, return_exceptions=True)

    def is_under_way(self, state: State) -> bool:
        """Whether some process makes it."""
        return state.done is None and (state.id in self._mine or _is_held(self._folder / state.id))

    def expires(self, state: State) -> datetime:
        """When the files of an export are removed."""
        return (state.done or state.begun) + self._lifetime()

    def _states(self) -> Iterator[State]:
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            mine = self._mine.get(path.name)
            state = mine.state if mine is not None else _read(path)
            if state is not None:
                yield state

    def _left(self, name: str) -> Export | None:
        """An export that another process made, or makes."""
        folder = self._folder / name
        state = _read(folder) if folder.parent == self._folder else None
        if state is None:
            return None
        if not self.is_under_way(state):
            state = _read(folder) or state  # it may have been done between the two looks
            if state.done is None:
                state = replace(state, done=state.begun, failed=Failure(NOBODY, 503))
        return Export(state, folder)

    async def _run(self, one: Export, work: Work, now: Callable[[], datetime]) -> None:
        """Do the work; its files go after their time, whether anybody asks for them or not."""
        failed: Failure | None = Failure(NOBODY, 503)  # what is told where the process ends now
        try:
            failed = await work(one)
        except FileNotFoundError:
            self._mine.pop(one.state.id, None)
            return  # it was ended by way of another process
        except Exception as fault:  # noqa: BLE001 - nobody awaits this task; whoever asks for the export is told
            log.error("export failed", export=one.state.id, **trace(fault))
            failed = Failure(FAULT, 500)
        finally:
            one.state = replace(one.state, done=now(), failed=failed)
            with suppress(OSError):  # it was removed; or the disk is full, and it counts as ended with its process
                if failed is not None:
                    one.drop_files()
                one.save()
            self._mine.pop(one.state.id, None)
            if one.lock is not None:
                os.close(one.lock)
                one.lock = None
        self._end_later(one.state.id)

    def _end_later(self, name: str) -> None:
        async def end() -> None:
            await asyncio.sleep(self._lifetime().total_seconds())
            self.remove(name)

        task = asyncio.create_task(end(), name=f"end of export {name}")
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


def _read(folder: Path) -> State | None:
    """What is known of an export; None for a folder that is none."""
    try:
        return export_state.read((folder / STATE).read_bytes())
    except (OSError, ValueError):
        return None


def _held(folder: Path) -> int:
    """A lock on a folder, held until it is closed or the process ends. Errors: OSError."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _is_held(folder: Path) -> bool:
    """Whether a process holds the lock on a folder."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
