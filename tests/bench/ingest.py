"""The main job: ingest and search over HTTP beside a bare Starlette echo, and what a decision takes.

Run alone: `python -m tests.bench --only ingest`. Every figure is the median of the rounds.
"""

from __future__ import annotations

import shutil
import timeit
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from gateway import hl7v2, loading
from gateway.rules import Facts, RuleSet
from tests.bench import conversion
from tests.bench.admitting import admitting, bodies
from tests.bench.bars import at_least, below
from tests.bench.bars import table as table_of
from tests.bench.connection import connected
from tests.bench.load import LEVELS, Figure, Job, load, median, table
from tests.traffic import DOMAIN, PARTNER, ROOT, SAMPLE, Server, admissions, free_port, start, start_gateway


async def ingested_by(server: Server, seconds: float, rounds: int) -> dict[int, Figure]:
    """Durable messages a second at each level, every message of another patient."""
    found = dict[int, Figure]()
    async with admitting(bodies(), server) as send:
        pace = (await send(200, 8)).rate
        for level in LEVELS:
            found[level] = median([await send(max(100, int(pace * seconds)), level) for _ in range(rounds)])
    return found


async def search(get: Callable[[str], Awaitable[object]], count: int, rounds: int) -> dict[int, Figure]:
    """Latency of `Patient?_id=` at each level."""
    numbers = [admission[1] for admission in admissions(200)]
    jobs: list[Job] = [partial(get, numbers[i % len(numbers)]) for i in range(count)]
    await load(jobs[:100], 8)
    return {level: median([await load(jobs, level) for _ in range(rounds)]) for level in LEVELS}


async def by_partner(server: Server, count: int, rounds: int) -> dict[int, Figure]:
    """Search through the gateway, as a partner."""
    async with connected(server.url) as connections, server.client(PARTNER) as client:

        async def get(number: str) -> None:
            asked = {"authorization": f"Bearer {await client.token()}", "purpose-of-use": "TREAT"}
            answer = await connections.ask(connections.head("GET", f"/Patient?_id={number}", asked))
            if answer.status != 200 or number.encode() not in answer.body:
                raise RuntimeError(answer.body.decode())

        return await search(get, count, rounds)


async def plain(url: str, path: str, count: int, rounds: int) -> dict[int, Figure]:
    """The same requests to a server without rules."""
    async with connected(url) as connections:

        async def get(number: str) -> None:
            answer = await connections.ask(connections.head("GET", path.replace("{id}", number), {}))
            if answer.status != 200:
                raise RuntimeError(answer.body.decode())

        return await search(get, count, rounds)


def decision(turns: Sequence[Facts], rules: RuleSet) -> float:
    """Microseconds of one decision about messages that were read, in turn."""
    for facts in turns:
        decided = rules.decide(facts)
        if decided.effect != "permit":
            raise RuntimeError(str(decided))

    def once() -> None:
        for facts in turns:
            rules.decide(facts)

    number = max(1, 5000 // len(turns))
    return min(timeit.repeat(once, number=number, repeat=9)) / number / len(turns) * 1e6


def decisions() -> tuple[float, list[str]]:
    """Microseconds of a decision about the message that the ingest is measured by, and lines about every other type."""
    loaded = loading.decisions(ROOT / "rules", ROOT / "specs")
    turns = conversion.submissions(loaded)
    like = next(facts for facts in turns if (facts.domain, facts.type) == (DOMAIN, "ADT^A01"))
    sent = [hl7v2.read(body) for _, _, _, body in admissions(200)]
    own = decision([replace(like, message=message) for message in sent], loaded.rules)
    by_type: dict[tuple[str, str], list[Facts]] = {}
    for facts in turns:
        by_type.setdefault((facts.domain or "", facts.type or ""), []).append(facts)
    rows = [f"| {domain} | {type_} | {decision(f, loaded.rules):.1f} |" for (domain, type_), f in by_type.items()]
    return own, [
        "", "## Decision about a message that was read, by type", "",
        f"The message of the ingest above: {own:.2f} us. Samples of every type:", "",
        "| domain | type | us |", "|---|---|---|", *rows,
    ]  # fmt: skip


def bars(decide: float, ingested: Mapping[int, Figure], searched: Mapping[int, Figure]) -> list[str]:
    """The first bars and those of issue 7, and whether this run met them."""
    most = ingested[32]
    first = [
        at_least("ingest at 32 in flight, messages/s", most.rate, 300),
        below("ingest at 32 in flight, p99 ms", most.p99, 250),
        below("decision, us", decide, 5),
        below("facade search alone, p50 ms", searched[1].p50, 5),
    ]
    later = [
        at_least("ingest at 32 in flight, messages/s", most.rate, 700),
        below("ingest at 32 in flight, p99 ms", most.p99, 100),
    ]
    return ["", "## First bars", *table_of(first), "", "## Bars of issue 7 for durable ingest", *table_of(later)]


def measure(folder: Path, seconds: float, rounds: int) -> list[str]:
    """Ingest and search over HTTP, one server at a time."""
    port = free_port()
    echo = start("uvicorn", "tests.bench.echo:app", "--port", str(port), "--log-level", "warning", "--no-access-log",
                 port=port, data=folder / "echo", ready="/")  # fmt: skip
    try:
        bare = uvloop.run(plain(echo.url, "/?_id={id}", 2000, rounds))
    finally:
        echo.stop()
    server = start_gateway(folder / "data")
    try:
        ingested = uvloop.run(ingested_by(server, seconds, rounds))
        searched = uvloop.run(by_partner(server, 1000, rounds))
    finally:
        server.stop()
    (folder / "alone").mkdir()
    shutil.copy(folder / "data" / "store.db", folder / "alone" / "store.db")
    port = free_port()
    store = start("gateway", "store", "serve", "--port", str(port), "--data", str(folder / "alone"), port=port,
                  data=folder / "alone", ready="/metadata")  # fmt: skip
    try:
        direct = uvloop.run(plain(store.url, "/Patient?_id={id}", 1000, rounds))
    finally:
        store.stop()
    decide, decided = decisions()
    return [
        *bars(decide, ingested, searched),
        *table("`POST /$ingest`, durable, embedded store (ADT^A01, " f"{SAMPLE.stat().st_size} bytes)", ingested),
        *table("`GET /Patient?_id=` through the facade", searched),
        *table("`GET /Patient?_id=` of the embedded store over HTTP, without the gateway", direct),
        *table("bare Starlette echo over HTTP, for scale", bare),
        *decided,
    ]  # fmt: skip
