"""The machine's clock set forwards and backwards under load: nothing is lost, and nobody gets another answer.

The gateway is given a clock (`stepped_clock.py`), which is what libfaketime would do without it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

from tests.fault.engines import Engines, verified
from tests.fault.scenario import Counts
from tests.fault.sites import Backend, Site, site
from tests.fault.stepped_clock import VARIABLE

STEPS = tuple(
    timedelta(seconds=seconds) for seconds in (1, -1, 61, -61, 3600, -3600, 7200, -86400, 86400, 2 * 86400, -3 * 86400)
)
"""How far the clock is from the true one, one step after the other: within the window of a key, which is 7 days."""


async def _steps(place: Site, times: int, chance: random.Random, file: Path) -> Counts:
    told: Counter[str] = Counter({"steps": 0})

    async def step(number: int) -> None:
        await asyncio.sleep(chance.uniform(0.1, 0.5))
        _set(file, STEPS[number % len(STEPS)])
        told["steps"] += 1

    engines = Engines(place, chance)
    tally = await engines.work(times, step)
    _set(file, timedelta(0))
    return {**told, **await verified(place, tally)}


def _set(file: Path, step: timedelta) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(str(step.total_seconds()), "ascii")
    beside.replace(file)


def run(folder: Path, times: int, seed: int, *, backend: Backend = "sqlite") -> Counts:
    """Step the clock so often, and count."""
    chance, file = random.Random(seed), folder / "clock"  # noqa: S311 - when the clock is set
    _set(file, timedelta(0))
    with site(folder, backend, 1 if backend == "sqlite" else 2, program="tests.fault.stepped_clock",
              environment={VARIABLE: str(file)}) as place:  # fmt: skip
        return asyncio.run(_steps(place, times, chance, file))
