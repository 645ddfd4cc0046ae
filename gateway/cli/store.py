"""`gateway store`: the embedded FHIR store."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TaskID

from gateway import serve, specs
from gateway.cli.console import DATA, Data, err, out, progress, stop
from gateway.identity.private_file import make_folder
from gateway.upstream import store
from gateway.upstream.store import ndjson
from gateway.upstream.store.engine import Store
from gateway.upstream.store.writer import Unwritable

FILE = "store.db"

app = typer.Typer(no_args_is_help=True, help="The embedded FHIR store.")


@app.command("serve")
def serve_store(
    port: Annotated[int, typer.Option(help="Port to listen on, on loopback alone.")],
    data: Data = DATA,
) -> None:
    """Serve the embedded FHIR store alone, without rules, on loopback: for tests and comparison.

    Example: `gateway store serve --port 8090 --data store`
    """
    make_folder(data)
    serve.log_as_json()
    address = f"http://127.0.0.1:{port}"
    if not serve.run(store.app(data / FILE), "127.0.0.1", port, lambda: err.print(f"the store serves {address}")):
        stop(f"could not start on {address}; the lines above say why")


@app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help="Files with a FHIR resource a line; `.gz` is inflated.")],
    data: Data = DATA,
) -> None:
    """Store the resources of NDJSON files, each under its own type and id.

    A line that can't be stored is told by file and line, and the others are stored; the command then ends with status
    1. Importing a file again changes nothing.

    Example: `gateway store import Patient.ndjson Encounter.ndjson.gz`
    """
    make_folder(data)
    sizes = [(file, file.stat().st_size if file.is_file() else None) for file in files]
    try:
        faulty = asyncio.run(_imported(sizes, data / FILE))
    except (store.StoreError, Unwritable) as error:
        stop(f"the store can't be written: {error}; what was stored before stays, import the same files again")
    if faulty:
        stop(f"{faulty} lines or files were not imported: the lines above say why")


async def _imported(files: list[tuple[Path, int | None]], path: Path) -> int:
    """How many lines or files were not imported. Errors: StoreError, Unwritable."""
    into = Store(path, specs.fhir(), lambda: datetime.now(UTC))
    faulty = 0
    try:
        with progress(BarColumn(), DownloadColumn()) as bar:
            for file, size in files:
                task = bar.add_task(f"importing {file.name}", total=size)
                faulty += await _import_one(into, file, functools.partial(_advance, bar, task))
    finally:
        await into.aclose()
    return faulty


def _advance(bar: Progress, task: TaskID, read: int) -> None:
    bar.update(task, completed=read)


async def _import_one(into: Store, file: Path, told: Callable[[int], None]) -> int:
    """Lines of a file that were not stored; one for a file that can't be read to its end."""
    created = changed = same = faulty = 0
    try:
        async for taken in ndjson.import_file(into, file):
            created, changed, same = created + taken.created, changed + taken.changed, same + taken.same
            for one in taken.faulty:
                err.print(f"{file}:{one.line}: {one.words}")
            faulty += len(taken.faulty)
            told(taken.read)
    except (OSError, EOFError, zlib.error) as error:
        err.print(f"{file}: it can't be read{' to its end' if created + changed + same else ''}: {error}")
        faulty += 1
    out.print(f"{file}: {created} created, {changed} changed, {same} as they were, {faulty} not imported")
    return faulty


@app.command("export")
def export_files(
    folder: Annotated[Path, typer.Option("--out", help="Folder for the files, without any of an earlier export.")],
    data: Data = DATA,
) -> None:
    """Write what stands into NDJSON files, one for each resource type, all as of one moment.

    Versions before those that stand are not written. The files hold patient data: they are for your account alone.

    Example: `gateway store export --out backup`
    """
    try:
        with progress(MofNCompleteColumn()) as bar:
            task = bar.add_task("exporting", total=None)

            def told(type_: str, count: int) -> None:
                bar.update(task, advance=count, description=f"exporting {type_}")

            written = ndjson.export(data / FILE, folder, told)
    except (store.StoreError, OSError, sqlite3.Error) as error:
        stop(f"nothing whole was exported: {error}")
    for type_, count in written.items():
        out.print(f"{folder / type_}.ndjson: {count}")
    if not written:
        err.print("the store is empty: no file was written")
        sys.exit(0)


@app.command("reindex")
def reindex_store(data: Data = DATA) -> None:
    """Make the index of searches anew from what is stored: after a restored file, or where a search finds too little.

    Meanwhile a running gateway can read, and answers 503 to what it would have to write.

    Example: `gateway store reindex`
    """
    try:
        with progress() as bar:
            task = bar.add_task("indexing", total=None)
            count = ndjson.reindexed(
                data / FILE, specs.fhir(), lambda done, of: bar.update(task, completed=done, total=of)
            )
    except (store.StoreError, sqlite3.Error) as error:
        stop(f"the index stays as it was: {error}")
    out.print(f"{count} resources are indexed anew")
