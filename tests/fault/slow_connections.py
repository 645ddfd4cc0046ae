"""Slow connections beside others: a thousand that send a byte now and then, and what everybody else's answers take.

Half of them never finish their header fields, the other half never finish a body; one that is refused connects again.
Rounds without and with them alternate, so that a machine that is busy with something else disturbs both.
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
from pathlib import Path

from gateway.client import AsyncGatewayClient
from tests.fault.scenario import Counts, Scenario
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, ROOT, Server, admissions, start_gateway

IN_FLIGHT = 4
ROUNDS = 4
A_ROUND = 300
EVERY = 2.0
"""Between two bytes of a slow connection. Units: seconds."""
HEAD = b"GET /_health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST /$ingest/auth HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
TIMES = 2.0
GATHER = 3.0
"""Until they have all connected. Units: seconds."""


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


async def _round(client: AsyncGatewayClient, first: int, times: list[float], told: Counter[str]) -> None:
    """Send messages as engines do, and note how long each answer took."""
    work = admissions(A_ROUND, first)

    async def engine() -> None:
        while work:
            body = work.pop()[3]
            started = time.perf_counter()
            reply = await client.send(body, domain=DOMAIN, organisation=ORGANISATION)
            times.append(time.perf_counter() - started)
            told["answered" if reply.accepted else "failed"] += 1

    await asyncio.gather(*(engine() for _ in range(IN_FLIGHT)))


def _p99(times: list[float]) -> float:
    return sorted(times)[math.ceil(len(times) * 0.99) - 1]


async def _measured(server: Server, count: int, chance: random.Random) -> Counts:
    told: Counter[str] = Counter()
    alone: list[float] = []
    beside: list[float] = []
    async with server.client(ENGINE) as client:
        await client.token()
        await _round(client, 0, [], told)  # the first ones meet a gateway that has just started
        for number in range(1, ROUNDS + 1):
            await _round(client, 2 * number * A_ROUND, alone, told)
            with crowd(server, count, chance.randrange(1000), told):
                await _round(client, (2 * number + 1) * A_ROUND, beside, told)
            await asyncio.sleep(0.5)
    base, with_slow = _p99(alone), _p99(beside)
    return {
        **told,
        "failed": told["failed"],
        "p99 alone in microseconds": round(base * 1e6),
        "p99 beside slow connections in microseconds": round(with_slow * 1e6),
        "more than twice as slow": int(with_slow > TIMES * base),
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
    "Slow connections beside an engine", run, 1000, 1000, ("failed", "more than twice as slow"),
    ("answered", "slow at once"),
)  # fmt: skip


if __name__ == "__main__":
    where, many, pause, number = sys.argv[1:]
    seen = asyncio.run(_crowd(int(where), int(many), float(pause), int(number)))
    del seen["slow now"]
    sys.stdout.write(json.dumps(seen))
