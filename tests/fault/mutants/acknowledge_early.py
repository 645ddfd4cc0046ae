"""The gateway broken on purpose: its journal answers before it has committed, what was claimed and what was settled."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from gateway.__main__ import main
from gateway.journal import sqlite_schema

LATE = 0.5
"""A transaction goes on for so long, whoever is answered meanwhile. Units: seconds."""
_connect = sqlite_schema.connect


class _Late:
    """A connection that commits when it is time, and not when it is asked to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._began = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            if self._connection.in_transaction:
                return self._connection.cursor()
            self._began = time.monotonic()
        return self._connection.execute(sql, *values)

    def commit(self) -> None:
        if time.monotonic() - self._began >= LATE:
            self._connection.commit()


def _late(path: Path) -> _Late:
    return _Late(_connect(path))


if __name__ == "__main__":
    sqlite_schema.connect = _late  # type: ignore[assignment]  # this is the mutant
    main()
