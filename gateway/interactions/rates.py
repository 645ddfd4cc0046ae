"""How many requests each principal makes in a second, and of each address how often it fails, how many it has in hand.

Source: `rules-language.md` of the design, meaning 13; RFC 6585 section 4.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.guard import whose
from gateway.interactions.refused import Refused, error


@dataclass(slots=True)
class Rates:
    """Requests of the second that it is, by principal, of this gateway alone."""

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


SPAN = 60.0
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class Failures:
    """Failed authentications by address, of this gateway alone: who keeps failing waits before it is looked at again.

    Shape: what each address (of IPv6 each site's network) has used up of its allowance, and when that was told; it
    comes back evenly, all of it in a minute. `ticks` gives seconds that only grow.
    """

    ticks: Callable[[], float] = time.monotonic
    _used: dict[str, tuple[float, float]] = field(default_factory=dict)

    def check(self, address: str, most: int) -> None:
        """Whether an address may try.

        Units: `most` failures a minute, 0 for any number.
        Errors: Refused (429), before any key, token or secret is looked at.
        """
        if most and self._now(address, most) > most - 1:
            words = f"this address failed to authenticate {most} times in a minute; wait before you try again"
            wait = str(max(1, math.ceil(SPAN / most)))
            raise Refused("too-many", error("throttled", words, None, "HTTP-L03"), headers={"Retry-After": wait})

    def count(self, address: str, most: int) -> None:
        """Count a failure."""
        if not most:
            return
        used = self._now(address, most) + 1
        party = whose(address)
        self._used.pop(party, None)
        self._used[party] = used, self.ticks()
        while len(self._used) > MOST_ADDRESSES:
            del self._used[next(iter(self._used))]  # that which failed longest ago

    def _now(self, address: str, most: int) -> float:
        used, at = self._used.get(whose(address), (0.0, 0.0))
        return max(0.0, used - (self.ticks() - at) * most / SPAN)


@dataclass(slots=True)
class AtOnce:
    """Requests in hand that have yet to prove who sends them, by address, of this gateway alone.

    Their refusals may wait (`REFUSED_AFTER` in `identity`): who sends many would hold the room of all others with them.
    """

    _held: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def one(self, address: str, most: int) -> Iterator[None]:
        """Have one in hand.

        Errors: Refused (429) where the address has `most`, before anything of it is looked at.
        """
        if self._held[address] >= most:
            words = f"this address has {most} requests in hand that have not proved who sends them; wait for an answer"
            raise Refused("too-many", error("throttled", words, None, "HTTP-L04"), headers={"Retry-After": "1"})
        self._held[address] += 1
        try:
            yield
        finally:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]


@dataclass(slots=True)
class Told:
    """When each sender of too many requests was last told of, of this gateway alone."""

    _seconds: dict[str, int] = field(default_factory=dict)

    def first(self, sender: str, second: int) -> bool:
        """Whether this is the sender's first of a second."""
        if self._seconds.get(sender) == second:
            return False
        if len(self._seconds) >= MOST_ADDRESSES:
            self._seconds.clear()
        self._seconds[sender] = second
        return True
