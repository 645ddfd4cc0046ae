"""kill -9 under load, again and again: every acknowledged message is there exactly once.

`make faults` runs it (N= for more cycles) and writes `results.md`; a test runs two cycles. Each cycle starts the
gateway on the same data folder, sends with eight in flight, and kills the process at a random moment. After the last
one, a gateway that is left alone is asked for every message that was acknowledged: sent again it must get the same
bytes, and a search must find its visit once, in its first version.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from gateway.client import AsyncGatewayClient, TokenRefused
from tests.bench.machine import machine
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, PARTNER, Server, admissions, start_gateway

IN_FLIGHT = 8
LONGEST = 2.0
A_CYCLE = 4000
RESULTS = Path(__file__).parent / "results.md"
Admission = tuple[str, str, str, bytes]


@dataclass
class Tally:
    """What was seen: the answer of each acknowledged message, and how many were cut off."""

    acknowledged: dict[str, tuple[Admission, bytes]] = field(default_factory=dict)
    cut: int = 0


async def _sender(client: AsyncGatewayClient, work: list[Admission], tally: Tally, answered: asyncio.Event) -> None:
    while work:
        admission = work.pop()
        try:
            reply = await client.send(admission[3], domain=DOMAIN, organisation=ORGANISATION)
        except (httpx.TransportError, TokenRefused):
            tally.cut += 1
            return
        if reply.accepted:
            tally.acknowledged[admission[0]] = (admission, reply.body)
            answered.set()


async def _cycle(server: Server, work: list[Admission], tally: Tally, chance: random.Random) -> None:
    async with server.client(ENGINE) as client:
        await client.token()
        answered = asyncio.Event()
        senders = [asyncio.create_task(_sender(client, work, tally, answered)) for _ in range(IN_FLIGHT)]
        # counted from the first answer, so that a slow machine is not killed before it did anything
        await answered.wait()
        await asyncio.sleep(chance.uniform(0.05, LONGEST))
        server.kill()
        await asyncio.gather(*senders)


async def _verify(server: Server, tally: Tally) -> dict[str, int]:
    """Count what is lost, doubled, or answered otherwise than the first time."""
    lost = doubled = changed = 0
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def look(
        engine: AsyncGatewayClient, partner: AsyncGatewayClient, admission: Admission, answer: bytes
    ) -> None:
        nonlocal lost, doubled, changed
        async with slots:
            again = await engine.send(admission[3], domain=DOMAIN, organisation=ORGANISATION)
            found = await partner.search("Encounter", [("patient", admission[1])], purpose="TREAT")
        visits = [entry["resource"] for entry in found.resource.get("entry", ())]
        changed += again.body != answer
        lost += not visits
        doubled += len(visits) > 1 or any(visit["meta"]["versionId"] != "1" for visit in visits)

    async with server.client(ENGINE) as engine, server.client(PARTNER) as partner:
        await asyncio.gather(engine.token(), partner.token())
        await asyncio.gather(*(look(engine, partner, *kept) for kept in tally.acknowledged.values()))
    return {"acknowledged": len(tally.acknowledged), "cut off": tally.cut, "lost": lost, "doubled": doubled,
            "answered otherwise": changed}  # fmt: skip


def run(folder: Path, cycles: int, seed: int) -> dict[str, int]:
    """Run the cycles on a data folder.

    Shape: counts by name; `lost`, `doubled` and `answered otherwise` have to be 0.
    """
    chance, tally, data = random.Random(seed), Tally(), folder / "data"  # noqa: S311 - a moment to kill at
    for number in range(cycles):
        server = start_gateway(data)
        asyncio.run(_cycle(server, admissions(A_CYCLE, number * A_CYCLE), tally, chance))
    server = start_gateway(data)
    try:
        return asyncio.run(_verify(server, tally))
    finally:
        server.stop()


def main() -> None:
    """Run, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20261122)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(Path(folder), options.cycles, options.seed)
    rows = [f"| {name} | {count} |" for name, count in counts.items()]
    text = "\n".join([
        "# Fault runs", "", "Written by `make faults`.", "", f"Machine: {machine()}", "",
        f"## kill -9 under load, {options.cycles} cycles, {IN_FLIGHT} in flight, SQLite", "",
        "| messages | count |", "|---|---|", *rows,
    ])  # fmt: skip
    RESULTS.write_text(text + "\n", "utf-8")
    print(text)  # noqa: T201 - the figures are what this command is for
    if counts["lost"] or counts["doubled"] or counts["answered otherwise"] or not counts["acknowledged"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
