"""A disk that is full under load, again and again: 503, nothing acknowledged falsely, recovery without a restart.

The gateway's files may not grow past a limit (RLIMIT_FSIZE) until it is lifted again.
Source: setrlimit(2): a write past the limit fails with EFBIG, and Python ignores the signal that comes with it.
"""

from __future__ import annotations

import asyncio
import random
import resource
from collections import Counter
from pathlib import Path

from tests.fault.engines import PATIENCE, Engines, verified
from tests.fault.scenario import Counts
from tests.fault.sites import Site, site

ROOM = 20_000
"""Bytes that its largest file may still grow."""


def _limited(place: Site, size: int) -> None:
    process = place.gateways[0].process.pid
    _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, hard))


def _refused(engines: Engines) -> int:
    return engines.tally.told["answered 503"]


async def _rounds(place: Site, times: int, chance: random.Random) -> Counts:
    told: Counter[str] = Counter({"disk full": 0})
    engines = Engines(place, chance)
    journal = place.folder / "gateway-0" / "journal.db-wal"

    async def fill(number: int) -> None:  # noqa: ARG001 - each round is as the others
        before = _refused(engines)
        _limited(place, max(chance.randrange(ROOM), journal.stat().st_size + chance.randrange(ROOM)))
        until = asyncio.get_running_loop().time() + PATIENCE
        while _refused(engines) < before + 3:
            assert asyncio.get_running_loop().time() < until, f"the disk never was full: {engines.tally.counts()}"
            engines.room()
            await asyncio.sleep(0.02)
        told["disk full"] += 1
        _limited(place, resource.RLIM_INFINITY)

    counts = await verified(place, await engines.work(times, fill))
    ended = int(place.gateways[0].process.poll() is not None)
    damaged = place.rows("PRAGMA integrity_check") != [("ok",)]
    return {**told, "gateways that ended": ended, "files damaged": int(damaged), **counts}


def run(folder: Path, times: int, seed: int) -> Counts:
    """Fill the disk so often, and count."""
    chance = random.Random(seed)  # noqa: S311 - how much room is left
    with site(folder, "sqlite") as place:
        return asyncio.run(_rounds(place, times, chance))
