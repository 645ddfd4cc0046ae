"""PostgreSQL restarted under load, orderly and by a crash in turn: 503 meanwhile, and nothing acknowledged falsely.

Two gateways go on through it; neither is restarted.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from pathlib import Path

from tests.fault.engines import Engines, verified
from tests.fault.scenario import Counts
from tests.fault.sites import Site, site

LONGEST = 0.5
HOW = (signal.SIGINT, signal.SIGQUIT)


async def _restarts(place: Site, times: int, chance: random.Random) -> Counts:
    told: Counter[str] = Counter({"restarts": 0, "acknowledged while it was down": 0})
    database = place.database
    assert database is not None
    engines = Engines(place, chance)

    async def restart(number: int) -> None:
        await asyncio.sleep(chance.uniform(0.01, LONGEST))
        await asyncio.to_thread(database.stop, HOW[number % len(HOW)])
        down = time.monotonic()
        await asyncio.sleep(chance.uniform(0.1, LONGEST))
        # an acknowledgement of what was sent before may have been on its way; whether it was true is seen in the end
        told["acknowledged while it was down"] += engines.tally.within(down, time.monotonic())
        await asyncio.to_thread(database.start)
        told["restarts"] += 1

    started = {number: server.process.pid for number, server in place.gateways.items()}
    counts = await verified(place, await engines.work(times, restart))
    ended = sum(place.gateways[number].process.poll() is not None for number in started)
    return {**told, "gateways that ended": ended, **counts}


def run(folder: Path, times: int, seed: int) -> Counts:
    """Restart PostgreSQL so often, and count."""
    chance = random.Random(seed)  # noqa: S311 - a moment to restart at
    with site(folder, "postgresql", 2) as place:
        return asyncio.run(_restarts(place, times, chance))
