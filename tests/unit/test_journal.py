"""The journal: keys, receipts, the queue, the audit. Sources: `http-interface.md` "Keys", `trust.md` "Journal"."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.journal import (
    AuditRow,
    Busy,
    Conflict,
    Delivery,
    Fresh,
    Journal,
    NotInHand,
    Queued,
    ReceiptTaken,
    Repeat,
    TargetState,
)
from gateway.journal.model import State, instant, shown
from tests.journal_rows import DAY, NOON, accepted, answer, audit_row, queued, refused, submission
from tests.journals import Storage, played


async def due_now(journal: Journal, now: datetime = NOON) -> Queued:
    item = await journal.due(now)
    assert item is not None
    return item


class TestKeys:
    def test_the_same_body_again_gets_the_stored_answer_byte_for_byte(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            assert await journal.claim(submission("r1")) == Fresh()
            await journal.settle("r1", accepted("r1"))
            for _ in range(2):  # what takes nothing leaves nothing in hand
                assert await journal.claim(submission("r2")) == Repeat(answer("r1"), "r1")
            assert await journal.find("r2") is None

        played(storage, play)
        # and still after a restart
        assert played(storage, lambda journal: journal.claim(submission("r3"))) == Repeat(answer("r1"), "r1")

    def test_another_body_under_an_accepted_key_is_a_conflict(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            await journal.settle("r1", accepted("r1"))
            assert await journal.claim(submission("r2", body=b"MSH|2")) == Conflict("r1")

        played(storage, play)

    def test_a_refused_submission_leaves_its_key_free_for_the_corrected_one(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1", body=b"bad"))
            await journal.settle("r1", refused())
            assert await journal.claim(submission("r2", body=b"good")) == Fresh()
            await journal.settle("r2", accepted("r2"))
            assert await journal.claim(submission("r3", body=b"bad")) == Conflict("r2")

        played(storage, play)

    def test_a_key_is_free_again_after_its_window(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            await journal.settle("r1", accepted("r1"))
            last = submission("r2", body=b"other", at=NOON + 7 * DAY - timedelta(microseconds=1))
            assert await journal.claim(last) == Conflict("r1")
            assert await journal.claim(submission("r3", body=b"other", at=NOON + 7 * DAY)) == Fresh()
            await journal.settle("r3", accepted("r3"))
            assert await journal.claim(submission("r4", at=NOON + 8 * DAY)) == Conflict("r3")

        played(storage, play)

    def test_without_a_key_nothing_is_a_repetition(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            for receipt in ("r1", "r2"):
                assert await journal.claim(submission(receipt, key=None)) == Fresh()
                await journal.settle(receipt, accepted(receipt))

        played(storage, play)

    def test_one_in_flight_is_awaited_and_its_answer_repeated(self, storage: Storage) -> None:
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

        played(storage, play)

    def test_of_several_waiting_for_one_that_is_refused_exactly_one_takes_over(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            claims = [asyncio.create_task(journal.claim(submission(f"r{i}"))) for i in range(5)]
            await claims[0]
            await asyncio.sleep(0.05)
            assert [task.done() for task in claims] == [True, False, False, False, False]
            await journal.settle("r0", refused())
            done, rest = await asyncio.wait(claims[1:], return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [Fresh()]
            (winner,) = (f"r{i}" for i, task in enumerate(claims) if task in done)
            await journal.settle(winner, accepted(winner))
            assert await asyncio.gather(*rest) == [Repeat(answer(winner), winner)] * 3

        played(storage, play)

    def test_patience_ends_busy_and_takes_nothing(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            assert await journal.claim(submission("r2"), patience=0.05) == Busy("r1", same=True)
            assert await journal.find("r2") is None
            assert await journal.claim(submission("r3", body=b"other"), patience=0) == Busy("r1", same=False)

        played(storage, play)

    def test_an_abandoned_one_gives_its_key_to_the_next(self, storage: Storage) -> None:
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
            hand = journal._hand  # type: ignore[attr-defined]  # nothing of it stays in memory
            assert (hand.futures, hand.given_up) == ({}, {})

        played(storage, play)

    def test_what_was_given_up_is_taken_up_a_while_later_unless_another_has_its_key(self, storage: Storage) -> None:
        while_ = timedelta(milliseconds=1)

        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            await journal.claim(submission("r2", key="other"))
            await journal.claim(submission("r3", key="third"))
            for receipt in ("r1", "r2"):
                journal.abandon(receipt)
            assert await journal.unfinished(timedelta(seconds=60)) == ()
            assert await journal.claim(submission("r4", key="other")) == Fresh()
            await asyncio.sleep(0.1)
            assert await journal.unfinished(while_) == (submission("r1"),)
            assert await journal.unfinished(while_) == (), "it is in hand now"
            assert await journal.claim(submission("r5"), patience=0) == Busy("r1", same=True)
            for receipt in ("r1", "r3", "r4"):
                await journal.settle(receipt, accepted(receipt))
            hand = journal._hand  # type: ignore[attr-defined]  # nothing of it stays in memory
            assert (hand.futures, hand.given_up) == ({}, {})

        played(storage, play)

    def test_a_cancelled_claim_leaves_its_key_to_the_next(self, storage: Storage) -> None:
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

        played(storage, play)

    def test_a_receipt_is_claimed_once(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            with pytest.raises(ValueError, match="in hand already"):
                await journal.claim(submission("r1", key="other"))
            await journal.settle("r1", accepted("r1"))
            one, two = await asyncio.gather(
                journal.claim(submission("r1", key="other")), journal.claim(submission("r2", key="more")),
                return_exceptions=True,
            )  # fmt: skip
            assert isinstance(one, ReceiptTaken)
            assert two == Fresh()
            assert await journal.claim(submission("r3", key="other")) == Fresh()

        played(storage, play)


class TestCrash:
    def test_what_was_claimed_and_not_settled_is_taken_up(self, storage: Storage) -> None:
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

        played(storage, crash)
        played(storage, again)

    def test_a_claim_that_waits_for_a_left_one_sees_it_taken_up_and_settled(self, storage: Storage) -> None:
        async def crash(journal: Journal) -> None:
            await journal.claim(submission("r1"))

        async def again(journal: Journal) -> None:
            waits = asyncio.create_task(journal.claim(submission("r2")))
            await asyncio.sleep(0.02)
            await journal.unfinished()
            await journal.settle("r1", refused())
            assert await waits == Fresh()

        played(storage, crash)
        played(storage, again)


class TestReceipts:
    def test_a_receipt_tells_each_target(self, storage: Storage) -> None:
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

        played(storage, play)

    @pytest.mark.parametrize("state", ["denied", "refused", "failed"])
    def test_what_is_recorded_keeps_its_payload_and_takes_no_key(self, storage: Storage, state: State) -> None:
        outcome = replace(refused(), state=state)

        async def play(journal: Journal) -> None:
            await journal.record(submission("r1"), outcome)
            assert await journal.claim(submission("r2")) == Fresh()
            found = await journal.find("r1")
            assert found is not None
            assert (found.state, found.answer) == (state, outcome.answer)
            assert [t.state for t in found.targets] == ["rejected"]
            assert await journal.audit_rows(NOON) == (outcome.audit,)

        played(storage, play)
        assert storage.rows("SELECT body FROM submission WHERE receipt = 'r1'") == [(b"MSH|1",)]

    def test_what_is_accepted_is_not_recorded(self, storage: Storage) -> None:
        with pytest.raises(ValueError, match="claimed and settled"):
            played(storage, lambda journal: journal.record(submission("r1"), accepted("r1")))

    def test_a_record_for_a_stored_receipt_changes_nothing(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            with pytest.raises(ReceiptTaken):
                await journal.record(submission("r1"), refused())
            await journal.settle("r1", accepted("r1"))
            assert await journal.audit_rows(NOON) == (accepted("r1").audit,)

        played(storage, play)

    def test_settling_is_done_once(self, storage: Storage) -> None:
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

        played(storage, play)

    def test_settling_that_is_cancelled_is_done_all_the_same(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            task = asyncio.create_task(journal.settle("r1", accepted("r1")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await journal.claim(submission("r2")) == Repeat(answer("r1"), "r1")

        played(storage, play)

    def test_an_outcome_that_contradicts_itself_is_refused(self) -> None:
        with pytest.raises(ValueError, match="`refused` can't have accepted=True"):
            replace(refused(), accepted=True)

    def test_a_bad_outcome_can_be_corrected(self, storage: Storage) -> None:
        bad = replace(queued(), deadline="soon")

        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            with pytest.raises(ValueError, match="Invalid isoformat"):
                await journal.settle("r1", accepted("r1", bad))
            await journal.settle("r1", accepted("r1"))

        played(storage, play)


class TestQueue:
    async def _queue(self, journal: Journal, receipt: str, *targets: TargetState, at: datetime = NOON) -> None:
        await journal.claim(submission(receipt, key=receipt, body=receipt.encode(), at=at))
        await journal.settle(receipt, accepted(receipt, *targets, at=at))

    def test_items_without_a_key_come_by_acceptance(self, storage: Storage) -> None:
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

        played(storage, play)

    def test_one_key_keeps_its_order_whatever_fails(self, storage: Storage) -> None:
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

        played(storage, play)

    def test_one_queued_behind_the_last_of_its_key_waits_no_more(self, storage: Storage) -> None:
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

        played(storage, play)

    def test_a_dead_item_lets_the_next_of_its_key_go(self, storage: Storage) -> None:
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

        played(storage, play)

    def test_one_that_still_waits_for_its_turn_is_not_attempted(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await self._queue(journal, "r1", queued(key="k"))
            first = await due_now(journal)
            await self._queue(journal, "r2", queued(key="k"))
            with pytest.raises(NotInHand):
                await journal.attempted(replace(first, id=first.id + 1), delivered=True)

        played(storage, play)

    def test_what_fails_past_its_deadline_is_dead(self, storage: Storage) -> None:
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

        played(storage, play)

    def test_a_clock_that_is_set_back_holds_nothing_up(self, storage: Storage) -> None:
        ahead = NOON + 3 * DAY

        async def play(journal: Journal) -> None:
            await self._queue(journal, "r1", queued(), at=ahead)
            await journal.attempted(await due_now(journal, ahead), failed="down", next_at=ahead + timedelta(minutes=5))
            await self._queue(journal, "r2", queued(), at=NOON + timedelta(minutes=10))
            assert (await due_now(journal)).receipt == "r1"  # that of r2 is what a pause may be

        played(storage, play)

    def test_the_queue_outlives_the_process(self, storage: Storage) -> None:
        played(storage, lambda journal: self._queue(journal, "r1", queued(key="k"), queued("copy", key="k")))

        async def again(journal: Journal) -> None:
            assert await journal.waiting([("copy", "k")])
            assert (await due_now(journal)).receipt == "r1"

        played(storage, again)

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
    def test_an_attempt_ends_in_exactly_one_way(self, storage: Storage, given: dict[str, object]) -> None:
        async def play(journal: Journal) -> None:
            item = Queued(1, "r1", "store", b"", None, 0, None)
            with pytest.raises(ValueError, match="exactly one"):
                await journal.attempted(item, **given)  # type: ignore[arg-type] # wrong on purpose

        played(storage, play)


class TestAudit:
    def test_rows_come_back_as_they_went_in_the_order_of_their_coming(self, storage: Storage) -> None:
        rows = [audit_row(NOON + timedelta(seconds=s), what=f"Patient {s}", outcome="deny") for s in (2, 0, 1)]
        rows.append(AuditRow("2026-03-01T13:30:00+01:00", "p", "dr", None, "search", "Patient", (), "permit", "d2"))

        async def play(journal: Journal) -> None:
            for row in rows:
                await journal.audit(row)
            assert await journal.audit_rows(NOON) == tuple(rows)
            assert await journal.audit_rows(NOON + timedelta(seconds=1)) == (rows[0], rows[2], rows[3])
            assert await journal.audit_rows(NOON + timedelta(minutes=30)) == (rows[3],)

        played(storage, play)


class TestTokenIds:
    def test_an_id_is_taken_once_per_issuer(self, storage: Storage) -> None:
        soon = datetime.now(UTC).timestamp() + 300

        async def play(journal: Journal) -> None:
            assert await journal.claim_token_id("demo", "j1", soon)
            assert not await journal.claim_token_id("demo", "j1", soon)
            assert await journal.claim_token_id("other", "j1", soon)
            both = await asyncio.gather(*(journal.claim_token_id("demo", "j2", soon) for _ in range(2)))
            assert sorted(both) == [False, True]

        played(storage, play)
        assert not played(storage, lambda journal: journal.claim_token_id("demo", "j1", soon))


def test_instants_compare_whatever_their_offset() -> None:
    assert instant("2024-02-13T14:49:32.5810000+00:00") == instant("2024-02-13T15:49:32.581+01:00")
    assert instant("2024-02-13T14:49:32") == instant("2024-02-13T14:49:32Z")
    assert shown(instant(NOON)) == NOON.isoformat()
