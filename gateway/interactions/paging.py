"""Paging tokens: encrypted, bound to the caller, carrying the query, and short-lived.

An upstream's address never shows, and neither do the values of a search that came as a form.
Source: `facade.md` of the design, "Links"; Fernet as the `cryptography` package specifies it.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken

LIFETIME = 600
WHOLE = 512
"""A token's length tells how many of these it holds."""
ROOM = 256
"""For what an upstream's address has beside the query: its length may tell how far a page is into what is hidden."""
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins.

    Shape: `address` is the upstream's page, None for its first; `skip` counts what was released of it before; `asked`
    is how long the query is in the address, which tells nothing of what is hidden.
    """

    address: str | None = None
    skip: int = 0
    asked: int = 0


START = Place()


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a token holds.

    Shape: `pairs` is the query; `view` names what decided it: where the rules decide otherwise now, it has ended.
    """

    caller: str
    purpose: str | None
    resource_type: str
    pairs: tuple[tuple[str, str], ...]
    view: str
    place: Place


class Paging:
    """Makes and reads tokens under one key."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes in URL-safe base64."""
        self._fernet = Fernet(key)

    def token(self, ticket: Ticket) -> str:
        """Token of a ticket. Its length tells what was asked: where the upstream is has room in any."""
        own = [ticket.caller, ticket.purpose, ticket.resource_type, ticket.pairs, ticket.view]
        text = json.dumps([*own, ticket.place.address, ticket.place.skip]).encode()
        size = max(len(text), len(json.dumps(own)) + ticket.place.asked + ROOM)
        return self._fernet.encrypt(text.ljust(size + -size % WHOLE)).decode()

    def ticket(self, token: str) -> Ticket | None:
        """Ticket of a token, or nothing where it is forged or too old."""
        try:
            raw = token.encode()
            if urlsafe_b64encode(urlsafe_b64decode(raw)) != raw:
                return None  # what stands behind its padding would be passed over
            caller, purpose, resource_type, pairs, view, address, skip = json.loads(
                self._fernet.decrypt(raw, ttl=LIFETIME)
            )
        except (InvalidToken, ValueError):
            return None
        read = tuple((name, value) for name, value in pairs)
        return Ticket(caller, purpose, resource_type, read, view, Place(address, skip))
