"""kill -9 under load, again and again: every acknowledged message is there exactly once.

On SQLite one gateway; on PostgreSQL two, which are killed in turn while the other goes on.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.fault.engines import Engines, verified
from tests.fault.scenario import Counts
from tests.fault.sites import PROGRAM, Backend, Site, site

LONGEST = 0.5
"""Units: seconds from the first acknowledgement after a start to the kill."""


async def _cycles(place: Site, cycles: int, chance: random.Random) -> Counts:
    async def kill(number: int) -> None:
        victim = number % len(place.ports)
        await asyncio.sleep(chance.uniform(0.01, LONGEST))
        place.gateways[victim].kill()
        await asyncio.to_thread(place.start, victim)

    return await verified(place, await Engines(place, chance).work(cycles, kill))


def run(
    folder: Path, cycles: int, seed: int, *, backend: Backend = "sqlite", program: str = PROGRAM, apart: bool = False
) -> Counts:
    """Run the cycles, and count. Shape: `apart` puts the record behind HTTP."""
    chance = random.Random(seed)  # noqa: S311 - a moment to kill at
    with site(folder, backend, 1 if backend == "sqlite" else 2, program=program, apart=apart) as place:
        return asyncio.run(_cycles(place, cycles, chance))
