"""Files whose names a journal holds in place of their content: where they are, and sealed as they are written.

A sealed file is one part after the other, each sealed for its place in it, and a last part that is empty: none can be
left out, put elsewhere, or cut off. Units of a part: the length of what follows in 4 bytes, then that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from gateway.journal.sealed import Key, Unsealable, seal, sealed_with, unseal

PLAIN, SEALED = ".csv", ".csv.sealed"
CHUNK = 64 * 1024
_LENGTH, _HEAD = 4, 64
_LONGEST = 64 * 1024 * 1024
"""Longer than any part that is written: a length beyond it was changed."""


class Readable(Protocol):
    """What is read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes more."""


def place(folder: Path, receipt: str) -> Path:
    """Where the file of a receipt is: the sealed one, if there is one."""
    sealed = folder / f"{receipt}{SEALED}"
    return sealed if sealed.exists() else folder / f"{receipt}{PLAIN}"


def receipts(folder: Path) -> tuple[str, ...]:
    """Receipts whose files are there."""
    found = (*folder.glob(f"*{PLAIN}"), *folder.glob(f"*{SEALED}"))
    return tuple(sorted({path.name.partition(".")[0] for path in found}))


def drop(folder: Path, receipt: str) -> None:
    """Remove the file of a receipt, if there is one."""
    for suffix in (PLAIN, SEALED):
        (folder / f"{receipt}{suffix}").unlink(missing_ok=True)


class Writing:
    """Content on its way to a file, made what is stored; as it is where there is no key."""

    def __init__(self, keys: Sequence[Key], receipt: str) -> None:
        """Begin with the first part."""
        self._keys = keys
        self._receipt = receipt
        self._number = 0

    @property
    def suffix(self) -> str:
        """What the file's name ends in."""
        return SEALED if self._keys else PLAIN

    def part(self, content: bytes) -> bytes:
        """The next of it, as it is stored."""
        if not self._keys:
            return content
        return self._sealed(content) if content else b""

    def end(self) -> bytes:
        """What is stored at the end."""
        return self._sealed(b"") if self._keys else b""

    def _sealed(self, content: bytes) -> bytes:
        stored = seal(self._keys, content, self._receipt, _part(self._number))
        self._number += 1
        return len(stored).to_bytes(_LENGTH, "big") + stored


def chunks(keys: Sequence[Key], path: Path, receipt: str) -> Iterator[bytes]:
    """The content of a file in pieces.

    Errors: OSError; Unsealable where a key is missing, or the file was changed.
    """
    with path.open("rb") as file:
        if path.name.endswith(SEALED):
            yield from opened(keys, file, receipt)
            return
        while chunk := file.read(CHUNK):
            yield chunk


def whole(keys: Sequence[Key], folder: Path, receipt: str) -> bytes | None:
    """All of a file; None where it is not in this folder.

    Errors: OSError; Unsealable.
    """
    path = place(folder, receipt)
    return b"".join(chunks(keys, path, receipt)) if path.is_file() else None


def sealed_anew(keys: Sequence[Key], folder: Path, receipt: str) -> bool:
    """Seal a file with the first of the keys: whether it was not.

    Errors: OSError; Unsealable: then it stands as it did.
    """
    path = place(folder, receipt)
    if _key_of(path) == keys[0].id:
        return False
    sealed, writing = folder / f"{receipt}{SEALED}", Writing(keys[:1], receipt)
    temporary = folder / f".{receipt}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        for content in chunks(keys, path, receipt):
            file.write(writing.part(content))
        file.write(writing.end())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(sealed)
    if path != sealed:
        path.unlink()
    return True


def _key_of(path: Path) -> bytes | None:
    """Id of the key that a file is sealed with; None for one that is not."""
    if not path.name.endswith(SEALED):
        return None
    with path.open("rb") as file:
        return sealed_with(file.read(_HEAD)[_LENGTH:])


def opened(keys: Sequence[Key], file: Readable, receipt: str) -> Iterator[bytes]:
    """The content of a sealed file in pieces.

    Errors: OSError; Unsealable where a key is missing, or the file was changed.
    """
    number = 0
    while True:
        length = int.from_bytes(file.read(_LENGTH), "big")
        stored = file.read(min(length, _LONGEST))
        if not length or len(stored) != length:
            raise Unsealable(f"the file of {receipt} is not as it was sealed: it ends too early, or was changed")
        if sealed_with(stored) is None:
            raise Unsealable(f"the file of {receipt} is not as it was sealed: a part of it is not sealed")
        content = unseal(keys, stored, receipt, _part(number))
        if not content:
            break
        yield content
        number += 1
    if file.read(1):
        raise Unsealable(f"the file of {receipt} is not as it was sealed: something was added to it")


def _part(number: int) -> str:
    return f"part {number} of the file"
