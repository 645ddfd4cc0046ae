"""The gateway broken on purpose: its journal leaves it to the system when to write to the disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.__main__ import main
from gateway.journal import sqlite_schema

_connect = sqlite_schema.connect


def _careless(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


if __name__ == "__main__":
    sqlite_schema.connect = _careless
    main()
