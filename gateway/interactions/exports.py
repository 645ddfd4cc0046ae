"""Exports under way and done: who may see each, its files below the data folder, and their end.

What is kept of an export is in this process's memory; files that an earlier process left are removed at the start.
Source: http://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from gateway.finding import Finding
from gateway.identity.private_file import make_folder
from gateway.interactions.faults import trace

LIFETIME = timedelta(hours=1)
"""How long the files stay after an export is done."""
MOST_AT_ONCE = 2
"""Exports that one caller may have under way."""
FILE_MODE = 0o600
Owner = tuple[str, str | None, str | None, bool]
"""Caller, purpose, user and whether glass was broken: all of them decided what was released."""
log = structlog.get_logger()


@dataclass(slots=True)
class Export:
    """One export.

    Shape: `scopes` are those of the token that asked for it, `digest` that of the rules that decided; `files` the
    number of resources by type; `begun` and `done` in moments of the gateway's clock; `failed` what ended it.
    """

    id: str
    owner: Owner
    scopes: tuple[str, ...]
    digest: str
    request: str
    types: tuple[str, ...]
    begun: datetime
    folder: Path
    files: dict[str, int] = field(default_factory=dict)
    finished: int = 0
    done: datetime | None = None
    failed: tuple[tuple[Finding, ...], int] | None = None
    task: asyncio.Task[None] | None = None

    @property
    def expires(self) -> datetime:
        """When its files are removed."""
        return (self.done or self.begun) + LIFETIME

    def path(self, resource_type: str) -> Path:
        """The file of a type."""
        return self.folder / f"{resource_type}.ndjson"

    def add(self, resource_type: str, lines: bytes, count: int) -> None:
        """Write resources, a line each, to the file of their type.

        Errors: OSError as the file system says.
        """
        handle = os.open(self.path(resource_type), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(handle, "ab") as file:
            file.write(lines)
        self.files[resource_type] = self.files.get(resource_type, 0) + count


Work = Callable[[Export], Awaitable[None]]


class Exports:
    """All exports of this process."""

    def __init__(self, folder: Path) -> None:
        """Remove what an earlier process left."""
        self._folder = folder
        self._known: dict[str, Export] = {}
        shutil.rmtree(folder, ignore_errors=True)

    def under_way(self, caller: str) -> int:
        """How many exports of a caller are not done."""
        return sum(1 for one in self._known.values() if one.owner[0] == caller and one.done is None)

    def begin(
        self,
        make: Callable[[str, Path], Export],
        work: Work,
        now: Callable[[], datetime],
    ) -> Export:
        """Begin an export in the background.

        Errors: OSError where its folder can't be made.
        """
        name = str(uuid.uuid4())
        folder = self._folder / name
        make_folder(folder)
        one = make(name, folder)
        self._known[name] = one
        one.task = asyncio.create_task(self._run(one, work, now), name=f"export {name}")
        return one

    def find(self, name: str, owner: Owner, now: datetime) -> Export | None:
        """An export of this owner that has not expired."""
        self.expire(now)
        one = self._known.get(name)
        return one if one is not None and one.owner == owner else None

    def remove(self, name: str) -> None:
        """End an export and remove its files."""
        one = self._known.pop(name, None)
        if one is not None:
            if one.task is not None:
                one.task.cancel()
            shutil.rmtree(one.folder, ignore_errors=True)

    def expire(self, now: datetime) -> None:
        """Remove what has expired."""
        for name in [name for name, one in self._known.items() if one.done is not None and one.expires <= now]:
            self.remove(name)

    async def stop(self) -> None:
        """End all exports and remove their files."""
        tasks = [one.task for one in self._known.values() if one.task is not None]
        for name in list(self._known):
            self.remove(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, one: Export, work: Work, now: Callable[[], datetime]) -> None:
        """Do the work; its files go after their time, whether anybody asks for them or not."""
        try:
            await work(one)
        except Exception as fault:  # noqa: BLE001 - nobody awaits this task; whoever asks for the export is told
            log.error("export failed", export=one.id, **trace(fault))
            words = "the export failed; begin it again, and name it to the gateway's operator if that does not help"
            one.failed = (Finding("error", "exception", words, None, "HTTP-O09"),), 500
        one.done = now()
        await asyncio.sleep(LIFETIME.total_seconds())
        one.task = None
        self.remove(one.id)
