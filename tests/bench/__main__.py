"""`make bench`: figures of the main job, beside a bare Starlette echo in the same run, written to `results.md`.

The load comes from this process and shares the machine's cores with the server. Every figure is the median of the
rounds; trust ratios more than figures.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
import timeit
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
from httpx_aiohttp import AiohttpTransport

from gateway import assemble, hl7v2
from gateway.rules import Facts
from tests.bench.machine import machine
from tests.traffic import (
    DOMAIN,
    ENGINE,
    ORGANISATION,
    PARTNER,
    ROOT,
    SAMPLE,
    Server,
    admissions,
    free_port,
    start,
    start_gateway,
)  # fmt: skip

RESULTS = Path(__file__).parent / "results.md"
LEVELS = (1, 8, 32)
Job = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Figure:
    """Throughput and latency of one level.

    Units: requests a second, milliseconds.
    """

    rate: float
    p50: float
    p99: float


async def load(jobs: list[Job], in_flight: int) -> Figure:
    """Run jobs with so many in flight, and time each."""
    waiting, took = list(reversed(jobs)), list[float]()

    async def worker() -> None:
        while waiting:
            job, started = waiting.pop(), time.perf_counter()
            await job()
            took.append(time.perf_counter() - started)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    elapsed = time.perf_counter() - began
    ranked = sorted(took)
    return Figure(len(took) / elapsed, ranked[len(ranked) // 2] * 1000, ranked[int(len(ranked) * 0.99)] * 1000)


def median(figures: list[Figure]) -> Figure:
    """Median of each column over the rounds."""
    columns = zip(*((figure.rate, figure.p50, figure.p99) for figure in figures), strict=True)
    return Figure(*(statistics.median(column) for column in columns))


async def ingest(server: Server, seconds: float, rounds: int) -> dict[int, Figure]:
    """Durable messages a second at each level, every message of another patient."""
    sent, found = 0, dict[int, Figure]()
    async with server.client(ENGINE) as client:
        await client.token()

        async def one(body: bytes) -> None:
            reply = await client.send(body, domain=DOMAIN, organisation=ORGANISATION)
            if not reply.accepted:
                raise RuntimeError(reply.text)

        async def round_of(count: int, level: int) -> Figure:
            nonlocal sent
            bodies = [admission[3] for admission in admissions(count, sent)]
            sent += count
            return await load([partial(one, body) for body in bodies], level)

        pace = (await round_of(200, 8)).rate
        for level in LEVELS:
            found[level] = median([await round_of(max(100, int(pace * seconds)), level) for _ in range(rounds)])
    return found


async def search(get: Callable[[str], Awaitable[object]], count: int, rounds: int) -> dict[int, Figure]:
    """Latency of `Patient?_id=` at each level."""
    numbers = [admission[1] for admission in admissions(200)]
    jobs: list[Job] = [partial(get, numbers[i % len(numbers)]) for i in range(count)]
    await load(jobs[:100], 8)
    return {level: median([await load(jobs, level) for _ in range(rounds)]) for level in LEVELS}


async def facade(server: Server, count: int, rounds: int) -> dict[int, Figure]:
    """Search through the gateway, as a partner."""
    async with server.client(PARTNER) as client:
        await client.token()

        async def get(number: str) -> None:
            answer = await client.search("Patient", [("_id", number)], purpose="TREAT")
            if answer.status != 200 or number.encode() not in answer.body:
                raise RuntimeError(answer.body.decode())

        return await search(get, count, rounds)


async def plain(url: str, path: str, count: int, rounds: int) -> dict[int, Figure]:
    """The same requests to a server without rules."""
    async with httpx.AsyncClient(transport=AiohttpTransport(), base_url=url, trust_env=False) as client:

        async def get(number: str) -> None:
            (await client.get(path.replace("{id}", number))).raise_for_status()

        return await search(get, count, rounds)


def decision() -> float:
    """Microseconds of one decision about a message that was read."""
    loaded = assemble.decisions(ROOT / "rules", ROOT / "specs")
    caller = loaded.rules.caller(ENGINE)
    if caller is None:
        raise RuntimeError(f"{ENGINE} is not declared")
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    message = hl7v2.read(SAMPLE.read_bytes())
    facts = Facts(
        action="ingest", caller=caller, environment="production", now=now, today=now.date(), domain=DOMAIN,
        organisation=ORGANISATION.upper(), data_type="Hl7v2", message=message, type=message.type, received=now,
    )  # fmt: skip
    decided = loaded.rules.decide(facts)
    if decided.effect != "permit":
        raise RuntimeError(str(decided))
    return min(timeit.repeat(lambda: loaded.rules.decide(facts), number=5000, repeat=5)) / 5000 * 1e6


def table(title: str, figures: dict[int, Figure]) -> list[str]:
    """Figures as Markdown."""
    rows = [f"| {level} | {f.rate:,.0f} | {f.p50:.1f} | {f.p99:.1f} |" for level, f in figures.items()]
    return ["", f"## {title}", "", "| in flight | a second | p50 ms | p99 ms |", "|---|---|---|---|", *rows]


def bars(decide: float, ingested: dict[int, Figure], searched: dict[int, Figure]) -> list[str]:
    """The first bars, and whether this run met them."""
    held = [
        ("ingest at 32 in flight, messages/s", ingested[32].rate, ">= 300", ingested[32].rate >= 300),
        ("ingest at 32 in flight, p99 ms", ingested[32].p99, "< 250", ingested[32].p99 < 250),
        ("decision, us", decide, "< 5", decide < 5),
        ("facade search alone, p50 ms", searched[1].p50, "< 5", searched[1].p50 < 5),
    ]
    rows = [f"| {name} | {value:,.1f} | {bar} | {'yes' if met else 'NO'} |" for name, value, bar, met in held]
    return ["", "## First bars", "", "| what | measured | bar | met |", "|---|---|---|---|", *rows]


def measure(folder: Path, seconds: float, rounds: int) -> str:
    """Run everything, one server at a time."""
    port = free_port()
    echo = start("uvicorn", "tests.bench.echo:app", "--port", str(port), "--log-level", "warning", "--no-access-log",
                 port=port, data=folder / "echo", ready="/")  # fmt: skip
    try:
        bare = asyncio.run(plain(echo.url, "/?_id={id}", 2000, rounds))
    finally:
        echo.stop()
    server = start_gateway(folder / "data")
    try:
        ingested = asyncio.run(ingest(server, seconds, rounds))
        searched = asyncio.run(facade(server, 1000, rounds))
    finally:
        server.stop()
    (folder / "alone").mkdir()
    shutil.copy(folder / "data" / "store.db", folder / "alone" / "store.db")
    port = free_port()
    store = start("gateway", "store", "serve", "--port", str(port), "--data", str(folder / "alone"), port=port,
                  data=folder / "alone", ready="/metadata")  # fmt: skip
    try:
        direct = asyncio.run(plain(store.url, "/Patient?_id={id}", 1000, rounds))
    finally:
        store.stop()
    decide = decision()
    return "\n".join([
        "# Bench", "", "Written by `make bench`: one run, medians of the rounds; the load comes from the same machine.",
        "", f"Machine: {machine()}",
        *bars(decide, ingested, searched),
        *table("`POST /$ingest`, durable, embedded store (ADT^A01, " f"{SAMPLE.stat().st_size} bytes)", ingested),
        *table("`GET /Patient?_id=` through the facade", searched),
        *table("`GET /Patient?_id=` of the embedded store over HTTP, without the gateway", direct),
        *table("bare Starlette echo over HTTP, for scale", bare),
        "", f"Decision about one message that was read: {decide:.2f} us.",
    ])  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of an ingest round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = measure(Path(folder), options.seconds, options.rounds)
    print(text)  # noqa: T201 - the figures are what this command is for
    if not options.no_write:
        RESULTS.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
