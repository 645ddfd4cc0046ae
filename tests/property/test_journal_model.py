"""Random histories of the journal against a model of a few dictionaries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy, booleans, integers, just, lists, sampled_from, tuples

from gateway.journal import (
    Answer,
    AuditRow,
    Busy,
    Claim,
    Conflict,
    Delivery,
    Fresh,
    Outcome,
    Repeat,
    Submission,
    TargetState,
)
from gateway.journal.model import State
from tests.bounded import examples
from tests.journals import OnPostgres, OnSqlite, Storage
from tests.postgres import Postgres

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = timedelta(seconds=20)
HOLD = timedelta(seconds=8)


@dataclass
class Item:
    """One queued item, as the model knows it."""

    id: int
    receipt: str
    target: str
    order_key: str | None
    deadline: datetime | None
    next_at: datetime
    state: str = "queued"
    attempts: int = 0

    def behind(self, other: Item) -> bool:
        same = self.order_key is not None and (self.target, self.order_key) == (other.target, other.order_key)
        return same and other.state == "queued" and other.id < self.id


@dataclass
class Model:
    """What the journal should know."""

    submissions: dict[str, Submission] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)  # given up, and superseded
    left: set[str] = field(default_factory=set)  # in nobody's hand since the last opening
    given_up: set[str] = field(default_factory=set)
    items: list[Item] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)

    @property
    def unsettled(self) -> list[str]:
        return [r for r in self.submissions if r not in self.outcomes and r not in self.gone]

    @property
    def in_hand(self) -> list[str]:
        return [r for r in self.unsettled if r not in self.left]

    def claim(self, submission: Submission) -> Claim:
        same = [r for r, s in self.submissions.items() if s.key == submission.key is not None and r not in self.gone]
        for receipt in same:
            if receipt not in self.outcomes:
                if receipt not in self.given_up:
                    return Busy(receipt, same=self.submissions[receipt].body_hash == submission.body_hash)
                self.gone.add(receipt)
                self.left.discard(receipt)
            elif self.outcomes[receipt].accepted:
                first = self.submissions[receipt]
                if datetime.fromisoformat(submission.received) < datetime.fromisoformat(first.received) + WINDOW:
                    same_body = first.body_hash == submission.body_hash
                    return Repeat(self.outcomes[receipt].answer, receipt) if same_body else Conflict(receipt)
        self.submissions[submission.receipt] = submission
        return Fresh()

    def due(self, now: datetime) -> Item | None:
        ready = [
            item for item in self.items
            if item.state == "queued" and item.next_at <= now and not any(item.behind(other) for other in self.items)
        ]  # fmt: skip
        return min(ready, key=lambda item: (item.next_at, item.id), default=None)


class History:
    """Each step does one thing to the journal and to the model, and compares what they say."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.journal = storage.journal()
        self.model = Model()
        self.now = START
        self.count = 0

    def _audit_row(self, what: str) -> AuditRow:
        return AuditRow(self.now.isoformat(), "demo", None, None, "send", what, (f"R{self.count}",), "permit", "d")

    def _submission(self, key: str | None, body: bytes) -> Submission:
        self.count += 1
        return Submission(
            f"r{self.count}", self.now.isoformat(), "demo", None, None, "R0D", "d", "Hl7v2", None, "ADT^A01", "c", key,
            body.hex(), body, "d", WINDOW,
        )  # fmt: skip

    def _outcome(self, receipt: str, targets: tuple[TargetState, ...], state: State) -> Outcome:
        accepted = state == "accepted"
        answer = Answer(200 if accepted else 422, "text/plain", f"answer to {receipt}".encode(), None)
        return Outcome(state, accepted=accepted, answer=answer, targets=targets, audit=self._audit_row(receipt))

    async def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    async def claim(self, key: str | None, body: bytes) -> None:
        submission = self._submission(key, body)
        assert await self.journal.claim(submission, patience=0) == self.model.claim(submission)

    async def settle(self, pick: int, queued: list[tuple[str, str | None, bool]], state: State) -> None:
        if not self.model.in_hand:
            return
        receipt = self.model.in_hand[pick % len(self.model.in_hand)]
        queued = queued if state == "accepted" else []
        items = [
            Item(len(self.model.items) + n, receipt, target, key, self.now + HOLD if ends else None, self.now)
            for n, (target, key, ends) in enumerate(queued)
        ]
        targets = tuple(
            TargetState(i.target, "queued", None, i.order_key, i.deadline.isoformat() if i.deadline else None, "down")
            for i in items
        )
        outcome = self._outcome(receipt, targets, state)
        await self.journal.settle(receipt, outcome)
        self.model.outcomes[receipt] = outcome
        self.model.audit.append(outcome.audit)
        self.model.items += items

    async def record(self, body: bytes) -> None:
        submission = self._submission("k1", body)
        outcome = self._outcome(submission.receipt, (), "denied")
        await self.journal.record(submission, outcome)
        self.model.submissions[submission.receipt] = submission
        self.model.outcomes[submission.receipt] = outcome
        self.model.audit.append(outcome.audit)

    async def abandon(self, pick: int) -> None:
        if not self.model.in_hand:
            return
        receipt = self.model.in_hand[pick % len(self.model.in_hand)]
        self.journal.abandon(receipt)
        self.model.given_up.add(receipt)
        self.model.left.add(receipt)

    async def reopen(self) -> None:
        """What a kill at this moment leaves: everything that was answered, and nobody's hand on anything."""
        await self.journal.close()
        self.journal = self.storage.journal()
        await self.journal.open()
        self.model.left = set(self.model.unsettled)
        self.model.given_up = set()

    async def take_up(self) -> None:
        left = [self.model.submissions[r] for r in self.model.unsettled if r in self.model.left]
        assert await self.journal.unfinished() == tuple(left)
        self.model.left.clear()
        self.model.given_up.clear()

    async def attempt(self, how: str, pause: int) -> None:
        item, expected = await self.journal.due(self.now), self.model.due(self.now)
        if item is None or expected is None:
            assert (item, expected) == (None, None)
            return
        body = self.model.submissions[expected.receipt].body
        assert (item.receipt, item.target, item.order_key) == (expected.receipt, expected.target, expected.order_key)
        assert (item.attempts, item.payload) == (expected.attempts, body)
        expected.attempts += 1
        if how == "delivered":
            await self.journal.attempted(item, delivered=True)
            expected.state = "delivered"
        elif how == "dead":
            await self.journal.attempted(item, dead="refused")
            expected.state = "dead"
        else:
            expected.next_at = self.now + timedelta(seconds=pause)
            await self.journal.attempted(item, failed="down", next_at=expected.next_at)
            if expected.deadline is not None and expected.next_at > expected.deadline:
                expected.state = "dead"

    async def waiting(self, there: str, key: str | None) -> None:
        waits = any(
            item.state == "queued" and (item.target, item.order_key) == (there, key)
            for item in self.model.items if key is not None
        )  # fmt: skip
        assert bool(await self.journal.waiting([(there, key)])) == waits

    async def find(self, pick: int) -> None:
        if not self.model.submissions:
            return
        receipt = list(self.model.submissions)[pick % len(self.model.submissions)]
        found = await self.journal.find(receipt)
        assert found is not None
        outcome = self.model.outcomes.get(receipt)
        if outcome is None:
            assert found.state == ("failed" if receipt in self.model.gone else "received")
            assert found.answer is None
        else:
            assert (found.state, found.answer) == (outcome.state, outcome.answer)
        items = [item for item in self.model.items if item.receipt == receipt]
        assert [_essence(t) for t in found.targets] == [(i.target, i.state, i.attempts) for i in items]

    async def audit(self) -> None:
        assert await self.journal.audit_rows(START) == tuple(self.model.audit)


