"""The gateway broken on purpose: it answers before its journal has committed what it answers."""

from __future__ import annotations

import asyncio

from gateway.__main__ import main
from gateway.journal import Outcome, SqliteJournal

LATE = 0.2
"""So much later it is committed. Units: seconds."""
_settle = SqliteJournal.settle
_behind: set[asyncio.Task[None]] = set()


async def _early(self: SqliteJournal, receipt: str, outcome: Outcome) -> None:
    async def later() -> None:
        await asyncio.sleep(LATE)
        await _settle(self, receipt, outcome)

    task = asyncio.create_task(later())
    _behind.add(task)
    task.add_done_callback(_behind.discard)


if __name__ == "__main__":
    SqliteJournal.settle = _early  # type: ignore[method-assign]  # this is the mutant
    main()
