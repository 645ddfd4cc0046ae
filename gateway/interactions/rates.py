"""How many requests each principal makes in a second, of this gateway alone.

Source: `rules-language.md` of the design, meaning 13; RFC 6585 section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.interactions.refused import Refused, error


@dataclass(slots=True)
class Rates:
    """Requests of the second that it is, by principal."""

    _counts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def check(self, principal: str, limit: int | None, now: datetime) -> None:
        """Count a request.

        Errors: Refused (429) past the limit.
        """
        if limit is None:
            return
        second = math.floor(now.timestamp())
        at, before = self._counts.get(principal, (second, 0))
        count = before + 1 if at == second else 1
        self._counts[principal] = (second, count)
        if count > limit:
            anew = datetime.fromtimestamp(second + 1, UTC).isoformat()
            words = f"principal {principal} may make {limit} requests a second; the next count begins at {anew}"
            raise Refused("too-many", error("throttled", words, None, "HTTP-L01"), headers={"Retry-After": "1"})
