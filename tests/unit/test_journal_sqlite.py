"""The journal: keys, receipts, the queue, the audit. Sources: `http-interface.md` "Keys", `trust.md` "Journal"."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.journal import (
    Answer,
    AuditRow,
    Busy,
    Conflict,
    Delivery,
    Fresh,
    Journal,
    JournalUnavailable,
    NotInHand,
    Outcome,
    Queued,
    Repeat,
    Submission,
    TargetState,
    tables,
)
from gateway.journal.model import State, instant, shown

T = TypeVar("T")
DAY = timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def submission(receipt: str, key: str | None = "K", body: bytes = b"MSH|1", at: datetime = NOON) -> Submission:
    return Submission(
        receipt=receipt, received=at.isoformat(), principal="demo-engine", user=None, purpose="TREAT",
        organisation="R0D", domain="emergency-care", data_type="Hl7v2", charset="utf-8", type="ADT^A01",
        control_id="8457239", key=key, body_hash=body.hex(), body=body, rules="d1", window=7 * DAY,
    )  # fmt: skip


def audit_row(at: datetime = NOON, what: str = "emergency-care ADT^A01", outcome: str = "permit") -> AuditRow:
    return AuditRow(at.isoformat(), "demo-engine", None, "TREAT", "send", what, ("EC-P1", "EC-R1"), outcome, "d1")


def answer(receipt: str) -> Answer:
    return Answer(200, "text/plain; charset=utf-8", f"MSA|AA|{receipt}\r".encode(), f"/$ingest/receipts/{receipt}")


def accepted(receipt: str, *targets: TargetState, at: datetime = NOON) -> Outcome:
    return Outcome("accepted", accepted=True, answer=answer(receipt), targets=targets, audit=audit_row(at))


def refused() -> Outcome:
    bad = Answer(422, "text/plain; charset=utf-8", b"MSA|AE\r", None)
    target = TargetState("store", "rejected", None, None, None, "no")
    return Outcome("refused", accepted=False, answer=bad, targets=(target,), audit=audit_row())


def queued(
    target: str = "store", key: str | None = None, deadline: datetime | None = None, payload: bytes | None = b"p"
) -> TargetState:
    return TargetState(target, "queued", payload, key, deadline.isoformat() if deadline else None, "down", 1)


def played(path: Path, play: Callable[[Journal], Awaitable[T]]) -> T:
    """What `play` answers on a journal that is opened for it and closed after it."""

    async def whole() -> T:
        async with Journal(path) as journal:
            return await play(journal)

    return asyncio.run(whole())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


async def due_now(journal: Journal, now: datetime = NOON) -> Queued:
    item = await journal.due(now)
    assert item is not None
    return item


class TestKeys:
    def test_the_same_body_again_gets_the_stored_answer_byte_for_byte(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            assert await journal.claim(submission("r1")) == Fresh()
            await journal.settle("r1", accepted("r1"))
            for _ in range(2):  # what takes nothing leaves nothing in hand
                assert await journal.claim(submission("r2")) == Repeat(answer("r1"), "r1")
            assert await journal.find("r2") is None

        played(path, play)
        # and still after a restart
        assert played(path, lambda journal: journal.claim(submission("r3"))) == Repeat(answer("r1"), "r1")

    def test_another_body_under_an_accepted_key_is_a_conflict(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            await journal.settle("r1", accepted("r1"))
            assert await journal.claim(submission("r2", body=b"MSH|2")) == Conflict("r1")

        played(path, play)

    def test_a_refused_submission_leaves_its_key_free_for_the_corrected_one(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1", body=b"bad"))
            await journal.settle("r1", refused())
            assert await journal.claim(submission("r2", body=b"good")) == Fresh()
            await journal.settle("r2", accepted("r2"))
            assert await journal.claim(submission("r3", body=b"bad")) == Conflict("r2")

        played(path, play)

    def test_a_key_is_free_again_after_its_window(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            await journal.settle("r1", accepted("r1"))
            last = submission("r2", body=b"other", at=NOON + 7 * DAY - timedelta(microseconds=1))
            assert await journal.claim(last) == Conflict("r1")
            assert await journal.claim(submission("r3", body=b"other", at=NOON + 7 * DAY)) == Fresh()
            await journal.settle("r3", accepted("r3"))
            assert await journal.claim(submission("r4", at=NOON + 8 * DAY)) == Conflict("r3")

        played(path, play)

    def test_without_a_key_nothing_is_a_repetition(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            for receipt in ("r1", "r2"):
                assert await journal.claim(submission(receipt, key=None)) == Fresh()
                await journal.settle(receipt, accepted(receipt))

        played(path, play)

    def test_one_in_flight_is_awaited_and_its_answer_repeated(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            second = asyncio.create_task(journal.claim(submission("r2")))
            other = asyncio.create_task(journal.claim(submission("r3", body=b"other")))
            await asyncio.sleep(0.05)
            assert not second.done()
            assert not other.done()
            await journal.settle("r1", accepted("r1"))
            assert await second == Repeat(answer("r1"), "r1")
            assert await other == Conflict("r1")

        played(path, play)

    def test_of_several_waiting_for_one_that_is_refused_exactly_one_takes_over(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            claims = [asyncio.create_task(journal.claim(submission(f"r{i}"))) for i in range(5)]
            await asyncio.sleep(0.05)
            assert [task.done() for task in claims] == [True, False, False, False, False]
            await journal.settle("r0", refused())
            done, rest = await asyncio.wait(claims[1:], return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [Fresh()]
            (winner,) = (f"r{i}" for i, task in enumerate(claims) if task in done)
            await journal.settle(winner, accepted(winner))
            assert await asyncio.gather(*rest) == [Repeat(answer(winner), winner)] * 3

        played(path, play)

    def test_patience_ends_busy_and_takes_nothing(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            assert await journal.claim(submission("r2"), patience=0.05) == Busy("r1", same=True)
            assert await journal.find("r2") is None
            assert await journal.claim(submission("r3", body=b"other"), patience=0) == Busy("r1", same=False)

        played(path, play)

    def test_an_abandoned_one_gives_its_key_to_the_next(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            waits = asyncio.create_task(journal.claim(submission("r2")))
            await asyncio.sleep(0.05)
            journal.abandon("r1")
            assert await waits == Fresh()
            gone = await journal.find("r1")
            assert gone is not None
            assert (gone.state, gone.answer) == ("failed", None)
            with pytest.raises(NotInHand):
                await journal.settle("r1", accepted("r1"))
            await journal.settle("r2", accepted("r2"))
            assert await journal.claim(submission("r3")) == Repeat(answer("r2"), "r2")
            assert await journal.unfinished() == ()
            assert (journal._in_hand, journal._abandoned) == ({}, set())  # nothing of it stays in memory

        played(path, play)

    def test_a_cancelled_claim_leaves_its_key_to_the_next(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r0", key="other"))
            cancelled = asyncio.create_task(journal.claim(submission("r1")))
            late = asyncio.create_task(journal.claim(submission("r2", key="other")))
            await asyncio.sleep(0)
            cancelled.cancel()
            late.cancel()
            results = await asyncio.gather(cancelled, late, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
            assert await journal.claim(submission("r3")) == Fresh()
            # what was cancelled while it waited for r0 has taken nothing
            assert await journal.find("r2") is None

        played(path, play)

    def test_a_receipt_is_claimed_once(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            with pytest.raises(ValueError, match="in hand already"):
                await journal.claim(submission("r1", key="other"))
            await journal.settle("r1", accepted("r1"))
            one, two = await asyncio.gather(
                journal.claim(submission("r1", key="other")), journal.claim(submission("r2", key="more")),
                return_exceptions=True,
            )  # fmt: skip
            assert isinstance(one, sqlite3.IntegrityError)
            assert two == Fresh()
            assert await journal.claim(submission("r3", key="other")) == Fresh()

        played(path, play)


class TestCrash:
    def test_what_was_claimed_and_not_settled_is_taken_up(self, path: Path) -> None:
        first, second = submission("r1"), replace(submission("r2", key=None), user="dr", purpose=None, charset=None)

        async def crash(journal: Journal) -> None:
            for one in (first, second, submission("r3", key="done")):
                await journal.claim(one)
            await journal.settle("r3", accepted("r3"))
            assert await journal.unfinished() == ()  # all of them are in this process's hand

        async def again(journal: Journal) -> None:
            assert await journal.claim(submission("r4"), patience=0.15) == Busy("r1", same=True)
            assert await journal.unfinished() == (first, second)
            assert await journal.unfinished() == ()
            waits = asyncio.create_task(journal.claim(submission("r5")))
            await asyncio.sleep(0.02)
            await journal.settle("r1", accepted("r1"))
            assert await waits == Repeat(answer("r1"), "r1")
            journal.abandon("r2")
            assert await journal.unfinished() == (second,)

        played(path, crash)
        played(path, again)

    def test_a_claim_that_waits_for_a_left_one_sees_it_taken_up_and_settled(self, path: Path) -> None:
        async def crash(journal: Journal) -> None:
            await journal.claim(submission("r1"))

        async def again(journal: Journal) -> None:
            waits = asyncio.create_task(journal.claim(submission("r2")))
            await asyncio.sleep(0.02)
            await journal.unfinished()
            await journal.settle("r1", refused())
            assert await waits == Fresh()

        played(path, crash)
        played(path, again)

    def test_what_is_being_settled_while_it_is_looked_for_is_not_left_over(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read, answer_it = threading.Event(), threading.Event()
        look = tables.unfinished

        def answered_late(connection: sqlite3.Connection) -> tuple[Submission, ...]:
            left = look(connection)
            read.set()
            answer_it.wait(10)
            return left

        monkeypatch.setattr(tables, "unfinished", answered_late)

        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            looking = asyncio.create_task(journal.unfinished())
            assert await asyncio.to_thread(read.wait, 10)
            await journal.settle("r1", accepted("r1"))
            answer_it.set()
            assert await looking == ()

        played(path, play)


class TestReceipts:
    def test_a_receipt_tells_each_target(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            assert await journal.find("r1") is None
            await journal.claim(submission("r1"))
            fresh = await journal.find("r1")
            assert fresh is not None
            assert (fresh.state, fresh.answer, fresh.targets) == ("received", None, ())
            assert (fresh.principal, fresh.organisation, fresh.domain) == ("demo-engine", "R0D", "emergency-care")
            assert (fresh.data_type, fresh.type, fresh.control_id) == ("Hl7v2", "ADT^A01", "8457239")
            delivered = TargetState("store", "delivered", None, "k", None, None, 1)
            await journal.settle("r1", accepted("r1", delivered, queued("copy", deadline=NOON + DAY)))
            found = await journal.find("r1")
            assert found is not None
            assert (found.state, found.answer) == ("accepted", answer("r1"))
            assert found.received == NOON.isoformat()
            assert found.targets == (
                Delivery("store", "delivered", 1, None, None, None),
                Delivery("copy", "queued", 1, "down", NOON.isoformat(), (NOON + DAY).isoformat()),
            )

        played(path, play)

    @pytest.mark.parametrize("state", ["denied", "refused", "failed"])
    def test_what_is_recorded_keeps_its_payload_and_takes_no_key(self, path: Path, state: State) -> None:
        outcome = replace(refused(), state=state)

        async def play(journal: Journal) -> None:
            await journal.record(submission("r1"), outcome)
            assert await journal.claim(submission("r2")) == Fresh()
            found = await journal.find("r1")
            assert found is not None
            assert (found.state, found.answer) == (state, outcome.answer)
            assert [t.state for t in found.targets] == ["rejected"]
            assert await journal.audit_rows(NOON) == (outcome.audit,)

        played(path, play)
        with sqlite3.connect(path) as raw:
            assert raw.execute("SELECT body FROM submission WHERE receipt = 'r1'").fetchall() == [(b"MSH|1",)]
        raw.close()

    def test_what_is_accepted_is_not_recorded(self, path: Path) -> None:
        with pytest.raises(ValueError, match="claimed and settled"):
            played(path, lambda journal: journal.record(submission("r1"), accepted("r1")))

    def test_a_record_for_a_stored_receipt_changes_nothing(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            with pytest.raises(sqlite3.IntegrityError):
                await journal.record(submission("r1"), refused())
            await journal.settle("r1", accepted("r1"))
            assert await journal.audit_rows(NOON) == (accepted("r1").audit,)

        played(path, play)

    def test_settling_is_done_once(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            await journal.settle("r1", accepted("r1"))
            with pytest.raises(NotInHand):
                await journal.settle("r1", refused())
            with pytest.raises(NotInHand):
                await journal.settle("unknown", refused())
            found = await journal.find("r1")
            assert found is not None
            assert found.state == "accepted"
            assert len(await journal.audit_rows(NOON)) == 1

        played(path, play)

    def test_settling_that_is_cancelled_is_done_all_the_same(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            task = asyncio.create_task(journal.settle("r1", accepted("r1")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await journal.claim(submission("r2")) == Repeat(answer("r1"), "r1")

        played(path, play)

    def test_an_outcome_that_contradicts_itself_is_refused(self) -> None:
        with pytest.raises(ValueError, match="`refused` can't have accepted=True"):
            replace(refused(), accepted=True)

    def test_a_bad_outcome_can_be_corrected(self, path: Path) -> None:
        bad = replace(queued(), deadline="soon")

        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            with pytest.raises(ValueError, match="Invalid isoformat"):
                await journal.settle("r1", accepted("r1", bad))
            await journal.settle("r1", accepted("r1"))

        played(path, play)


class TestQueue:
    async def _queue(self, journal: Journal, receipt: str, *targets: TargetState, at: datetime = NOON) -> None:
        await journal.claim(submission(receipt, key=receipt, body=receipt.encode(), at=at))
        await journal.settle(receipt, accepted(receipt, *targets, at=at))

    def test_items_without_a_key_come_by_acceptance(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            assert await journal.due(NOON) is None
            await self._queue(journal, "r1", queued("a"), queued("b", payload=None))
            await self._queue(journal, "r2", queued("a"))
            assert await journal.due(NOON - timedelta(seconds=1)) is None
            seen = []
            while item := await journal.due(NOON):
                seen.append((item.receipt, item.target, item.payload, item.attempts))
                await journal.attempted(item, delivered=True)
            assert seen == [("r1", "a", b"p", 1), ("r1", "b", b"r1", 1), ("r2", "a", b"p", 1)]
            found = await journal.find("r1")
            assert found is not None
            assert found.targets == tuple(Delivery(t, "delivered", 2, None, None, None) for t in "ab")

        played(path, play)

    def test_one_key_keeps_its_order_whatever_fails(self, path: Path) -> None:
        later = NOON + timedelta(seconds=30)

        async def play(journal: Journal) -> None:
            await self._queue(journal, "r1", queued(key="patient"))
            await self._queue(journal, "r2", queued(key="patient"), queued("copy", key="patient"))
            await self._queue(journal, "r3", queued(key="patient"), queued(key="another"))
            first = await due_now(journal)
            await journal.attempted(first, failed="still down", next_at=later)
            others = []
            while item := await journal.due(NOON):
                others.append((item.receipt, item.target, item.order_key))
                await journal.attempted(item, delivered=True)
            assert others == [("r2", "copy", "patient"), ("r3", "store", "another")]
            waits = await journal.find("r2")
            assert waits is not None
            assert waits.targets[0] == Delivery("store", "queued", 1, "down", None, None)
            order = []
            while item := await journal.due(later):
                order.append((item.receipt, item.attempts))
                await journal.attempted(item, delivered=True)
            assert order == [("r1", 2), ("r2", 1), ("r3", 1)]

        played(path, play)

    def test_one_queued_behind_the_last_of_its_key_waits_no_more(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            assert not await journal.waiting([("store", "k")])
            await self._queue(journal, "r1", queued(key="k"))
            assert await journal.waiting([("store", "k")])
            assert not await journal.waiting([("copy", "k")])
            assert not await journal.waiting([("store", "other")])
            assert not await journal.waiting([("store", None)])
            await journal.attempted(await due_now(journal), delivered=True)
            assert not await journal.waiting([("store", "k")])
            await self._queue(journal, "r2", queued(key="k"))
            assert (await due_now(journal)).receipt == "r2"

        played(path, play)

    def test_a_dead_item_lets_the_next_of_its_key_go(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await self._queue(journal, "r1", queued(key="k"))
            await self._queue(journal, "r2", queued(key="k"))
            item = await due_now(journal)
            await journal.attempted(item, dead="refused for good")
            found = await journal.find("r1")
            assert found is not None
            assert found.targets == (Delivery("store", "dead", 2, "refused for good", None, None),)
            assert (await due_now(journal)).receipt == "r2"
            with pytest.raises(NotInHand):
                await journal.attempted(item, delivered=True)

        played(path, play)

    def test_one_that_still_waits_for_its_turn_is_not_attempted(self, path: Path) -> None:
        async def play(journal: Journal) -> None:
            await self._queue(journal, "r1", queued(key="k"))
            first = await due_now(journal)
            await self._queue(journal, "r2", queued(key="k"))
            with pytest.raises(NotInHand):
                await journal.attempted(replace(first, id=first.id + 1), delivered=True)

        played(path, play)

    def test_what_fails_past_its_deadline_is_dead(self, path: Path) -> None:
        deadline = NOON + timedelta(minutes=1)

        async def play(journal: Journal) -> None:
            await self._queue(journal, "r1", queued(deadline=deadline))
            item = await due_now(journal)
            assert item.deadline == deadline.isoformat()
            await journal.attempted(item, failed="down", next_at=deadline)
            assert await journal.due(deadline - timedelta(microseconds=1)) is None
            item = await due_now(journal, deadline)
            await journal.attempted(item, failed="down still", next_at=deadline + timedelta(microseconds=1))
            assert await journal.due(deadline + DAY) is None
            found = await journal.find("r1")
            assert found is not None
            assert found.targets == (Delivery("store", "dead", 3, "down still", None, deadline.isoformat()),)

        played(path, play)

    def test_the_queue_outlives_the_process(self, path: Path) -> None:
        played(path, lambda journal: self._queue(journal, "r1", queued(key="k"), queued("copy", key="k")))

        async def again(journal: Journal) -> None:
            assert await journal.waiting([("copy", "k")])
            assert (await due_now(journal)).receipt == "r1"

        played(path, again)

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"delivered": True, "dead": "x"},
            {"failed": "x"},
            {"next_at": NOON},
            {"delivered": True, "next_at": NOON},
            {"failed": "x", "next_at": NOON, "dead": "x"},
        ],
    )
    def test_an_attempt_ends_in_exactly_one_way(self, path: Path, given: dict[str, object]) -> None:
        async def play(journal: Journal) -> None:
            item = Queued(1, "r1", "store", b"", None, 0, None)
            with pytest.raises(ValueError, match="exactly one"):
                await journal.attempted(item, **given)  # type: ignore[arg-type] # wrong on purpose

        played(path, play)


class TestAudit:
    def test_rows_come_back_as_they_went_in_the_order_of_their_coming(self, path: Path) -> None:
        rows = [audit_row(NOON + timedelta(seconds=s), what=f"Patient {s}", outcome="deny") for s in (2, 0, 1)]
        rows.append(AuditRow("2026-03-01T13:30:00+01:00", "p", "dr", None, "search", "Patient", (), "permit", "d2"))

        async def play(journal: Journal) -> None:
            for row in rows:
                await journal.audit(row)
            assert await journal.audit_rows(NOON) == tuple(rows)
            assert await journal.audit_rows(NOON + timedelta(seconds=1)) == (rows[0], rows[2], rows[3])
            assert await journal.audit_rows(NOON + timedelta(minutes=30)) == (rows[3],)

        played(path, play)

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE audit SET outcome = 'permit'",
            "DELETE FROM audit",
            "INSERT OR REPLACE INTO audit SELECT * FROM audit",
            "REPLACE INTO audit SELECT id, instant, at, 'x', user, '', action, what, rules, outcome, '' FROM audit",
        ],
    )
    def test_rows_are_append_only_for_anyone_who_opens_the_file(self, path: Path, change: str) -> None:
        played(path, lambda journal: journal.audit(audit_row(outcome="deny")))
        raw = sqlite3.connect(path)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw.execute(change)
        raw.close()
        assert played(path, lambda journal: journal.audit_rows(NOON)) == (audit_row(outcome="deny"),)


class TestTokenIds:
    def test_an_id_is_taken_once_per_issuer(self, path: Path) -> None:
        soon = datetime.now(UTC).timestamp() + 300

        async def play(journal: Journal) -> None:
            assert await journal.claim_token_id("demo", "j1", soon)
            assert not await journal.claim_token_id("demo", "j1", soon)
            assert await journal.claim_token_id("other", "j1", soon)
            both = await asyncio.gather(*(journal.claim_token_id("demo", "j2", soon) for _ in range(2)))
            assert sorted(both) == [False, True]

        played(path, play)
        assert not played(path, lambda journal: journal.claim_token_id("demo", "j1", soon))

    def test_ids_long_expired_are_dropped(self, path: Path) -> None:
        now = datetime.now(UTC).timestamp()

        async def play(journal: Journal) -> None:
            await journal.claim_token_id("demo", "old", now - 7200)
            await journal.claim_token_id("demo", "recent", now - 600)
            await journal.claim_token_id("demo", "new", now + 300)

        played(path, play)
        raw = sqlite3.connect(path)
        assert raw.execute("SELECT jti FROM token_id ORDER BY jti").fetchall() == [("new",), ("recent",)]
        raw.close()


class TestFile:
    def test_only_the_owner_may_read_it(self, path: Path) -> None:
        async def play(journal: Journal) -> list[int]:
            assert await journal.writable()
            return [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()]

        assert set(played(path, play)) == {0o600}

    def test_the_schema_has_its_version(self, path: Path) -> None:
        played(path, lambda journal: journal.writable())
        raw = sqlite3.connect(path)
        assert raw.execute("SELECT max(version) FROM schema_version").fetchone() == (len(tables.MIGRATIONS),)
        raw.execute("INSERT INTO schema_version VALUES (99)")
        raw.commit()
        raw.close()
        with pytest.raises(JournalUnavailable, match="written by a later gateway"):
            played(path, lambda journal: journal.writable())

    def test_a_commit_waits_for_the_disk(self, path: Path) -> None:
        connection = tables.connect(path)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()

    @pytest.mark.parametrize("content", [None, b"no database, whatever its name says" * 40])
    def test_a_file_that_is_no_journal_is_refused(self, path: Path, content: bytes | None) -> None:
        path.parent.mkdir()
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        with pytest.raises(JournalUnavailable, match="storage fails"):
            played(path, lambda journal: journal.writable())

    def test_a_journal_that_is_not_open_says_so(self, path: Path) -> None:
        async def play() -> None:
            journal = Journal(path)
            with pytest.raises(JournalUnavailable, match="not open"):
                await journal.claim(submission("r1"))
            assert not await journal.writable()
            await journal.open()
            await journal.close()
            await journal.close()
            with pytest.raises(JournalUnavailable, match="not open"):
                await journal.find("r1")

        asyncio.run(play())

    def test_a_damaged_file_answers_unavailable_and_the_claim_can_be_made_again(self, path: Path) -> None:
        """The storage fails between claim and settle; once it is back, the key is not stuck."""

        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            raw = sqlite3.connect(path)
            raw.execute("ALTER TABLE audit RENAME TO lost")
            with pytest.raises(JournalUnavailable):
                await journal.settle("r1", accepted("r1"))
            assert await journal.writable()
            raw.execute("ALTER TABLE lost RENAME TO audit")
            raw.close()
            assert await journal.claim(submission("r2")) == Fresh()
            await journal.settle("r2", accepted("r2"))

        played(path, play)


def test_instants_compare_whatever_their_offset() -> None:
    assert instant("2024-02-13T14:49:32.5810000+00:00") == instant("2024-02-13T15:49:32.581+01:00")
    assert instant("2024-02-13T14:49:32") == instant("2024-02-13T14:49:32Z")
    assert shown(instant(NOON)) == NOON.isoformat()
