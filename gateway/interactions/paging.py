"""Paging tokens: encrypted, bound to the caller and the query, and short-lived; an upstream's address never shows.

Source: `facade.md` of the design, "Links"; Fernet as the `cryptography` package specifies it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken

LIFETIME = 600
Pairs = Sequence[tuple[str, str]]


class Paging:
    """Makes and reads tokens under one key."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes in URL-safe base64."""
        self._fernet = Fernet(key)

    def token(self, caller: str, resource_type: str, pairs: Pairs, upstream: str) -> str:
        """Token for the page at `upstream` of a caller's query."""
        return self._fernet.encrypt(json.dumps([_bound(caller, resource_type, pairs), upstream]).encode()).decode()

    def upstream(self, token: str, caller: str, resource_type: str, pairs: Pairs) -> str | None:
        """Upstream address of a token, or nothing where it is another's, another query's, forged or too old."""
        try:
            bound, address = json.loads(self._fernet.decrypt(token.encode(), ttl=LIFETIME))
        except (InvalidToken, ValueError):
            return None
        return str(address) if bound == _bound(caller, resource_type, pairs) else None


def _bound(caller: str, resource_type: str, pairs: Pairs) -> str:
    return hashlib.sha256(json.dumps([caller, resource_type, sorted(pairs)]).encode()).hexdigest()
