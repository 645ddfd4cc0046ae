"""kill -9 under load, again and again: every acknowledged message is there exactly once.

On SQLite one gateway; on PostgreSQL two, which are killed in turn while the other goes on. Where starts are killed too,
each kill is followed by some more while the gateway takes up what it left.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from tests.fault.engines import Engines, verified
from tests.fault.forks import forks
from tests.fault.scenario import Counts
from tests.fault.sites import PROGRAM, Backend, Site, site
from tests.traffic import READY_WITHIN, Launch, Process, process

LONGEST = 0.5
"""Units: seconds from the first acknowledgement after a start to the kill, every other time."""
MOST, SHORTEST = 12, 0.02
"""Or so many more acknowledgements, which a busy machine takes longer for, and seconds."""


STARTS, OF_IT = 3, 1.2
"""So many starts are killed at most, each within such a part of the time that the last whole one took."""


class _Killing:
    """Starts processes, and kills them so long after it has, where `after` says so. Units: seconds."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self.after: float | None = None
        self.last: Process | None = None

    def __call__(self, words: Sequence[str], stdin: int, sink: BinaryIO, environment: Mapping[str, str]) -> Process:
        self.last = self._launch(words, stdin, sink, environment)
        if self.after is not None:
            threading.Timer(self.after, self.last.kill).start()
        return self.last


async def _killed_as_it_starts(place: Site, victim: int, launch: _Killing, after: float) -> bool:
    """Start a gateway and have it killed; whether that was before it answered."""
    launch.after = after
    try:
        server = await asyncio.to_thread(place.start, victim)
    except RuntimeError:
        if launch.last is None or launch.last.wait(READY_WITHIN) != -signal.SIGKILL:
            raise
        return True
    finally:
        launch.after = None
    await asyncio.to_thread(server.process.wait, READY_WITHIN)
    return False


async def _cycles(place: Site, cycles: int, chance: random.Random, launch: _Killing, *, starts: bool) -> Counts:
    engines, told = Engines(place, chance), Counter[str]()
    took = 1.0

    async def kill(number: int) -> None:
        nonlocal took
        victim = number % len(place.ports)
        if number // 2 % 2:
            await asyncio.sleep(chance.uniform(0.01, LONGEST))
        else:
            await engines.hear(chance.randrange(MOST) + 1)
            await asyncio.sleep(chance.uniform(0.0, SHORTEST))
        place.gateways[victim].kill()
        for _ in range(chance.randrange(STARTS) + 1 if starts else 0):
            early = await _killed_as_it_starts(place, victim, launch, chance.uniform(0, OF_IT * took))
            told["killed as it started" if early else "killed as it had started"] += 1
        began = time.monotonic()
        await asyncio.to_thread(place.start, victim)
        took = time.monotonic() - began

    counts = await verified(place, await engines.work(cycles, kill))
    return {**told, **counts}


def run(
    folder: Path, cycles: int, seed: int, *, backend: Backend = "sqlite", program: str = PROGRAM, apart: bool = False,
    starts: bool = False, forked: bool = False,
) -> Counts:  # fmt: skip
    """Run the cycles, and count.

    Shape: `apart` puts the record behind HTTP; `starts` kills starts too; `forked` as in `scenario.py`.
    """
    chance = random.Random(seed)  # noqa: S311 - a moment to kill at
    gateways = 1 if backend == "sqlite" else 2
    with (
        forks() if forked else nullcontext(process) as launch,
        site(folder, backend, gateways, program=program, apart=apart, launch=(killing := _Killing(launch))) as place,
    ):
        return asyncio.run(_cycles(place, cycles, chance, killing, starts=starts))
