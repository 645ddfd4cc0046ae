"""Payloads sealed for the disk, and opened again: bytes to bytes, the same for every storage.

What is sealed names its key, so that several can be in use while one takes another's place. Each payload is sealed
under a key of its own, made of the journal's key and of what the payload is (receipt and column), so it can't be put in
another's place, and no number of payloads wears a key out.

Source: AES-256-GCM, NIST SP 800-38D; HMAC-SHA-256 as a key derivation function, NIST SP 800-108.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.stated import Stated

KEY = 32
"""Length of a key. Units: bytes."""
_MARK = b"\xf8GJ1"  # no text in UTF-8 begins so; a body that does all the same is marked as plain
_PLAIN, _SEALED = b"\x00", b"\x01"
_ID, _NONCE = 8, 12


class Unsealable(Stated):
    """A payload that none of the given keys opens, or that was changed; or a key that is none."""


class KeyMissing(Unsealable):
    """A payload that is sealed with a key that is not given: others may have it."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Shape: `id` is known to whoever reads the disk, and tells nothing of `secret`."""

    id: bytes
    secret: bytes

    @property
    def name(self) -> str:
        """The id as people see it."""
        return self.id.hex()


Keys = tuple[Key, ...]
"""Keys, newest first: the first seals, all open. None: nothing is sealed."""


def read_keys(text: str) -> Keys:
    """Keys of a file or a variable: 32 bytes each in base64, newest first, apart by lines or blanks.

    Shape: what follows a `#` on a line is a comment.
    Errors: Unsealable for a key of another length, one that is no base64, one that stands twice, and for none.
    """
    words = [word for line in text.splitlines() for word in line.partition("#")[0].split()]
    if not words:
        raise Unsealable("there is no key: write 32 random bytes in base64 on a line of their own")
    keys = tuple(_key(word, number) for number, word in enumerate(words, 1))
    if len({key.id for key in keys}) < len(keys):
        raise Unsealable("one key stands there twice")
    return keys


def _key(word: str, number: int) -> Key:
    try:
        secret = base64.b64decode(word, validate=True)
    except binascii.Error as error:
        raise Unsealable(f"key {number} is not in base64") from error
    if len(secret) != KEY:
        raise Unsealable(f"key {number} has {len(secret)} bytes, and a key has {KEY}")
    return key_of(secret)


def key_of(secret: bytes) -> Key:
    """A key of its bytes."""
    return Key(hashlib.sha256(b"gateway journal key\0" + secret).digest()[:_ID], secret)


def seal(keys: Sequence[Key], payload: bytes, receipt: str, column: str) -> bytes:
    """A payload as it is stored: sealed under the first key, or as it is where there is none."""
    if not keys:
        return _MARK + _PLAIN + payload if payload.startswith(_MARK) else payload
    key, nonce, place = keys[0], os.urandom(_NONCE), _place(receipt, column)
    return b"".join((_MARK, _SEALED, key.id, nonce, _cipher(key, place).encrypt(nonce, payload, place)))


def unseal(keys: Sequence[Key], stored: bytes, receipt: str, column: str) -> bytes:
    """A payload as it was before it was stored.

    Errors: KeyMissing where its key is not among those given; Unsealable where it is not what was sealed for this
    place.
    """
    if not stored.startswith(_MARK):
        return stored
    start = len(_MARK) + 1
    kind, named, nonce = stored[len(_MARK) : start], stored[start : start + _ID], stored[start + _ID :][:_NONCE]
    if kind == _PLAIN:
        return stored[start:]
    key = next((key for key in keys if key.id == named), None)
    if key is None:
        raise KeyMissing(f"{column} of {receipt} is sealed with key {named.hex()}, which is not given")
    place = _place(receipt, column)
    try:
        return _cipher(key, place).decrypt(nonce, stored[start + _ID + _NONCE :], place)
    except (InvalidTag, ValueError) as error:
        raise Unsealable(
            f"{column} of {receipt} is not as it was sealed: the storage was changed or damaged"
        ) from error


def sealed_with(stored: bytes) -> bytes | None:
    """Id of the key that a stored payload is sealed with; None for one that is not sealed."""
    start = len(_MARK) + 1
    return stored[start : start + _ID] if stored.startswith(_MARK + _SEALED) else None


def _place(receipt: str, column: str) -> bytes:
    return f"{column}\0{receipt}".encode()


def _cipher(key: Key, place: bytes) -> AESGCM:
    return AESGCM(hmac.new(key.secret, b"gateway journal payload\0" + place, hashlib.sha256).digest())
