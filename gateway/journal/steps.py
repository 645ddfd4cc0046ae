"""Work on a journal written once for both storages: each step asks the storage one thing and goes on with the rows.

What the tools do (`browsing.py`, `purging.py`, `replaying.py`, `rekeying.py`) are generators of statements in the SQL
that SQLite and PostgreSQL share; who runs them holds the connection and the transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Rows: TypeAlias = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Shape: each `?` of `sql` takes a value, in order; no `?` stands in a text. `alone` is a target and an order key:
    from this statement to the commit nobody else changes what is queued there (on SQLite one writes at a time anyway).
    """

    sql: str
    values: tuple[object, ...] = ()
    alone: tuple[str, str] | None = None


Steps: TypeAlias = Generator[Statement, Rows, T]
Work: TypeAlias = Callable[[], Steps[T]]
"""Steps from their beginning, each time it is called: a transaction may be run twice."""


def among(sql: str, several: Sequence[object], *first: object) -> Statement:
    """A statement about several values: `IN (*)` stands for a `?` each, after those of `first`."""
    return Statement(sql.replace("(*)", f"({', '.join('?' for _ in several)})"), (*first, *several))


def numbered(sql: str) -> str:
    """The same statement as PostgreSQL takes it: `$1`, `$2` ... for each `?`."""
    first, *rest = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


def on_sqlite(connection: sqlite3.Connection, work: Work[T]) -> T:
    """What work comes to on an SQLite connection, in whatever transaction is open there.

    Errors: sqlite3.Error; what the work raises.
    """
    steps = work()
    try:
        asked = next(steps)
        while True:
            asked = steps.send(connection.execute(asked.sql, asked.values).fetchall())
    except StopIteration as done:
        answer: T = done.value
        return answer
