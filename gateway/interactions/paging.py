"""Paging tokens: encrypted, bound to the caller and the query, and short-lived; an upstream's address never shows.

Source: `facade.md` of the design, "Links"; Fernet as the `cryptography` package specifies it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken

LIFETIME = 600


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins.

    Shape: `address` is the upstream's page, None for its first; `skip` counts what was released of it before.
    """

    address: str | None = None
    skip: int = 0


START = Place()


class Paging:
    """Makes and reads tokens under one key."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes in URL-safe base64."""
        self._fernet = Fernet(key)

    def token(self, bound: Sequence[object], place: Place) -> str:
        """Token for a place, good for whoever is bound to the same things: caller, purpose, query, rules."""
        return self._fernet.encrypt(json.dumps([_digest(bound), place.address, place.skip]).encode()).decode()

    def place(self, token: str, bound: Sequence[object]) -> Place | None:
        """Place of a token, or nothing where it is another's, another query's, forged or too old."""
        try:
            digest, address, skip = json.loads(self._fernet.decrypt(token.encode(), ttl=LIFETIME))
        except (InvalidToken, ValueError):
            return None
        return Place(address, skip) if digest == _digest(bound) else None


def _digest(bound: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(bound).encode()).hexdigest()
