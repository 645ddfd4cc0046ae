"""How often this gateway failed on what it took up, and how long each rests before it is taken up again.

A fault of the program does not pass of itself, so what fails each time is tried less and less often; whoever tries says
after how many times it ends. Kept in memory: a gateway that is started anew, maybe mended, begins to count anew.
Source: `trust.md` of the design, "Journal": retried with back-off.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

MOST = 8
"""So many times a file is taken up before its sender is told that it failed: about an hour."""
LONGEST = 3600.0
"""Units: seconds that anything rests at most."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """Units: `at` on the event loop's clock."""

    times: int
    at: float


class Tries:
    """What failed, by receipt, that which failed longest ago first."""

    def __init__(self) -> None:
        """Begin where nothing has failed."""
        self._failed: dict[str, _Failed] = {}

    def failed(self, receipt: str) -> int:
        """Put down that one failed: how often it has by now."""
        now = asyncio.get_running_loop().time()
        while self._failed and now - self._failed[oldest := next(iter(self._failed))].at > 2 * LONGEST:
            del self._failed[oldest]  # it was sent again meanwhile, or another gateway has it
        before = self._failed.pop(receipt, None)
        times = 1 if before is None else before.times + 1
        self._failed[receipt] = _Failed(times, now)
        return times

    def rests(self, receipt: str, first: float) -> bool:
        """Whether it is too soon to try one again.

        Shape: each time it rests twice as long as before. Units: `first` in seconds, the rest after the first time.
        """
        one = self._failed.get(receipt)
        if one is None:
            return False
        pause = min(first * 2.0 ** min(one.times - 1, 30), LONGEST)
        return asyncio.get_running_loop().time() < one.at + pause

    def over(self, receipt: str) -> None:
        """Forget one that ended."""
        self._failed.pop(receipt, None)
