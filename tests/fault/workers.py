"""kill -9 of one of several processes of a gateway under load, again and again; in the end SIGTERM of all together."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import httpx

from tests.fault.engines import Engines, verified
from tests.fault.scenario import Counts
from tests.fault.sites import Site, site

WORKERS = 3
LONGEST = 0.5
"""Units: seconds from the first acknowledgement after a kill to the next, at most."""
WITHIN = 60.0


def serving(watching: int) -> list[int]:
    """The processes that serve, by the one that watches them."""
    return [int(pid) for pid in Path(f"/proc/{watching}/task/{watching}/children").read_text("ascii").split()]


def there(pids: list[int]) -> list[int]:
    """Those of some processes that run still."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def answering(url: str) -> int:
    """Which worker answers on the port that all of them share; it is ready."""
    with httpx.Client(trust_env=False, timeout=WITHIN) as fresh:  # a new connection reaches any of them
        return int(fresh.get(f"{url}/_health/ready").raise_for_status().json()["worker"])


def all_answer(url: str) -> bool:
    """Whether all of them answer, in time."""
    end, found = time.monotonic() + WITHIN, set[int]()
    while len(found) < WORKERS and time.monotonic() < end:
        try:
            found.add(answering(url))
        except httpx.HTTPError:  # the one that was asked was killed a moment ago
            time.sleep(0.05)
    return len(found) == WORKERS


async def _kills(place: Site, times: int, chance: random.Random) -> Counts:
    told = Counter({"killed": 0, "not there again": 0, "ended in a fault": 0, "left behind": 0})
    server = place.gateways[0]
    watching = server.process.pid

    async def kill(_number: int) -> None:
        await asyncio.sleep(chance.uniform(0.01, LONGEST))
        if some := serving(watching):
            os.kill(chance.choice(some), signal.SIGKILL)
            told["killed"] += 1

    tally = await Engines(place, chance).work(times, kill)
    told["not there again"] += not await asyncio.to_thread(all_answer, server.url)
    counts = await verified(place, tally)
    last = serving(watching)
    told["ended in a fault"] += await asyncio.to_thread(server.stop) != 0
    told["left behind"] += len(there(last))
    return {**told, **counts}


def run(folder: Path, times: int, seed: int) -> Counts:
    """Kill workers so often, and count."""
    chance = random.Random(seed)  # noqa: S311 - a moment and a worker to kill
    with site(folder, "postgresql", settings={"workers": str(WORKERS)}) as place:
        return asyncio.run(_kills(place, times, chance))
