"""One gateway to a journal: what is in hand and what is due are known in one process alone.

Source: https://man7.org/linux/man-pages/man2/flock.2.html: the lock goes with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.journal.model import JournalUnavailable

SUFFIX = ".lock"


class InUse(JournalUnavailable):
    """Another process has the journal."""


def only_holder(path: Path) -> int:
    """Take the lock of a journal's file: a handle, whose closing gives it back.

    Shape: the lock is on `journal.db.lock` beside `journal.db`; the file stays, it says nothing by being there.
    Errors: InUse where another holds it; JournalUnavailable where the file can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_name(path.name + SUFFIX), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalUnavailable(f"the journal's storage fails: {error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if not isinstance(error, BlockingIOError):
            raise JournalUnavailable(f"the journal's storage fails: {error}") from error
        raise InUse("another gateway uses this data folder: stop it, or give this one a folder of its own") from error
    return handle
