"""Bounded samples: `make test` tries a part of what long suites try, `make interop` all of it (`GATEWAY_WHOLE=1`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

WHOLE = os.environ.get("GATEWAY_WHOLE") == "1"
FEWEST = 15


def examples(count: int) -> int:
    """How many examples hypothesis makes of a property: all, or two in five and no fewer than a few."""
    return count if WHOLE else min(count, max(FEWEST, count * 2 // 5))


def sample(items: Iterable[T], one_in: int, first: int = 0) -> list[T]:
    """All of these, or one in so many. Shape: `first` is the place of the first, so that loops can take turns."""
    found = list(items)
    return found if WHOLE else found[first % one_in :: one_in]
