"""Durable ingest with the journal on PostgreSQL beside SQLite, and two gateways that share a journal.

Run alone: `python -m tests.bench --only backends`. One gateway on each, both with the store in their data folder, take
turns. Then two gateways on one PostgreSQL, which keep resources in one store behind HTTP, beside one of them alone.
PostgreSQL is as it comes, on the same disk.

Source of the bar: issue 7 of the tracker.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from gateway.journal.opening import FILE
from tests import postgres
from tests.bench.bars import at_least, table
from tests.bench.turns import Figures, rows, taken
from tests.fault.sites import fhir_targets, start_store
from tests.traffic import Server, free_port, start_gateway

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
ONE, TWO = "one gateway", "two gateways"
LEVELS = (8, 32)
AT = 32
"""Requests in flight that the bars speak of."""
SHARE = 0.6


def measure(folder: Path, seconds: float, rounds: int) -> list[str]:
    """The section. Errors: NotHere where no PostgreSQL is installed."""
    with on_each(folder) as places:
        each = {name: (place.server,) for name, place in places.items()}
        found = uvloop.run(taken(each, LEVELS, seconds, rounds))
    with _sharing(folder) as (one, other):
        shared = uvloop.run(taken({ONE: (one,), TWO: (one, other)}, (AT,), seconds, rounds))
    return section(found, shared)


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway of its own. Shape: `database` is the address of its journal, None for the file in its data folder."""

    server: Server
    database: str | None

    def count(self, sql: str) -> int:
        """The number that the journal answers."""
        if self.database is not None:
            found = postgres.rows(self.database, sql)
        else:
            with closing(sqlite3.connect(self.server.data / FILE, timeout=30)) as connection:
                found = connection.execute(sql).fetchall()
        return int(str(found[0][0]))


@contextmanager
def on_each(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[dict[str, Place]]:
    """A gateway on each kind of journal, with the store in its data folder. Errors: NotHere."""
    with ExitStack() as stack:
        places: dict[str, Place] = {}
        for name, database in ((SQLITE, None), (POSTGRESQL, stack.enter_context(postgres.postgres()).database())):
            chosen = {**(settings or {}), **({} if database is None else {"journal": database})}
            places[name] = Place(start_gateway(folder / name.lower(), settings=chosen), database)
            stack.callback(places[name].server.stop)
        yield places


@contextmanager
def _sharing(folder: Path) -> Iterator[tuple[Server, Server]]:
    """Two gateways on one journal, with one store behind HTTP."""
    with ExitStack() as stack:
        database = stack.enter_context(postgres.postgres()).database()
        store = start_store(folder)
        stack.callback(store.stop)
        targets = {"bed-board": "folder:bed-board", **dict.fromkeys(fhir_targets(), store.url)}
        port = free_port()
        settings = {"journal": database, "targets": json.dumps(targets), "public_url": f"http://localhost:{port}"}
        one = start_gateway(folder / "one", port, settings=settings)
        stack.callback(one.stop)
        other = start_gateway(folder / "other", beside=folder / "one", settings=settings)
        stack.callback(other.stop)
        yield one, other


def section(found: Figures, shared: Figures) -> list[str]:
    """Lines of Markdown, with the bar."""
    share = found[POSTGRESQL][AT].rate / found[SQLITE][AT].rate
    times = shared[TWO][AT].rate / shared[ONE][AT].rate
    levels = tuple(found[SQLITE])
    words = (
        "One gateway on each, with the store in its data folder, in turns. The route has two targets, as shipped: the "
        "store, and a folder that each message is written to, synced."
    )
    two = (
        f"Gateways on one PostgreSQL with one store behind HTTP, in turns; two of them take {times:.2f} times as many. "
        "The load, PostgreSQL and the store have the same cores."
    )
    return [
        "", "## `POST /$ingest`, durable, by the journal's backend", "",
        words,
        *rows(found, levels),
        *table([at_least(f"PostgreSQL at {AT} in flight, of SQLite's messages a second", share, SHARE, ".0%")]), "",
        two,
        *rows(shared, (AT,)),
    ]  # fmt: skip
