"""Many files by several processes, told in the order in which they were asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_all_start_methods, get_context
from typing import Any, TypeVar

J = TypeVar("J")
R = TypeVar("R")

AT_ONCE = 16
"""Files that one process takes at a time; for fewer no other process is started."""

_FORK = "fork"


def spread(
    jobs: Sequence[J], work: Callable[[J], R], begin: Callable[..., None], chosen: tuple[Any, ...], workers: int | None
) -> Iterator[R]:
    """What `work` makes of each job, in order.

    Shape: `begin` is called with `chosen` before the first job, here and, where they can't have it from here, in each
    other process; both are functions of a module; `workers` is how many processes there may be, None for one a core.
    The processes are begun at once, before whoever asks begins a thread.
    Errors: what `begin` raises; what `work` raises, from the iterator.
    """
    begin(*chosen)
    count = min(workers or os.cpu_count() or 1, len(jobs) // AT_ONCE + 1)
    if count == 1:
        return map(work, jobs)
    if _FORK in get_all_start_methods():
        pool = ProcessPoolExecutor(count, get_context(_FORK))
    else:
        pool = ProcessPoolExecutor(count, initializer=begin, initargs=chosen)
    return _closed(pool, pool.map(work, jobs, chunksize=AT_ONCE))


def _closed(pool: ProcessPoolExecutor, made: Iterator[R]) -> Iterator[R]:
    with pool:
        yield from made
