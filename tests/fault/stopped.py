"""SIGTERM under load: a gateway that is stopped and started again loses nothing, and another goes on meanwhile.

On SQLite one gateway; on PostgreSQL two, one after the other, as in a rolling restart.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from tests.fault.engines import Engines, verified
from tests.fault.forks import forks
from tests.fault.scenario import Counts
from tests.fault.sites import Backend, Site, site
from tests.traffic import process

LONGEST = 0.5


async def _restarts(place: Site, times: int, chance: random.Random) -> Counts:
    ended: Counter[str] = Counter({"stopped": 0, "ended in a fault": 0})

    async def restart(number: int) -> None:
        stopped = number % len(place.ports)
        await asyncio.sleep(chance.uniform(0.01, LONGEST))
        status = await asyncio.to_thread(place.gateways[stopped].stop)
        ended["stopped"] += 1
        ended["ended in a fault"] += status not in {0, -15}  # it takes the signal's own status where it ends by it
        await asyncio.to_thread(place.start, stopped)

    counts = await verified(place, await Engines(place, chance).work(times, restart))
    return {**ended, **counts}


def run(folder: Path, times: int, seed: int, *, backend: Backend = "postgresql", forked: bool = False) -> Counts:
    """Stop and start gateways so often, and count. Shape: `forked` as in `scenario.py`."""
    chance = random.Random(seed)  # noqa: S311 - a moment to stop at
    with (
        forks() if forked else nullcontext(process) as launch,
        site(folder, backend, 1 if backend == "sqlite" else 2, launch=launch) as place,
    ):
        return asyncio.run(_restarts(place, times, chance))
