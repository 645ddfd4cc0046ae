"""`make bench`: figures of the main job, beside a bare Starlette echo in the same run, written to `results.md`.

The load comes from this process and shares the machine's cores with the server. Every figure is the median of the
rounds; trust ratios more than figures.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import timeit
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from gateway import hl7v2, loading
from gateway.rules import Facts, RuleSet
from tests.bench import beside_hapi, conversion, converters, csv_file, facade, growth
from tests.bench import decisions as beside
from tests.bench import search as by_kind
from tests.bench.connection import connected
from tests.bench.load import LEVELS, Figure, Job, load, median, table
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
MARK = re.compile(r"^<!-- (\w+) -->$", re.MULTILINE)
"""Stands before each section."""
HEAD = """# Bench

Written by `make bench`, section by section (`python -m tests.bench --only NAME` measures one again): one run each,
medians of the rounds; the load comes from the same machine."""


async def ingest(server: Server, seconds: float, rounds: int) -> dict[int, Figure]:
    """Durable messages a second at each level, every message of another patient."""
    sent, found = 0, dict[int, Figure]()
    async with connected(server.url) as connections, server.client(ENGINE) as client:
        headers = {"source-domain": DOMAIN, "organisation-code": ORGANISATION, "data-type": "Hl7v2"}

        async def one(body: bytes) -> None:
            head = connections.head("POST", "/$ingest", {
                **headers, "authorization": f"Bearer {await client.token()}", "content-type": "text/plain"
            })  # fmt: skip
            reply = await connections.ask(head, body)
            if reply.status != 200 or b"MSA|AA" not in reply.body:
                raise RuntimeError(reply.body.decode())

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
        ingested = uvloop.run(ingest(server, seconds, rounds))
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


SECTIONS: Mapping[str, Callable[[Path, argparse.Namespace], list[str]]] = {
    "ingest": lambda folder, options: measure(folder, options.seconds, options.rounds),
    "conversion": lambda _, options: conversion.section(conversion.measured(min(0.5, options.seconds))),
    "converters": lambda _, __: converters.measure(),
    "facade": lambda folder, options: facade.measure(folder, options.requests, options.rounds),
    "hapi": lambda folder, options: beside_hapi.measure(folder, options.filled),
    "growth": lambda folder, options: growth.measure(folder, options.grown),
    "search": lambda folder, options: by_kind.table(by_kind.measure(folder, options.sizes)),
    "decisions": lambda folder, _: beside.measure(folder),
    "csv": lambda folder, options: csv_file.section(csv_file.measured(folder, options.lengths)),
}
"""What is measured, in the order of the file; each section is lines of Markdown."""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="a section; may be repeated. Default: all")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of an ingest round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", default=by_kind.SIZES, help="resources that are searched in")
    parser.add_argument("--requests", type=int, default=1000, help="searches of each round of the facade")
    parser.add_argument("--filled", type=int, nargs="*", default=beside_hapi.SIZES, help="resources beside HAPI")
    parser.add_argument("--grown", type=int, nargs="*", default=growth.SIZES, help="resources of the store alone")
    parser.add_argument("--lengths", type=int, nargs="*", default=csv_file.LENGTHS, help="rows of CSV files")
    parser.add_argument(
        "--no-write", action="store_true", help="print only; else the sections that were measured are written"
    )
    options = parser.parse_args()
    measured: dict[str, str] = {}
    for name in options.only or SECTIONS:
        with tempfile.TemporaryDirectory() as folder:
            lines = SECTIONS[name](Path(folder), options)
        measured[name] = "\n".join([f"Measured on {machine()}.", *lines])
        print(measured[name], flush=True)  # noqa: T201 - the figures are what this command is for
        if not options.no_write:
            RESULTS.write_text(written(RESULTS.read_text("utf-8") if RESULTS.exists() else "", measured), "utf-8")


def written(before: str, measured: Mapping[str, str]) -> str:
    """The file of results with the sections that were measured, and those of before that were not."""
    kept = dict(zip(*[iter(MARK.split(before)[1:])] * 2, strict=True))
    every = {**{name: text.strip("\n") for name, text in kept.items()}, **measured}
    return "\n\n".join([HEAD, *(f"<!-- {name} -->\n{every[name]}" for name in SECTIONS if name in every)]) + "\n"


if __name__ == "__main__":
    main()
