"""How the queue's worker goes about turns and targets. Source: `http-interface.md` of the design, "Targets"."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.interactions import queue
from gateway.interactions.deliver import Parcel, packed
from gateway.interactions.order import Order
from gateway.journal import Fresh, Journal, SqliteJournal
from gateway.journal.model import FURTHEST
from tests.journal_rows import DAY, NOON, accepted, queued, submission
from tests.journals import Storage, played

HANGS = 60.0


@dataclass
class Target:
    """Takes what it is given once it may."""

    name: str
    opened: asyncio.Event
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def deliver(self, raw: bytes, receipt: str, kind: str = "hl7") -> SimpleNamespace:  # noqa: ARG002 - as targets have it
        self.asked.set()
        await self.opened.wait()
        return SimpleNamespace(status=200)


def gateway(journal: Journal, *targets: Target) -> Any:
    """As much of a gateway as the queue asks for."""
    return SimpleNamespace(
        journal=journal, clock=lambda: NOON, order=Order(journal), targets={one.name: one for one in targets}
    )


async def put_off(journal: Journal, receipt: str, target: str, key: str | None = None) -> None:
    parcel = packed(Parcel(receipt, b"raw", (), NOON.isoformat(), "R0D", "emergency-care"))
    assert await journal.claim(submission(receipt, key=receipt)) == Fresh()
    await journal.settle(receipt, accepted(receipt, queued(target, key, NOON + DAY, parcel)))


async def state(journal: Journal, receipt: str) -> tuple[str, int]:
    found = await journal.find(receipt)
    assert found is not None
    return found.targets[0].state, found.targets[0].attempts


def open_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def test_an_item_whose_turn_does_not_come_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "WITHIN", 0.05)

    async def play() -> None:
        async with SqliteJournal(tmp_path / "journal.db") as journal, asyncio.timeout(HANGS):
            await put_off(journal, "r1", "store", "K")
            one = gateway(journal, Target("store", open_event()))
            item = await journal.due(NOON)
            assert item is not None
            async with one.order.turns([("store", "K")]):
                await queue.attempt(one, item)
            assert await state(journal, "r1") == ("queued", 2)
            assert await journal.due(NOON) is None

    asyncio.run(play())


async def ended(journal: Journal, receipt: str, how: str) -> None:
    while (await state(journal, receipt))[0] != how:  # noqa: ASYNC110 - the journal tells nobody of it
        await asyncio.sleep(0.01)


def test_a_target_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    async def play() -> None:
        async with SqliteJournal(tmp_path / "journal.db") as journal, asyncio.timeout(HANGS):
            slow, quick = Target("slow", asyncio.Event()), Target("quick", open_event())
            for number in range(5):
                await put_off(journal, f"s{number}", "slow")
            for number in range(5):
                await put_off(journal, f"q{number}", "quick")
            one = gateway(journal, slow, quick)
            worker = asyncio.create_task(queue.work_off(lambda: one))
            for number in range(5):
                await ended(journal, f"q{number}", "delivered")
            assert [(await state(journal, f"s{number}"))[0] for number in range(5)] == ["queued"] * 5
            slow.opened.set()
            for number in range(5):
                await ended(journal, f"s{number}", "delivered")
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    asyncio.run(play())


def test_what_is_under_way_ends_with_the_worker(tmp_path: Path) -> None:
    async def play() -> None:
        async with SqliteJournal(tmp_path / "journal.db") as journal, asyncio.timeout(HANGS):
            await put_off(journal, "r1", "slow", "K")
            slow = Target("slow", asyncio.Event())
            one = gateway(journal, slow)
            worker = asyncio.create_task(queue.work_off(lambda: one))
            await slow.asked.wait()
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            async with one.order.turns([("slow", "K")]):
                assert await state(journal, "r1") == ("queued", 1)

    asyncio.run(play())


def test_nothing_is_due_of_targets_that_are_not_asked_for(storage: Storage) -> None:
    async def play(journal: Journal) -> None:
        await put_off(journal, "r1", "first")
        await put_off(journal, "r2", "second")
        set_back = NOON - 2 * FURTHEST  # then all of them were put off by another clock
        for now in (NOON, set_back):
            for without, found in ((), "r1"), (("first",), "r2"), (("first", "third"), "r2"), (("second",), "r1"):
                item = await journal.due(now, frozenset(without))
                assert item is not None
                assert item.receipt == found
            assert await journal.due(now, frozenset({"first", "second"})) is None

    played(storage, play)
