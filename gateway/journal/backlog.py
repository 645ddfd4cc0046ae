"""How much waits for targets, and how much is dead there: for metrics, so it reads two small indexes alone."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.journal.steps import Statement, Steps

STATES = ("queued", "dead")
Backlog = Sequence[tuple[str, str, int, int]]
"""Target, state, count, and since when the oldest is there. Units: microseconds as of `model.instant`."""


def backlog() -> Steps[Backlog]:
    """What waits and what is dead, by target."""
    found: list[tuple[str, str, int, int]] = []
    for state in STATES:
        rows = yield Statement(
            f"SELECT target, count(*), min(since) FROM delivery WHERE state = '{state}' GROUP BY target ORDER BY 1"  # noqa: S608 - one of two words
        )
        found.extend((str(target), state, int(count), int(oldest)) for target, count, oldest in rows)
    return tuple(found)
