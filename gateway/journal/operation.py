"""An operation on the journal's file, and how its own failure is told from the storage's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from gateway.journal.model import JournalUnavailable

T = TypeVar("T")
Operation: TypeAlias = Callable[[sqlite3.Connection], T]
Result: TypeAlias = tuple[Any, Exception | None]

FAILURES = (sqlite3.Error, OSError, MemoryError, JournalUnavailable)
"""What a storage that fails raises; the connection is not to be used any more then."""


def tried(connection: sqlite3.Connection, operation: Operation[Any]) -> Result:
    """What an operation answers, or what it raises.

    Errors: sqlite3.Error where the storage itself fails.
    """
    try:
        return operation(connection), None
    except Exception as error:
        # not swallowed: whoever awaits the operation gets it, and the others of its batch go on
        if storage_fails(error):
            raise
        return None, error


def storage_fails(error: Exception) -> bool:
    """Whether the disk or the file is at fault, not the one operation.

    Source: https://docs.python.org/3/library/sqlite3.html#exceptions: OperationalError is full, locked, I/O;
    DatabaseError itself (none of its kinds) is a file that is damaged.
    """
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def unavailable(error: Exception) -> JournalUnavailable:
    """A failure of the storage in the words of the journal."""
    words = str(error) if isinstance(error, JournalUnavailable) else f"the journal's storage fails: {error}"
    return JournalUnavailable(words)
