"""What the queue does: deliver what was put off, at each target one item after the other, in order of each key.

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
    that refuses makes it dead at once. Nothing that goes wrong with one item stops the others, and no target waits for
    another: each has one item at a time under way.
    """
    busy: dict[str, asyncio.Task[None]] = {}
    try:
        await _work_off(current, busy)
    finally:
        for task in busy.values():
            task.cancel()
        await asyncio.gather(*busy.values(), return_exceptions=True)


async def _work_off(current: Callable[[], Gateway], busy: dict[str, asyncio.Task[None]]) -> None:
    """Begin what is due for targets that are not busy, for good. Shape: `busy` has the task of each by its target."""
    loop = asyncio.get_running_loop()
    besides, until = frozenset[str](), 0.0  # besides these targets nothing was due, which is asked again from then on
    while True:
        for target in [target for target, task in busy.items() if task.done()]:
            busy.pop(target).result()
        if loop.time() >= until or not besides <= busy.keys():
            gateway = current()
            item = await _due(gateway, frozenset(busy))
            if item is not None:
                busy[item.target] = asyncio.create_task(_tried(gateway, item), name=f"queue for {item.target}")
                continue
            besides, until = frozenset(busy), loop.time() + IDLE
        rest = until - loop.time()
        if busy:
            await asyncio.wait(busy.values(), timeout=rest, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(rest)


async def _due(gateway: Gateway, busy: frozenset[str]) -> Queued | None:
    try:
        return await gateway.journal.due(gateway.clock(), busy)
    except (JournalUnavailable, NotInHand) as fault:
        log.error("queue", why=str(fault))
        return None


async def _tried(gateway: Gateway, item: Queued) -> None:
    """Try one item; where the journal fails, its target rests for a while, for the item is given again."""
    try:
        await _safely(gateway, item)
    except (JournalUnavailable, NotInHand) as fault:
        log.error("queue", receipt=item.receipt, target=item.target, why=str(fault))
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
        async with asyncio.timeout(WITHIN), gateway.order.turns([(item.target, item.order_key)]):
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
    next_at = now + timedelta(seconds=pause(item.attempts, random.random()))  # noqa: S311 - no secret
    await gateway.journal.attempted(item, failed=why, next_at=min(next_at, deadline))


def pause(attempts: int, chance: float) -> float:
    """How long an item rests after an attempt: twice as long after each, up to five minutes, and never as others do.

    Shape: `attempts` made before, `chance` from 0 to 1. Units: seconds.
    """
    longest = min(2.0 ** min(attempts, 16), LONGEST_PAUSE)
    return longest * (1 + chance) / 2
