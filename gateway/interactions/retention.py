"""What the journal need keep no longer, by the rules of its domain, is taken out while the gateway runs.

A few submissions at a time, with a pause between: nobody waits longer for it than for one other's write.
Source: `trust.md` of the design, "Journal".
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from functools import partial

import structlog

from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway
from gateway.journal import JournalUnavailable, purging
from gateway.journal.purging import Over
from gateway.rules import RuleSet
from gateway.rules.declared import KEPT

PAUSE = 0.05
"""Between two batches. Units: seconds."""
FIRST = 60.0
"""After the start, when there is most to do. Units: seconds."""
log = structlog.get_logger()


def planned(ruleset: RuleSet, kept: Iterable[str], now: datetime) -> Iterator[Over]:
    """What is over by now: of each domain that rules declare or the journal holds, by how submissions ended.

    Shape: of a domain that is declared no more, as of one that says nothing of it.
    """
    for name in sorted({*kept, *ruleset.domains}):
        domain = ruleset.domains.get(name)
        for state, held in (KEPT if domain is None else domain.keeps).items():
            yield Over(name, state, now - held)


async def purge_for_good(current: Callable[[], Gateway]) -> None:
    """Take out what is over, for as long as the gateway runs, by the rules that are loaded then; never, if so set."""
    every = current().settings.purge_every
    if not every:
        return
    await asyncio.sleep(min(FIRST, every))
    while True:
        gateway = current()
        try:
            gone = [receipt async for receipt in purged(gateway)]
            if gone:
                log.info("purged", submissions=len(gone))
        except JournalUnavailable as fault:
            log.error("purge", why=str(fault))
        except Exception as fault:  # noqa: BLE001 - what stopped this round need not stop the next
            log.error("purge", **trace(fault))
        await asyncio.sleep(every)


async def purged(gateway: Gateway, pause: float = PAUSE) -> AsyncIterator[str]:
    """Take out everything that is over: the receipts, as they go.

    Units: `pause` in seconds, between batches.
    Errors: JournalUnavailable.
    """
    journal, now = gateway.journal, gateway.clock()
    for over in planned(gateway.rules, await journal.read(purging.domains), now):
        while receipts := await journal.change(partial(purging.purge, over, now)):
            await asyncio.to_thread(_drop, gateway, receipts)
            for receipt in receipts:
                yield receipt
            await asyncio.sleep(pause)
    for step in (purging.release, purging.forget):
        many = True
        while many:
            many = await journal.change(partial(step, now)) == purging.AT_ONCE
            await asyncio.sleep(pause)
    await _drop_files(gateway, pause)


async def _drop_files(gateway: Gateway, pause: float) -> None:
    """Drop the files of what another gateway took out, or a command."""
    kept = iter(gateway.files.receipts())
    while some := tuple(itertools.islice(kept, purging.AT_ONCE)):
        await asyncio.to_thread(_drop, gateway, await gateway.journal.read(partial(purging.gone, some)))
        await asyncio.sleep(pause)


def _drop(gateway: Gateway, receipts: Iterable[str]) -> None:
    """Drop files, in a thread: a large one takes its time."""
    for receipt in receipts:
        gateway.files.drop(receipt)
