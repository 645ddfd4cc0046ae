"""Whether memory stays flat: what a process takes after each stretch of inputs, early and late in its run."""

from __future__ import annotations

import gc
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

ALLOWED = 0.05
"""By how much of it the memory may grow between the second quarter of a run and its last."""

_FEWEST = 8
_MEGABYTE = 1024 * 1024


def taken() -> float:
    """Megabytes that this process holds now, what is no longer used left out. Source: proc(5), `statm`."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE


def growth(readings: Sequence[float]) -> float | None:
    """The share by which memory grew, None where there are too few readings to say.

    The first quarter is left out: caches, each of a bounded size, fill in it.
    """
    if len(readings) < _FEWEST:
        return None
    quarter = len(readings) // 4
    early, late = statistics.median(readings[quarter : 2 * quarter]), statistics.median(readings[-quarter:])
    return late / early - 1
