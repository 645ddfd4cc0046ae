"""A gateway started again on a data folder that was served before: how long until it answers.

Run alone: `python -m tests.bench --only restart`. It was either stopped or killed (kill -9) with messages in hand,
which it takes up before it answers. Times are from the start of the process; it is asked every 50 ms. Then an engine
gets a token, which takes the hash of its secret, and sends an ADT^A01, the first since the start, and others.

Source of the bar: issue 7 of the tracker.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.bench.admitting import admitting, bodies
from tests.bench.bars import below, table
from tests.postgres import postgres
from tests.traffic import Server, start_gateway

MOST = 2.0
BEFORE, IN_FLIGHT = 2_000, 32
"""Messages that a data folder was served with before, and how many are in hand at a kill -9."""
_KILLED_AFTER, _WARM, _LOAD = 1.0, 200, 10_000
"""Units: seconds of load; messages before, and those that the load doesn't come to the end of."""
_ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": ""}
"""As anybody's: Python keeps what it compiled."""
_RESUMED = '"event":"resumed"'
STOPPED, KILLED = "stopped", "kill -9 with messages in hand"


@dataclass(frozen=True, slots=True)
class Start:
    """One start. Shape: how many messages it took up. Units: seconds, then milliseconds."""

    answered: float
    taken_up: int
    token: float
    first: float
    later: float


Starts = Mapping[tuple[str, str], Sequence[Start]]
"""By the journal's backend and how the gateway had ended."""


def measure(folder: Path, times: int) -> list[str]:
    """The section. Errors: NotHere where no PostgreSQL is installed."""
    found: dict[tuple[str, str], list[Start]] = {}
    with ExitStack() as stack:
        database = stack.enter_context(postgres()).database()
        for journal, settings in (("SQLite", {}), ("PostgreSQL", {"journal": database})):
            data, more = folder / journal.lower(), bodies()
            server = _started(data, settings)
            uvloop.run(_served(server, more))
            server.stop()
            for how in (STOPPED, KILLED):
                found[journal, how] = [_again(data, settings, more, how) for _ in range(times)]
    return section(found)


def _started(data: Path, settings: Mapping[str, str]) -> Server:
    return start_gateway(data, settings=settings, environment=_ENVIRONMENT)


async def _served(server: Server, more: Iterator[bytes]) -> None:
    async with admitting(more, server) as send:
        await send(BEFORE, IN_FLIGHT)


def _again(data: Path, settings: Mapping[str, str], more: Iterator[bytes], how: str) -> Start:
    """One end and the start behind it; the gateway is stopped at the end."""
    if how == KILLED:
        uvloop.run(_killed(_started(data, settings), more))
    before = _resumed(data)
    began = time.perf_counter()
    server = _started(data, settings)
    answered = time.perf_counter() - began
    try:
        then = uvloop.run(_first(server, more))
    finally:
        server.stop()
    return Start(answered, _resumed(data) - before, *then)


async def _killed(server: Server, more: Iterator[bytes]) -> None:
    """Kill a gateway under load. Errors: RuntimeError where the load was over by then."""
    async with admitting(more, server) as send:
        await send(_WARM, IN_FLIGHT)
        load = asyncio.ensure_future(send(_LOAD, IN_FLIGHT))
        await asyncio.wait({load}, timeout=_KILLED_AFTER)
        if load.done():
            raise RuntimeError(f"{_LOAD:,} messages were answered before the kill") from load.exception()
        server.kill()
        with suppress(OSError, asyncio.IncompleteReadError):
            await load


async def _first(server: Server, more: Iterator[bytes]) -> tuple[float, float, float]:
    """What a token, the first message and a later one take. Units: milliseconds."""
    began = time.perf_counter()
    async with admitting(more, server) as send:
        token = time.perf_counter() - began
        first = (await send(1, 1)).p50
        await send(_WARM, 1)
        return token * 1000, first, (await send(50, 1)).p50


def _resumed(data: Path) -> int:
    """Messages that gateways on a folder have taken up, by their logs."""
    return data.with_suffix(".log").read_text("utf-8", "replace").count(_RESUMED)


def section(found: Starts) -> list[str]:
    """Lines of Markdown, with the bar, which the slowest start has to meet."""
    rows = [
        f"| {journal} | {how} | {len(starts)} | {_median(s.answered for s in starts):.2f} | "
        f"{max(s.answered for s in starts):.2f} | {_median(s.taken_up for s in starts):.0f} | "
        f"{_median(s.token for s in starts):.0f} | {_median(s.first for s in starts):.0f} | "
        f"{_median(s.later for s in starts):.1f} |"
        for (journal, how), starts in found.items()
    ]
    slowest = max(start.answered for start in itertools.chain(*found.values()))
    words = (
        f"On a data folder that had taken {BEFORE:,} messages, and what the starts before took; `taken up` are "
        "messages that were in hand at the end before, carried out before the first answer."
    )
    bar = below("slowest restart to the first answer, s", slowest, MOST, ".2f")
    heads = "journal | ended | starts | first answer, s | slowest, s | taken up | token, ms | first ADT^A01, ms | later"
    return [
        "", "## Restart to the first answer", "", words, "",
        f"| {heads} |", "|---" * 9 + "|", *rows, *table([bar]),
    ]  # fmt: skip


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)
