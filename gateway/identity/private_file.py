"""Files that only the gateway's own account may read: written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, with its parents.

    Errors: OSError as the file system says.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner alone and durable on return.

    Errors: OSError as the file system says; the old content then still stands.
    """
    temporary = _written_beside(path, content)
    temporary.replace(path)
    _settle(path.parent)


def create_private(path: Path, content: bytes) -> bool:
    """Create a file that must not exist yet; of several processes that try, one succeeds.

    Shape: whether this call created it. A reader never sees half of it.
    Errors: OSError as the file system says.
    """
    temporary = _written_beside(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    _settle(path.parent)
    return True


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder's writing lock: who reads, changes and writes back does it alone.

    Errors: OSError as the file system says. Readers need no lock, since every write is one rename.
    """
    make_folder(folder)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)  # which gives the lock back


def _written_beside(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    # The mode is set as the file comes into being: there is no moment at which others could open it.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
