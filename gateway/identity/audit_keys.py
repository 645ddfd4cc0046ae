"""The keys of the audit's chain, in a file: made at the first run, one put before the others when they change.

The older ones stay, for what was written with them; without its key a row can't be verified any more.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from pathlib import Path

from gateway.identity.private_file import create_private, only_writer, write_private
from gateway.stated import Stated

BYTES = 32
_FEWEST = 1


class BadAuditKeys(Stated):
    """A file of keys that can't be used; its words never hold a key."""


def audit_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in a file, newest first; where there is no file, it is made with a new one.

    Shape: each line is one key of 32 bytes in Base64.
    Errors: BadAuditKeys.
    """
    try:
        if not path.exists():
            create_private(path, _line(secrets.token_bytes(BYTES)))
        return read_keys(path)
    except OSError as error:
        raise BadAuditKeys(f"the audit's keys {path} can't be used: {error.strerror or error}") from error


def read_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in a file that is there, newest first. Errors: BadAuditKeys, OSError."""
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            secret = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != BYTES:
            raise BadAuditKeys(f"the audit's keys {path}, line {number}: a key is {BYTES} bytes in Base64")
        found.append(secret)
    if len(found) < _FEWEST:
        raise BadAuditKeys(f"the audit's keys {path}: it holds none")
    return tuple(found)


def renew(path: Path) -> tuple[bytes, ...]:
    """Put a new key before those of a file: all of them, newest first. Errors: BadAuditKeys."""
    try:
        with only_writer(path.parent):
            keys = (secrets.token_bytes(BYTES), *audit_keys(path))
            write_private(path, b"".join(map(_line, keys)))
    except OSError as error:
        raise BadAuditKeys(f"the audit's keys {path} can't be written: {error.strerror or error}") from error
    return keys


def _line(secret: bytes) -> bytes:
    return base64.b64encode(secret) + b"\n"
