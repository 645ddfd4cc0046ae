"""The embedded store as it grows: writes and searches over HTTP, with so much stored.

Run alone: `python -m tests.bench --only growth --grown 100000 1000000`. It is filled in one process, as transactions
would, since that is fastest; every index row is written all the same.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import uvloop

from tests.bench.beside_hapi import IN_FLIGHT, Asking, others, portions, searches, start_store
from tests.bench.connection import connected
from tests.bench.load import Figure, load
from tests.bench.people import resources
from tests.bench.search import fill

SIZES = (1_000, 10_000, 100_000)
_CREATES, _WRITTEN, _WARM = 400, 1_500, 200


@dataclass(frozen=True, slots=True)
class Row:
    """One size.

    Units: resources a second that it was filled with; bytes on the disk; `figures` by what was asked, alone in flight.
    """

    size: int
    filled: float
    bytes: int
    figures: dict[str, Figure]
    together: dict[str, Figure]


def measure(folder: Path, sizes: Sequence[int]) -> list[str]:
    """The section: one store that grows from size to size."""
    data = folder / "grown"
    data.mkdir()
    everything, stored, found = resources(max(sizes)), 0, list[Row]()
    for size in sorted(sizes):
        began = time.perf_counter()
        asyncio.run(fill(data / "store.db", islice(everything, size - stored)))
        filled = (size - stored) / (time.perf_counter() - began)
        stored = size
        server = start_store(data)
        try:
            figures, together = uvloop.run(_measured(server.url, size))
        finally:
            server.stop()
        found.append(Row(size, filled, (data / "store.db").stat().st_size, figures, together))
    return section(found)


async def _measured(url: str, size: int) -> tuple[dict[str, Figure], dict[str, Figure]]:
    async with connected(url) as connections:
        ask = Asking(connections, url)
        by_identifier, by_date = searches(ask, size)
        jobs = {
            "create": [ask.create(one) for one in others(_CREATES, size)],
            "transaction of ten": [ask.transaction(some) for some in portions(others(_WRITTEN, size + 1))],
            "by identifier": by_identifier,
            "by date": by_date,
        }
        await load([*map(ask.create, others(_WARM, size + 2)), *by_identifier[:_WARM]], IN_FLIGHT)
        alone, together = dict[str, Figure](), dict[str, Figure]()
        for name, some in jobs.items():
            half = len(some) // 2
            alone[name] = await load(some[:half], 1)
            together[name] = await load(some[half:], IN_FLIGHT)
    return alone, together


def section(found: Sequence[Row]) -> list[str]:
    """Lines of Markdown, with the bar: from the least to the greatest size no slower than the logarithms grow."""
    first, last = found[0], found[-1]
    names = list(first.figures)
    allowed = math.log(last.size) / math.log(first.size)
    heads = " | ".join(f"{name}, p50 ms | a second" for name in names)
    rows = [
        f"| {row.size:,} | "
        + " | ".join(f"{row.figures[name].p50:.2f} | {row.together[name].rate:,.0f}" for name in names)
        + f" | {row.filled:,.0f} | {row.bytes / 1e6:,.0f} |"
        for row in found
    ]
    bars = []
    for name in names:
        times = last.figures[name].p50 / first.figures[name].p50
        met = "yes" if times <= allowed else "NO"
        bars.append(
            f"| {name}: p50 at {last.size:,} over {first.size:,}, times | {times:.2f} | <= {allowed:.2f} | {met} |"
        )
    how = (
        f"Over HTTP: p50 alone, then how many a second with {IN_FLIGHT} in flight. The bar is the ratio of the sizes' "
        "logarithms. Filled by transactions of 500 without HTTP."
    )
    return [
        "", "## The embedded store as it grows", "", how, "",
        f"| stored | {heads} | filled/s | MB |", "|---" * (3 + 2 * len(names)) + "|", *rows, "",
        "| what | measured | bar | met |", "|---|---|---|---|", *bars,
    ]  # fmt: skip
