"""Each request to a target as whoever watches the gateway is told of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.observing import counts, step
from gateway.upstream.answer import NotAsked, TargetDown


@dataclass(slots=True)
class Asked:
    """How a request went. Shape: `answered`, `refused`, `down`, `left alone`, or `broken off` where nobody waits."""

    outcome: str = "broken off"


@contextmanager
def observed(target: str) -> Iterator[Asked]:
    """Around a request to a target; the caller may say that it was refused."""
    asked, started = Asked(), time.perf_counter()
    try:
        with step(f"ask {target}"):
            yield asked
        if asked.outcome == "broken off":
            asked.outcome = "answered"
    except TargetDown as fault:
        asked.outcome = "left alone" if isinstance(fault, NotAsked) else "down"
        raise
    finally:
        counts().asked(target, asked.outcome, time.perf_counter() - started)
