"""Access tokens that were taken back before they end, until they end.

The journal keeps their ids, so that they are refused after a restart and by every gateway that shares it; each gateway
holds them in memory, and looks for those of others once a second. Few tokens are ever taken back, and none lasts five
minutes.
Source: RFC 7009 section 2.1: the token is invalidated at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

ISSUER: Final = "$revoked"
"""Under which name the journal keeps them; a principal's name can't begin with this character."""
EVERY: Final = 1.0

ClaimTokenId = Callable[[str, str, int], Awaitable[bool]]
"""`claim(issuer, jti, expires)`: whether the pair is new; it is kept until `expires` at least (seconds since 1970)."""
TokenIds = Callable[[str], Awaitable[Mapping[str, float]]]
"""The ids kept under a name, with when each ends."""


class Revocations:
    """Ids of access tokens that were taken back."""

    def __init__(self, keep: ClaimTokenId, *, clock: Callable[[], float] = time.time) -> None:
        """Know none yet."""
        self._keep = keep
        self._clock = clock
        self._known: dict[str, float] = {}

    def __contains__(self, token_id: object) -> bool:
        """Whether a token was taken back."""
        return token_id in self._known

    async def add(self, token_id: str, expires: int) -> None:
        """Take a token back; on return it is kept.

        Units: `expires` in seconds since 1970.
        Errors: what the journal raises; the token stands then.
        """
        await self._keep(ISSUER, token_id, expires)
        self._known[token_id] = expires

    async def look(self, kept: TokenIds) -> None:
        """Learn of those that others took back, and forget those that ended.

        Errors: what the journal raises; what was known stays known.
        """
        found = await kept(ISSUER)
        now = self._clock()
        # Not in their place: one may have been taken back here while the journal was read.
        self._known = {**{name: ends for name, ends in self._known.items() if ends > now}, **found}

    async def follow(self, kept: TokenIds, failed: Callable[[Exception], None]) -> None:
        """Look again and again; `failed` is told what went wrong, and the next look is a second later."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look(kept)
            except Exception as fault:  # noqa: BLE001 - the journal's faults are not known in this layer; told, not lost
                failed(fault)
