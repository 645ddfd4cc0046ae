"""Where a commit waits for the disk: in the event loop where nobody else would wait there too, else in the thread.

To hand a commit to the thread and to hear of its end takes a third of the commit itself on a quick disk. Whoever asks
one thing after another pays that each time and gains nothing.
"""

from __future__ import annotations

LONE = 16
"""After so many commits in the thread in a row, each of one operation and none waiting behind it, one asks alone."""
PROBE = 8
"""Every so many commits one goes to the thread all the same: there it shows whether others wait meanwhile."""
QUICK = 0.001
"""A slower disk would hold up the loop for too long. Units: seconds."""
_FADES = 0.9


class Pace:
    """What earlier commits tell of the next one."""

    __slots__ = ("_lone", "_took", "_turn")

    def __init__(self) -> None:
        """Know nothing: the thread it is."""
        self._lone = 0
        self._took = 0.0
        self._turn = 0

    def in_loop(self) -> bool:
        """Whether the next commit, of one operation, is made in the event loop."""
        if self._lone < LONE or self._took > QUICK:
            return False
        self._turn = (self._turn + 1) % PROBE
        return self._turn != 0

    def waited(self, operations: int, seconds: float, *, others: bool) -> None:
        """How a commit in the thread went. Shape: `others` says that something was handed over meanwhile."""
        self._lone = 0 if operations > 1 or others else self._lone + 1
        self.took(seconds)

    def took(self, seconds: float) -> None:
        """How long a commit took; a slow one is remembered for a while."""
        self._took = max(seconds, _FADES * self._took + (1 - _FADES) * seconds)
