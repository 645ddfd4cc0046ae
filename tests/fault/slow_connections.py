"""Slow connections beside others: a thousand that send a byte now and then, and what everybody else's answers take.

Half of them never finish their header fields, the other half never finish a body; one that is refused connects again.
Turns without and with them alternate, and so does which of the two comes first, so that a machine that is busy with
something else, and a store that grows, disturb both alike; what is compared are all answers of each kind together.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.admitting import bodies, engines
from tests.bench.load import Job, timed
from tests.fault.scenario import Counts, Scenario
from tests.traffic import ROOT, Server, start_gateway

IN_FLIGHT = 4
ROUNDS = 8
A_ROUND = 250
EVERY = 2.0
"""Between two bytes of a slow connection. Units: seconds."""
HEAD = b"GET /_health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST /$ingest/auth HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
TIMES = 2.0
GATHER, LEAVE = 3.0, 1.0
"""Until they have all connected, and until the gateway has let go of them. Units: seconds."""


async def _slow(port: int, start: bytes, every: float, told: Counter[str], chance: random.Random) -> None:
    """Be slow for good: what the gateway refuses begins again."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            told["slow now"] += 1
            told["slow at once"] = max(told["slow at once"], told["slow now"])
            try:
                writer.write(start)
                answer = asyncio.ensure_future(reader.read(64))
                while not answer.done():
                    writer.write(b"x")
                    await asyncio.wait({answer}, timeout=every * chance.uniform(0.5, 1.5))
                told["slow refused"] += answer.result()[:12] in {b"HTTP/1.1 408", b"HTTP/1.1 503"}
            finally:
                told["slow now"] -= 1
                writer.close()
        await asyncio.sleep(0.1)


async def _crowd(port: int, count: int, every: float, seed: int) -> Counter[str]:
    """So many slow connections, until standard input ends; what they were told."""
    told, chance = Counter[str](), random.Random(seed)  # noqa: S311 - moments to send a byte at
    slow = [asyncio.create_task(_slow(port, HEAD if one % 2 else BODY, every, told, chance)) for one in range(count)]
    await asyncio.to_thread(sys.stdin.read)
    for one in slow:
        one.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    return told


@contextlib.contextmanager
def crowd(server: Server, count: int, seed: int, told: Counter[str]) -> Iterator[None]:
    """Slow connections from a process of their own, so that whoever measures is not slowed by what they do."""
    words = [server.url.rpartition(":")[2], str(count), str(EVERY), str(seed)]
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        time.sleep(GATHER)
        yield
    finally:
        said, _ = process.communicate(timeout=60)
    for name, number in json.loads(said).items():
        told[name] = max(told[name], number) if name == "slow at once" else told[name] + number


def _counted(jobs: list[Job], told: Counter[str]) -> list[Job]:
    """The same jobs, each counted as answered or as failed."""

    async def one(job: Job) -> None:
        try:
            await job()
        except (RuntimeError, OSError, asyncio.IncompleteReadError):
            told["failed"] += 1
        else:
            told["answered"] += 1

    return [partial(one, job) for job in jobs]


def p99(times: list[float]) -> float:
    """What all but one in a hundred took at most."""
    return sorted(times)[math.ceil(len(times) * 0.99) - 1]


async def _measured(server: Server, count: int, chance: random.Random) -> Counts:
    told: Counter[str] = Counter()
    took: dict[bool, list[float]] = {False: [], True: []}
    async with engines(bodies(), server) as jobs:
        await timed(_counted(jobs(A_ROUND), told), IN_FLIGHT)  # the first ones meet a gateway that has just started
        for number in range(ROUNDS):
            for slow in (False, True) if number % 2 == 0 else (True, False):
                with crowd(server, count, chance.randrange(1000), told) if slow else contextlib.nullcontext():
                    took[slow] += await timed(_counted(jobs(A_ROUND), told), IN_FLIGHT)
                await asyncio.sleep(LEAVE if slow else 0)
    return {**told, "failed": told["failed"], **judged(took[False], took[True])}


def judged(alone: list[float], beside: list[float]) -> Counts:
    """What the answers alone and beside slow connections took, and whether that is too much. Units: seconds."""
    base, with_slow = p99(alone), p99(beside)
    return {
        "answers compared": min(len(alone), len(beside)),
        "p99 alone in microseconds": round(base * 1e6),
        "p99 beside slow connections in microseconds": round(with_slow * 1e6),
        "of it in percent": round(100 * with_slow / base),
        "twice as slow or slower": int(with_slow >= TIMES * base),
    }


def run(folder: Path, times: int, seed: int) -> Counts:
    """Hold so many slow connections beside an engine, and count."""
    chance = random.Random(seed)  # noqa: S311 - moments to send a byte at
    server = start_gateway(folder / "data")
    try:
        return asyncio.run(_measured(server, times, chance))
    finally:
        server.stop()


SCENARIO = Scenario(
    "Slow connections beside an engine", run, 1000, 1000, ("failed", "twice as slow or slower"),
    ("answered", "answers compared", "slow at once"),
)  # fmt: skip


if __name__ == "__main__":
    where, many, pause, number = sys.argv[1:]
    seen = asyncio.run(_crowd(int(where), int(many), float(pause), int(number)))
    del seen["slow now"]
    sys.stdout.write(json.dumps(seen))
