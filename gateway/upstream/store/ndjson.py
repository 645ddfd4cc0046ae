"""Resources in and out of a store's file, one a line.

Memory does not grow with what goes through: a file is read line by line and written in groups, a table row by row.

Source: https://hl7.org/fhir/R4/nd-json.html
"""

from __future__ import annotations

import gzip
import http
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from gateway import fhir
from gateway.specs import FhirTables
from gateway.upstream.store import splice
from gateway.upstream.store.engine import Change, Store
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.reindex import Told, reindex
from gateway.upstream.store.requests import ID, checked, known_type
from gateway.upstream.store.schema import GONE, StoreError, open_reader, open_writer

LONGEST_LINE = 64 * 1024 * 1024
"""Units: bytes."""
_AT_ONCE, _BYTES_AT_ONCE = 500, 4 * 1024 * 1024
"""Lines, and bytes of them, that are written in one commit."""
_ENDING = ".ndjson"
_BLANKS = b" \t\r\n"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Faulty:
    """A line that was not taken, and why."""

    line: int
    words: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of lines since the last that was told of.

    Shape: `created` were not there before, `changed` have a new version, `same` stood as they are; `read` counts the
    file's bytes until here, before they were inflated.
    """

    created: int
    changed: int
    same: int
    read: int
    faulty: tuple[Faulty, ...] = ()


async def import_file(store: Store, file: Path) -> AsyncIterator[Taken]:
    """Store each line of a file under its own type and id; one that can't be is told of, and the next one read.

    Shape: a file whose name ends in `.gz` is inflated. What stands already makes no new version.
    Errors: OSError, EOFError, zlib.error where the file can't be read, Unwritable: what was told of before is stored.
    """
    with file.open("rb") as raw, _inflated(file, raw) as lines:
        waiting: dict[tuple[str, str | None], Change] = {}
        size, number = 0, 0
        while line := lines.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                yield Taken(0, 0, 0, raw.tell(), (Faulty(number, f"it is longer than {LONGEST_LINE} bytes"),))
                while line and not line.endswith(b"\n"):
                    line = lines.readline(LONGEST_LINE)
                continue
            if not line.strip(_BLANKS):
                continue
            try:
                change = _change(store, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            except (fhir.JsonError, Refusal) as error:
                yield Taken(0, 0, 0, raw.tell(), (Faulty(number, str(error)),))
                continue
            name = (change.draft.type, change.id)
            # a commit writes a resource once only
            if name in waiting or len(waiting) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
                yield await _write(store, [*waiting.values()], raw.tell())
                waiting, size = {}, 0
            waiting[name] = change
            size += len(line)
        yield await _write(store, [*waiting.values()], raw.tell())


@contextmanager
def _inflated(file: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    if file.suffix != ".gz":
        yield raw
        return
    with gzip.open(raw) as lines:
        yield cast("BinaryIO", lines)


def _change(store: Store, line: bytes) -> Change:
    """A line as a write under its own id. Errors: JsonError, Refusal."""
    resource = fhir.load(line)
    type_, id_ = resource["resourceType"], resource.get("id")
    known_type(type_, store.tables)
    checked(resource, type_, None)
    if not isinstance(id_, str) or not ID.fullmatch(id_):
        raise Refusal(400, "required", "it has no id, so that it would be stored anew each time", f"{type_}.id")
    start = splice.first_object(line)
    return Change("PUT", store.versions.draft(type_, resource, line, start, splice.end_of(line, start)), id_)


async def _write(store: Store, changes: list[Change], read: int) -> Taken:
    if not changes:
        return Taken(0, 0, 0, read)
    written = await store.write(changes, "")
    created = sum(one.status == http.HTTPStatus.CREATED for one in written)
    new = sum(one.changed for one in written)
    return Taken(created, new - created, len(written) - new, read)


def export(path: Path, out: Path, told: Callable[[str, int], None]) -> dict[str, int]:
    """Write what stands into a file for each type, all of one moment; how many of each.

    Shape: `out` is a folder without such files; `told` gets a type and how many of it are written since it was told.
    Errors: StoreError, OSError, sqlite3.Error.
    """
    if not path.is_file():
        raise StoreError(f"{path} is no store: give the data folder of one")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(out.glob(f"*{_ENDING}")):
        raise StoreError(
            f"{out} holds {_ENDING} files already: give a new folder, so that none of another time is left"
        )
    connection = open_reader(path)
    try:
        connection.execute("BEGIN")
        types = connection.execute(
            "SELECT type, count(*) FROM resource WHERE type NOT LIKE ? GROUP BY type ORDER BY type", (f"{GONE}%",)
        ).fetchall()
        for type_, _ in types:
            _export_type(connection, type_, out / f"{type_}{_ENDING}", told)
    finally:
        connection.close()
    return dict(types)


def _export_type(connection: sqlite3.Connection, type_: str, file: Path, told: Callable[[str, int], None]) -> None:
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, _NEW, _FILE_MODE), "wb") as lines:
        rows = connection.execute("SELECT body FROM resource WHERE type = ? ORDER BY key", (type_,))
        while some := rows.fetchmany(_AT_ONCE):
            lines.writelines(one_line(body) + b"\n" for (body,) in some)
            told(type_, len(some))
        lines.flush()
        os.fsync(lines.fileno())
    unfinished.rename(file)


def one_line(body: bytes) -> bytes:
    """A resource's text without line ends, which JSON has between values alone."""
    return body.replace(b"\r", b" ").replace(b"\n", b" ")


def reindexed(path: Path, tables: FhirTables, told: Told) -> int:
    """Make the index of a store's file anew, whatever it was made by; how many resources that took.

    Errors: StoreError, sqlite3.Error.
    """
    if not path.is_file():
        raise StoreError(f"{path} is no store: give the data folder of one")
    connection = open_writer(path, tables)
    try:
        return reindex(connection, tables, always=True, told=told)
    finally:
        connection.close()