def _essence(delivery: Delivery) -> tuple[str, str, int]:
    return delivery.target, delivery.state, delivery.attempts


KEY = sampled_from(["k1", "k1", "k2", None, None, None])
BODY = sampled_from([b"one", b"two"])
TARGETS = sampled_from(["store", "copy"])
ORDER = sampled_from(["p1", "p1", "p2", None])
QUEUED = lists(tuples(TARGETS, ORDER, booleans()), min_size=1, max_size=3)
PICK = integers(0, 30)


# Arguments of each step, and how often it comes.
STEPS: dict[str, tuple[int, tuple[SearchStrategy[Any], ...]]] = {
    "claim": (6, (KEY, BODY)),
    "settle": (6, (PICK, QUEUED, sampled_from(["accepted", "accepted", "accepted", "refused", "failed"]))),
    "attempt": (6, (sampled_from(["delivered", "failed", "failed", "dead"]), integers(1, 10))),
    "time_passes": (2, (integers(1, 12),)),
    "record": (1, (BODY,)),
    "abandon": (1, (PICK,)),
    "reopen": (1, ()),
    "take_up": (1, ()),
    "waiting": (1, (TARGETS, ORDER)),
    "find": (1, (PICK,)),
    "audit": (1, ()),
}
STEP = sampled_from([name for name, (often, _) in STEPS.items() for _ in range(often)]).flatmap(
    lambda name: tuples(just(name), tuples(*STEPS[name][1]))
)


async def play(storage: Storage, steps: list[tuple[str, tuple[Any, ...]]]) -> None:
    history = History(storage)
    await history.journal.open()
    try:
        for name, arguments in steps:
            await getattr(history, name)(*arguments)
    finally:
        await history.journal.close()


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(steps=lists(STEP, min_size=40, max_size=50))
def test_the_journal_does_what_its_model_does(steps: list[tuple[str, tuple[Any, ...]]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(play(OnSqlite(Path(folder) / "journal.db"), steps))


@pytest.mark.interop
@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(steps=lists(STEP, min_size=40, max_size=50))
def test_so_does_the_one_on_postgresql(postgres_server: Postgres, steps: list[tuple[str, tuple[Any, ...]]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(play(OnPostgres(postgres_server.database(), Path(folder)), steps))
