"""Texts as PostgreSQL takes them: without NUL and halves of surrogate pairs, which a sender may well have sent.

Source: https://www.postgresql.org/docs/current/datatype-character.html.
"""

from __future__ import annotations

import hashlib
from typing import overload


@overload
def plain(text: str) -> str: ...
@overload
def plain(text: str | None) -> str | None: ...
def plain(text: str | None) -> str | None:
    """Text with a mark in place of what can't be stored."""
    if text is None or (text.isascii() and "\x00" not in text):
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


@overload
def key_of(key: str) -> str: ...
@overload
def key_of(key: str | None) -> str | None: ...
def key_of(key: str | None) -> str | None:
    """A key as it is stored: one that is no such text is known by its hash, so that no two become one."""
    if key is None or plain(key) == key:
        return key
    return "sha256 " + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
