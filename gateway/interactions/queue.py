"""What the queue does: deliver what was put off, one item after the other, in order of each key.

Source: `http-interface.md` of the design, "Targets"; `trust.md`, "Journal".
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from gateway.interactions.deliver import LATE, TargetRefused, hand_over, target_of, unpacked
from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway
from gateway.journal import JournalUnavailable, NotInHand, Queued
from gateway.upstream import TargetDown

LONGEST_PAUSE = 300.0
WITHIN = 15.0  # less than an ingest's time to answer: one that waits for the same turn must still get its own
IDLE = 1.0
log = structlog.get_logger()


async def work_off(current: Callable[[], Gateway]) -> None:
    """Deliver what is queued, for as long as the gateway runs, each item by the rules that are loaded then.

    A target that is down is tried again with back-off until the route's time is over, then its item is dead; a target
    that refuses makes it dead at once. Nothing that goes wrong with one item stops the others.
    """
    while True:
        gateway = current()
        try:
            item = await gateway.journal.due(gateway.clock())
            if item is not None:
                await _safely(gateway, item)
                continue
        except (JournalUnavailable, NotInHand) as fault:
            log.error("queue", why=str(fault))
        await asyncio.sleep(IDLE)


async def _safely(gateway: Gateway, item: Queued) -> None:
    try:
        await attempt(gateway, item)
    except (JournalUnavailable, NotInHand):
        raise
    except Exception as fault:  # noqa: BLE001 - one item must not hold up all others
        log.error("queue", receipt=item.receipt, target=item.target, **trace(fault))
        await _again(gateway, item, "the gateway failed on it")


async def attempt(gateway: Gateway, item: Queued) -> None:
    """Try one queued item once, and tell the journal how it went.

    Errors: JournalUnavailable, NotInHand.
    """
    try:
        target, parcel = target_of(gateway, item.target), unpacked(item.payload)
        async with gateway.order.turns([(item.target, item.order_key)]), asyncio.timeout(WITHIN):
            await hand_over(gateway, target, parcel)
    except TargetRefused as fault:
        await gateway.journal.attempted(item, dead="; ".join(finding.diagnostics for finding in fault.findings))
    except (TargetDown, TimeoutError) as fault:
        await _again(gateway, item, fault.why if isinstance(fault, TargetDown) else LATE)
    else:
        await gateway.journal.attempted(item, delivered=True)
    log.info("queue", receipt=item.receipt, target=item.target, attempts=item.attempts + 1)


async def _again(gateway: Gateway, item: Queued, why: str) -> None:
    now = gateway.clock()
    deadline = datetime.fromisoformat(item.deadline) if item.deadline else now
    if now >= deadline:
        await gateway.journal.attempted(item, dead=f"{why}; the time that its route gives was over")
        return
    pause = min(2.0 ** min(item.attempts, 16), LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
    await gateway.journal.attempted(item, failed=why, next_at=min(now + timedelta(seconds=pause), deadline))
