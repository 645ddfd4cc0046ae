"""A record that fails in every way under load: what is acknowledged is there once, whatever happened on the way.

Between the gateway and the record stands a proxy (`faulty_proxy.py`), which answers 500 and 503, is slow, resets, cuts
answers short, and loses the answer of what was written.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

from tests.fault.engines import Engines, verified
from tests.fault.faulty_proxy import FAULTS, FaultyProxy
from tests.fault.scenario import Counts
from tests.fault.sites import site, start_store
from tests.traffic import free_port


async def _faults(folder: Path, times: int, chance: random.Random, store: str) -> Counts:
    told: Counter[str] = Counter({"faults": 0})
    port = free_port()
    async with FaultyProxy(store, port, chance) as proxy:
        context = site(folder, "sqlite", record=f"http://127.0.0.1:{port}")
        place = await asyncio.to_thread(context.__enter__)
        try:

            async def fail(number: int) -> None:
                proxy.fault = FAULTS[number % len(FAULTS)]
                await asyncio.sleep(chance.uniform(0.2, 0.6))
                proxy.fault = ""
                told["faults"] += 1

            engines = Engines(place, chance)
            tally = await engines.work(times, fail)
            counts = await verified(place, tally)
            return {**told, **{f"proxy: {name}": count for name, count in sorted(proxy.told.items())}, **counts}
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)


def run(folder: Path, times: int, seed: int) -> Counts:
    """Let the record fail so often, and count."""
    chance = random.Random(seed)  # noqa: S311 - when what fails
    store = start_store(folder)
    try:
        return asyncio.run(_faults(folder, times, chance, store.url))
    finally:
        store.kill()
