"""Large submissions are judged and converted in a thread, so that all others are still answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LARGE = 64 * 1024
"""Units: bytes of the body; what is smaller takes less time than a change of thread is worth."""

P = ParamSpec("P")
T = TypeVar("T")


async def worked(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Result of a piece of work, done at once for a small body and in a thread for a large one.

    Errors: what the work raises.
    """
    return work(*args, **kwargs) if size < LARGE else await asyncio.to_thread(work, *args, **kwargs)


def size_of(value: object) -> int:
    """About how large a JSON value is that was read before. Units: characters."""
    return len(repr(value))
