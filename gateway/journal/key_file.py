"""Where a journal's keys come from: a file, or a setting; and a new key put before those that are there."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from gateway.journal.sealed import KEY, Key, Keys, Unsealable, key_of, read_keys


def keys_of(data: Path, file: Path | None, words: str) -> Keys:
    """The keys that are configured, newest first; none where none is.

    Shape: `file` is relative to the data folder, `words` hold what would stand in one.
    Errors: Unsealable where both are given, where the file can't be read, or holds anything but keys.
    """
    if file is None:
        return _said(words) if words.strip() else ()
    if words.strip():
        raise Unsealable("journal_key_file and journal_keys are both given: keep one of them")
    path = data / file
    try:
        return read_keys(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Unsealable(f"journal_key_file {path} can't be read: {error}") from error
    except Unsealable as error:
        raise Unsealable(f"journal_key_file {path}: {error}") from error


def _said(words: str) -> Keys:
    try:
        return read_keys(words)
    except Unsealable as error:
        raise Unsealable(f"journal_keys: {error}") from error


def new_key() -> tuple[Key, str]:
    """A new key, and its line in a file of keys."""
    secret = os.urandom(KEY)
    return key_of(secret), base64.b64encode(secret).decode()
