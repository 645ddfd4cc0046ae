"""One submission of a journal that may be another process's: for people who ask why, never for a server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.journal import tables
from gateway.journal.model import JournalUnavailable, Submission


def look_up(path: Path, receipt: str) -> Submission | None:
    """What came under a receipt; None if nothing did. Nothing is written.

    Errors: JournalUnavailable where the journal can't be read.
    """
    if not path.is_file():
        raise JournalUnavailable(f"there is no journal at {path}: give the gateway's data folder with --data")
    try:
        connection = tables.connect_to_read(path)
        try:
            return tables.submission(connection, receipt)
        finally:
            connection.close()
    except sqlite3.Error as fault:
        raise JournalUnavailable(f"the journal {path} can't be read: {fault}") from fault
