"""Taking an SQLite file for writing, as the journal and the embedded store do."""

from __future__ import annotations

import asyncio
import sqlite3

_PAUSE = 0.005
"""How often a file that another process has is looked at. Units: seconds."""


async def begin(connection: sqlite3.Connection, patience: float) -> None:
    """Begin a transaction that writes; wait, without holding up the loop, while another process has the file.

    Shape: the connection itself waits for nothing (`busy_timeout` 0). Units: `patience` in seconds.
    Errors: sqlite3.OperationalError where the file is still another's then.
    """
    waited = 0.0
    while not begun(connection, last=waited >= patience):
        waited += _PAUSE
        await asyncio.sleep(_PAUSE)


def begun(connection: sqlite3.Connection, *, last: bool = False) -> bool:
    """Begin a transaction that writes; whether it could, which it can't while another process has the file.

    Errors: sqlite3.OperationalError; where it is the `last` try, also for a file that is another's.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
