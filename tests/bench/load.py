"""Load on a server: jobs with so many in flight, each timed."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

LEVELS = (1, 8, 32)
"""Requests in flight."""
Job = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Figure:
    """Throughput and latency of one level.

    Units: requests a second, milliseconds.
    """

    rate: float
    p50: float
    p99: float


async def timed(jobs: Sequence[Job], in_flight: int) -> list[float]:
    """Run jobs with so many in flight. Units: seconds that each took, in the order in which they ended."""
    waiting, took = list(reversed(jobs)), list[float]()

    async def worker() -> None:
        while waiting:
            job, started = waiting.pop(), time.perf_counter()
            await job()
            took.append(time.perf_counter() - started)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return took


async def load(jobs: Sequence[Job], in_flight: int) -> Figure:
    """Run jobs with so many in flight, and time each."""
    began = time.perf_counter()
    took = await timed(jobs, in_flight)
    elapsed = time.perf_counter() - began
    ranked = sorted(took)
    return Figure(len(took) / elapsed, ranked[len(ranked) // 2] * 1000, ranked[int(len(ranked) * 0.99)] * 1000)


def median(figures: Sequence[Figure]) -> Figure:
    """Median of each column over the rounds."""
    columns = zip(*((figure.rate, figure.p50, figure.p99) for figure in figures), strict=True)
    return Figure(*(statistics.median(column) for column in columns))


def table(title: str, figures: Mapping[int, Figure]) -> list[str]:
    """Figures of each level as Markdown."""
    rows = [f"| {level} | {f.rate:,.0f} | {f.p50:.1f} | {f.p99:.1f} |" for level, f in figures.items()]
    return ["", f"## {title}", "", "| in flight | a second | p50 ms | p99 ms |", "|---|---|---|---|", *rows]
