"""Resident memory of a gateway and its store's writer while messages come.

Run alone: `make bench N=1000000`, or `python -m tests.bench --only memory --messages 20000`. Caches fill at the
beginning, up to their bounds, so the second half of the run is judged: the trend of its samples (the median of the
slopes between any two, which a step or an outlier doesn't move) may add up to a hundredth of what is resident. Of a run
of 20,000 messages that is some 400 bytes a message, of one of 1,000,000 some 8.

Source of the bar: issue 7 of the tracker. Source of the trend: Theil 1950, Sen 1968.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.bench.admitting import admitting, bodies
from tests.bench.bars import Bar, below, table
from tests.bench.resident import children, resident
from tests.traffic import Server, start_gateway

MESSAGES = 20_000
SAMPLES = 20
_MOST_SAMPLES = 500
IN_FLIGHT = 32
MOST = 0.01
"""Of what is resident, by which the second half of a run may grow."""
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """What is resident after so many messages. Shape: `writer` is all that the gateway started. Units: bytes."""

    messages: int
    gateway: int
    writer: int

    @property
    def whole(self) -> int:
        """All of it."""
        return self.gateway + self.writer


@dataclass(frozen=True, slots=True)
class Growth:
    """How a run's second half grew, by its trend. Units: bytes a message; parts of what is resident."""

    slope: float
    share: float


def measure(folder: Path, messages: int) -> list[str]:
    """The section: so many messages to one gateway with the store in its data folder."""
    server = start_gateway(folder / "data")
    try:
        found = uvloop.run(_sampled(server, messages))
    finally:
        server.stop()
    return section(found)


async def _sampled(server: Server, messages: int) -> list[Sample]:
    """Samples at every thousand messages, or further apart in a long run."""
    every = max(1, messages // _MOST_SAMPLES, min(1000, messages // SAMPLES))
    found = [_sample(server, 0)]
    async with admitting(bodies(), server) as send:
        for sent in range(every, messages + 1, every):
            await send(every, IN_FLIGHT)
            found.append(_sample(server, sent))
    return found


def _sample(server: Server, messages: int) -> Sample:
    started = children(server.process.pid)
    return Sample(messages, resident(server.process.pid).whole, sum(resident(pid).whole for pid in started))


def grown(found: Sequence[Sample]) -> Growth:
    """How the second half of a run grew."""
    half = found[len(found) // 2 :]
    slope = statistics.median(
        (later.whole - one.whole) / (later.messages - one.messages) for one, later in itertools.combinations(half, 2)
    )
    there = statistics.median(one.whole for one in half)
    return Growth(slope, slope * (half[-1].messages - half[0].messages) / there)


def bar(growth: Growth) -> Bar:
    """Whether memory is flat."""
    return below("memory: growth of the second half, of what is resident", growth.share, MOST, ".2%")


def section(found: Sequence[Sample]) -> list[str]:
    """Lines of Markdown, with the bar: some twenty samples of all."""
    growth, last = grown(found), found[-1]
    shown = [one for place, one in enumerate(found) if place % max(1, len(found) // SAMPLES) == 0 or one is last]
    rows = [
        f"| {one.messages:,} | {one.gateway / _MEBIBYTE:.1f} | {one.writer / _MEBIBYTE:.1f} "
        f"| {one.whole / _MEBIBYTE:.1f} |"
        for one in shown
    ]
    words = (
        f"{last.messages:,} admissions, {IN_FLIGHT} in flight. Flat is a trend of the second half, when caches have "
        f"filled, that adds up to less than {MOST:.0%}; it was {growth.slope:.0f} bytes a message."
    )
    return [
        "", "## Resident memory, message by message", "", words, "",
        "| messages | gateway, MiB | the store's writer, MiB | together, MiB |", "|---|---|---|---|", *rows,
        *table([bar(growth)]),
    ]  # fmt: skip
