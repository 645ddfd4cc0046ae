"""What people do with a journal: look, count, purge, replay, seal anew. Source: `trust.md` of the design, "Journal"."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from gateway.journal import (
    Answer,
    Conflict,
    Fresh,
    Journal,
    Outcome,
    Progress,
    Queued,
    Receipt,
    Repeat,
    Submission,
    TargetState,
    browsing,
    purging,
    rekeying,
    replaying,
)
from gateway.journal.purging import Over
from gateway.journal.sealed import Key, Unsealable, key_of
from gateway.journal.sealed_journal import DAMAGED, KEY_AGAIN, SealedJournal
from gateway.journal.sought import Sought
from gateway.journal.steps import Statement, Steps
from tests.journal_rows import DAY, NOON, accepted, answer, audit_row, queued, refused, submission
from tests.journals import Storage, played

NEW, OLD = key_of(bytes(32)), key_of(bytes([1]) * 32)
LATER = NOON + 10 * DAY
NO_LETTER = NOON + DAY + purging.DEAD_KEPT
"""From then on no dead letter of `dead` keeps its submission."""


def sent(receipt: str, key: str | None = None, at: datetime = NOON, **changed: str) -> Submission:
    return replace(submission(receipt, key, at=at), **changed)  # type: ignore[arg-type]  # all of them texts


async def take(journal: Journal, one: Submission, outcome: Outcome | None = None) -> None:
    assert await journal.claim(one) == Fresh()
    await journal.settle(one.receipt, outcome or accepted(one.receipt, at=datetime.fromisoformat(one.received)))


def progress(issues: bytes) -> Progress:
    return Progress("done", deferred=False, line=1, read=1, stored=1, refused=0, issues=issues)


def dead(target: str = "store", key: str | None = None) -> TargetState:
    return TargetState(target, "dead", b"p", key, (NOON + DAY).isoformat(), "it said no", 3)


async def some(journal: Journal) -> None:
    """Five submissions that differ."""
    await take(journal, sent("r1", control_id="A-1"))
    await take(journal, sent("r2", at=NOON + DAY, type="ADT^A03", organisation="RDZ"), refused())
    await take(journal, sent("r3", at=NOON + 2 * DAY, domain="pathology", type="ADTX^A01"), accepted("r3", queued("a")))
    await take(journal, sent("r4", at=NOON + 3 * DAY), accepted("r4", dead("b"), dead("c")))
    await journal.claim(sent("r5", at=NOON + 4 * DAY, type="Bundle"))


async def receipts(journal: Journal, **sought: object) -> list[str]:
    found = await journal.read(partial(browsing.lines, Sought(**sought), 100))  # type: ignore[arg-type]  # by name
    return [one.receipt for one in found]


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ({}, ["r5", "r4", "r3", "r2", "r1"]),
        ({"since": NOON + 3 * DAY}, ["r5", "r4"]),
        ({"until": NOON + DAY}, ["r1"]),
        ({"since": NOON + DAY, "until": NOON + 2 * DAY}, ["r2"]),
        ({"organisation": "rdz"}, ["r2"]),
        ({"domain": "pathology"}, ["r3"]),
        ({"type": "ADT^A03"}, ["r2"]),
        ({"type": "ADT"}, ["r4", "r2", "r1"]),
        ({"control_id": "A-1"}, ["r1"]),
        ({"outcome": "received"}, ["r5"]),
        ({"outcome": "refused"}, ["r2"]),
        ({"outcome": "queued"}, ["r3"]),
        ({"outcome": "dead"}, ["r4"]),
        ({"outcome": "delivered"}, []),
        ({"rule": "EC-P1"}, ["r4", "r3", "r2", "r1"]),
        ({"rule": "EC-P"}, []),
        ({"rule": "ec-p1"}, []),
        ({"rule": '%"'}, []),
        ({"receipt": "r3"}, ["r3"]),
        ({"domain": "pathology", "outcome": "refused"}, []),
    ],
)
def test_each_filter_finds_its_own(storage: Storage, sought: dict[str, object], found: list[str]) -> None:
    async def play(journal: Journal) -> list[str]:
        await some(journal)
        return await receipts(journal, **sought)

    assert played(storage, play) == found


def test_a_list_goes_on_behind_the_last_receipt(storage: Storage) -> None:
    async def play(journal: Journal) -> None:
        await some(journal)
        seen: list[str] = []
        before: str | None = None
        while page := await journal.read(partial(browsing.lines, Sought(), 2, before)):
            assert len(page) <= 2
            seen += [one.receipt for one in page]
            before = page[-1].receipt
        assert seen == ["r5", "r4", "r3", "r2", "r1"]

    played(storage, play)


def test_a_line_tells_rules_targets_and_state(storage: Storage) -> None:
    async def play(journal: Journal) -> None:
        await some(journal)
        (line,) = await journal.read(partial(browsing.lines, Sought(receipt="r4"), 1))
        assert (line.state, line.rules, line.purged) == ("accepted", ("EC-P1", "EC-R1"), None)
        assert line.targets == (("b", "dead"), ("c", "dead"))

    played(storage, play)


def test_an_entry_is_all_that_is_kept_in_order_of_arrival(storage: Storage) -> None:
    async def play(journal: Journal) -> None:
        await some(journal)
        first = await journal.read(partial(browsing.entries, Sought(), 2, 0, ()))
        rest = await journal.read(partial(browsing.entries, Sought(), 9, first[-1].id, ()))
        assert [one.submission.receipt for one in (*first, *rest)] == ["r1", "r2", "r3", "r4", "r5"]
        assert first[0].submission == sent("r1", control_id="A-1")
        assert first[0].answer == answer("r1")
        assert (rest[-1].state, rest[-1].answer) == ("received", None)
        assert [target.why for target in rest[1].targets] == ["it said no", "it said no"]

    played(storage, play)


def test_counts_are_by_domain_type_outcome_rule_and_queue(storage: Storage) -> None:
    async def play(journal: Journal) -> None:
        await some(journal)
        counts = await journal.read(partial(browsing.stats, Sought()))
        assert counts.count == 5
        assert ("emergency-care", "ADT^A01", "accepted", 2) in counts.submissions
        assert counts.rules == (
            ("EC-P1", "accepted", 3), ("EC-P1", "refused", 1), ("EC-R1", "accepted", 3), ("EC-R1", "refused", 1),
        )  # fmt: skip
        assert [(q.target, q.state, q.count, q.receipt) for q in counts.queues] == [
            ("a", "queued", 1, "r3"), ("b", "dead", 1, "r4"), ("c", "dead", 1, "r4"),
        ]  # fmt: skip
        assert counts.queues[0].oldest == NOON.isoformat()
        only = await journal.read(partial(browsing.stats, Sought(domain="pathology")))
        assert (only.count, [q.target for q in only.queues]) == (1, ["a"])

    played(storage, play)


class TestPurge:
    ACCEPTED = Over("emergency-care", "accepted", LATER)

    def test_what_is_over_goes_and_its_receipt_says_so(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await take(journal, sent("r1"), accepted("r1", dead(key="k")))
            await journal.progress("r1", progress(b"issues"))
            count = await journal.read(partial(purging.counted, self.ACCEPTED, NO_LETTER))
            assert (count.number, count.first) == (1, NOON.isoformat())
            assert await journal.change(partial(purging.purge, self.ACCEPTED, NO_LETTER)) == ("r1",)
            found = await journal.find("r1")
            assert found is not None
            assert (found.purged, found.state, found.answer) == (NO_LETTER.isoformat(), "accepted", None)
            assert (found.targets[0].state, found.targets[0].why) == ("dead", None)
            (left,) = await journal.read(partial(browsing.entries, Sought(), 9, 0, ()))
            assert left.submission.body == b""
            assert await journal.find_progress("r1") is None
            assert await journal.read(partial(purging.gone, ["r1", "r2"])) == ("r1",)
            assert await journal.change(partial(purging.purge, self.ACCEPTED, LATER)) == ()
            assert len(await journal.audit_rows(NOON)) == 1

        played(storage, play)
        assert storage.rows("SELECT payload, why, order_key FROM delivery") == [(None, None, None)]

    @pytest.mark.parametrize(
        "over",
        [
            Over("emergency-care", "refused", LATER),
            Over("pathology", "accepted", LATER),
            Over("emergency-care", "accepted", NOON),
        ],
    )
    def test_what_is_of_another_domain_outcome_or_time_stays(self, storage: Storage, over: Over) -> None:
        async def play(journal: Journal) -> tuple[str, ...]:
            await take(journal, sent("r1"))
            return await journal.change(partial(purging.purge, over, LATER))

        assert played(storage, play) == ()

    def test_what_is_queued_or_in_hand_stays(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await take(journal, sent("r1"), accepted("r1", queued(), dead()))
            await journal.claim(sent("r2"))
            assert await journal.change(partial(purging.purge, self.ACCEPTED, NO_LETTER)) == ()
            item = await journal.due(NOON + DAY)
            assert item is not None
            await journal.attempted(item, delivered=True)
            assert await journal.change(partial(purging.purge, self.ACCEPTED, NO_LETTER)) == ("r1",)
            await journal.settle("r2", accepted("r2"))

        played(storage, play)

    @pytest.mark.parametrize("deadline", [NOON + DAY, None])
    def test_what_is_dead_stays_until_there_was_time_to_replay_it(
        self, storage: Storage, deadline: datetime | None
    ) -> None:
        ended = NOON if deadline is None else deadline
        last = ended + purging.DEAD_KEPT - timedelta(microseconds=1)

        async def play(journal: Journal) -> None:
            await take(journal, sent("r1"), accepted("r1", queued(deadline=deadline)))
            item = await journal.due(NOON)
            assert item is not None
            await journal.attempted(item, dead="it said no")
            assert (await journal.read(partial(purging.counted, self.ACCEPTED, last))).number == 0
            assert await journal.change(partial(purging.purge, self.ACCEPTED, last)) == ()
            assert [letter.kept for letter in await dead_letters(journal)] == [True]
            await replay(journal, last)
            assert await delivered(journal, last) == ["r1"]
            assert await journal.change(partial(purging.purge, self.ACCEPTED, last)) == ("r1",)

        played(storage, play)

    def test_a_few_at_a_time_the_oldest_first(self, storage: Storage) -> None:
        async def play(journal: Journal) -> list[tuple[str, ...]]:
            for number in (3, 1, 2):
                await take(journal, sent(f"r{number}", at=NOON + number * timedelta(hours=1)))
            return [await journal.change(partial(purging.purge, self.ACCEPTED, LATER, 2)) for _ in range(3)]

        assert played(storage, play) == [("r1", "r2"), ("r3",), ()]

    def test_large_bodies_go_a_few_at_a_time_whatever_their_number(self, storage: Storage) -> None:
        async def play(journal: Journal) -> list[tuple[str, ...]]:
            sizes = (purging.MOST_BYTES + 1, purging.MOST_BYTES // 2, purging.MOST_BYTES // 2, 1)
            for number, size in enumerate(sizes):
                one = replace(sent(f"r{number}", at=NOON + number * timedelta(hours=1)), body=bytes(size))
                await take(journal, one)
            return [await journal.change(partial(purging.purge, self.ACCEPTED, LATER)) for _ in range(4)]

        assert played(storage, play) == [("r0",), ("r1", "r2"), ("r3",), ()]

    def test_a_key_and_its_answer_outlive_the_body_as_long_as_the_window(self, storage: Storage) -> None:
        soon = NOON + 2 * DAY

        async def play(journal: Journal) -> None:
            await take(journal, submission("r1"))
            assert await journal.change(partial(purging.purge, replace(self.ACCEPTED, before=soon), soon)) == ("r1",)
            assert await journal.claim(submission("r2", at=soon)) == Repeat(answer("r1"), "r1")
            assert await journal.claim(submission("r3", body=b"other", at=soon)) == Conflict("r1")
            last = NOON + 7 * DAY - timedelta(microseconds=1)
            assert await journal.change(partial(purging.release, last)) == 0
            assert await journal.claim(submission("r4", at=last)) == Repeat(answer("r1"), "r1")
            assert await journal.change(partial(purging.release, NOON + 7 * DAY)) == 1
            assert await journal.change(partial(purging.release, NOON + 7 * DAY)) == 0

        played(storage, play)
        assert storage.rows("SELECT count(*) FROM submission_key") == [(0,)]
        assert storage.rows("SELECT count(*) FROM outcome WHERE answer IS NOT NULL") == [(0,)]

    def test_a_key_that_another_holds_by_now_stays_its_own(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await take(journal, submission("r1"))
            await take(journal, submission("r2", body=b"other", at=NOON + 8 * DAY))
            over = replace(self.ACCEPTED, before=NOON + DAY)
            assert await journal.change(partial(purging.purge, over, LATER)) == ("r1",)
            assert await journal.claim(submission("r3", at=LATER)) == Conflict("r2")

        played(storage, play)

    def test_what_is_left_is_forgotten_after_a_year(self, storage: Storage) -> None:
        async def play(journal: Journal) -> Receipt | None:
            await take(journal, sent("r1"), accepted("r1", dead()))
            await journal.change(partial(purging.purge, self.ACCEPTED, NO_LETTER))
            assert await journal.change(partial(purging.forget, NO_LETTER + purging.REMEMBERED)) == 0
            assert await journal.find("r1") is not None
            moment = NO_LETTER + purging.REMEMBERED + timedelta(microseconds=1)
            assert await journal.change(partial(purging.forget, moment)) == 1
            return await journal.find("r1")

        assert played(storage, play) is None
        assert storage.rows("SELECT count(*) FROM delivery") == [(0,)]
        assert storage.rows("SELECT count(*) FROM audit") == [(1,)]


async def dead_letters(journal: Journal, target: str | None = None) -> tuple[replaying.DeadLetter, ...]:
    return await journal.read(partial(replaying.dead_letters, Sought(), 100, 0, target))


async def replay(journal: Journal, at: datetime, *, in_front: bool = True) -> None:
    for letter in await dead_letters(journal):
        assert await journal.change(partial(replaying.again, letter, at, in_front=in_front))


async def delivered(journal: Journal, at: datetime) -> list[str]:
    """Receipts in the order in which the queue gives them."""
    order = []
    while (item := await journal.due(at)) is not None:
        order.append(item.receipt)
        await journal.attempted(item, delivered=True)
    return order


class TestReplay:
    def test_dead_letters_say_whose_they_are_and_why(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await some(journal)
            found = await dead_letters(journal)
            assert [(one.receipt, one.target, one.attempts, one.why) for one in found] == [
                ("r4", "b", 3, "it said no"), ("r4", "c", 3, "it said no"),
            ]  # fmt: skip
            assert [one.target for one in await dead_letters(journal, "c")] == ["c"]
            last = found[0].id
            assert len(await journal.read(partial(replaying.dead_letters, Sought(), 9, last))) == 1

        played(storage, play)

    def test_it_is_due_at_once_and_for_as_long_as_its_route_gave_it(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await take(journal, sent("r1"), accepted("r1", dead()))
            assert await journal.due(LATER) is None
            await replay(journal, LATER)
            item = await journal.due(LATER)
            assert item is not None
            assert (item.payload, item.attempts, item.deadline) == (b"p", 0, (LATER + DAY).isoformat())
            assert await dead_letters(journal) == ()
            found = await journal.find("r1")
            assert found is not None
            assert found.targets[0].state == "queued"

        played(storage, play)

    def test_a_letter_is_queued_once_alone(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await take(journal, sent("r1"), accepted("r1", dead()))
            (letter,) = await dead_letters(journal)
            assert await journal.change(partial(replaying.again, letter, LATER, in_front=True))
            assert not await journal.change(partial(replaying.again, letter, LATER, in_front=True))

        played(storage, play)

    def test_a_letter_that_another_replay_queued_meanwhile_and_that_was_delivered_stays_so(
        self, storage: Storage
    ) -> None:
        async def play(journal: Journal) -> None:
            for receipt, state in (("r0", dead(key="K")), ("r1", queued("store", key="K"))):
                await take(journal, sent(receipt), accepted(receipt, state))
            (letter,) = await dead_letters(journal)

            def beaten() -> Steps[bool]:
                """A replay between whose reading and writing another one's letter was delivered."""
                steps = replaying.again(letter, LATER, in_front=True)
                found = yield next(steps)
                yield Statement("UPDATE delivery SET state = 'delivered' WHERE id = ?", (letter.id,))
                try:
                    while True:
                        found = yield steps.send(found)
                except StopIteration as told:
                    done: bool = told.value
                    return done

            assert not await journal.change(beaten)
            assert await delivered(journal, LATER) == ["r1"], "what is at the head stays there"
            assert await receipts(journal, outcome="queued") == []

        played(storage, play)

    def test_letters_of_one_key_keep_the_order_of_acceptance(self, storage: Storage) -> None:
        async def play(journal: Journal) -> list[str]:
            for number in range(3):
                await take(journal, sent(f"r{number}"), accepted(f"r{number}", dead(key="K")))
            await replay(journal, LATER)
            return await delivered(journal, LATER)

        assert played(storage, play) == ["r0", "r1", "r2"]

    @pytest.mark.parametrize(("in_front", "order"), [(True, ["r0", "r1", "r2"]), (False, ["r1", "r0", "r2"])])
    def test_it_goes_before_what_waits_but_for_what_may_be_under_way(
        self,
        storage: Storage,
        in_front: bool,  # noqa: FBT001 - a case
        order: list[str],
    ) -> None:
        async def play(journal: Journal) -> list[str]:
            await take(journal, sent("r0"), accepted("r0", dead(key="K")))
            for receipt in ("r1", "r2"):
                await take(journal, sent(receipt), accepted(receipt, queued(key="K")))
            await replay(journal, LATER, in_front=in_front)
            return await delivered(journal, LATER)

        assert played(storage, play) == order

    def test_it_goes_behind_what_was_accepted_before_it(self, storage: Storage) -> None:
        async def play(journal: Journal) -> list[str]:
            await take(journal, sent("r0"), accepted("r0", queued(key="K")))
            await take(journal, sent("r1"), accepted("r1", dead(key="K")))
            await replay(journal, LATER)
            return await delivered(journal, LATER)

        assert played(storage, play) == ["r0", "r1"]

    def test_what_retention_took_out_is_told_as_gone(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await take(journal, sent("r1"), accepted("r1", dead()))
            await journal.change(partial(purging.purge, TestPurge.ACCEPTED, NO_LETTER))
            assert [one.kept for one in await dead_letters(journal)] == [False]

        played(storage, play)


class _Sealed:
    """A storage whose journals are sealed."""

    def __init__(self, storage: Storage, *keys: Key) -> None:
        self._storage, self._keys = storage, keys

    def journal(self) -> SealedJournal:
        return SealedJournal(self._storage.journal(), self._keys)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return self._storage.rows(sql)


CANARY = b"PID|1||9990000018"


async def kept(journal: Journal) -> None:
    """A submission with a payload in every column."""
    one = replace(submission("r1"), body=CANARY)
    target = replace(queued(), payload=CANARY + b" queued")
    outcome = Outcome(
        "accepted",
        accepted=True,
        answer=Answer(200, "text/plain", CANARY + b" told", None),
        targets=(target,),
        audit=audit_row(),
    )
    await journal.claim(one)
    await journal.settle("r1", outcome)
    await journal.progress("r1", progress(CANARY + b" issues"))


async def check_kept(journal: Journal) -> None:
    found = await journal.find("r1")
    assert found is not None
    assert found.answer == Answer(200, "text/plain", CANARY + b" told", None)
    came = await journal.submission("r1")
    assert came is not None
    assert came.body == CANARY
    item = await journal.due(NOON)
    assert isinstance(item, Queued)
    assert item.payload == CANARY + b" queued"
    told = await journal.find_progress("r1")
    assert told is not None
    assert told.issues == CANARY + b" issues"
    repeat = await journal.claim(replace(submission("r2"), body=CANARY))
    assert isinstance(repeat, Repeat)
    assert repeat.answer.body == CANARY + b" told"


COLUMNS = ("SELECT body FROM submission", "SELECT answer FROM outcome", "SELECT payload FROM delivery",
           "SELECT issues FROM progress")  # fmt: skip


def stored(storage: Storage) -> list[bytes]:
    return [bytes(value) for sql in COLUMNS for (value,) in storage.rows(sql) if isinstance(value, (bytes, memoryview))]


class TestSealed:
    def test_every_payload_is_sealed_on_the_disk_and_open_to_the_gateway(self, storage: Storage) -> None:
        played(_Sealed(storage, NEW), kept)
        found = stored(storage)
        assert len(found) == 4
        assert not any(b"9990000018" in payload for payload in found)
        played(_Sealed(storage, NEW), check_kept)

    def test_what_was_in_hand_is_opened_after_a_crash(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            journal.abandon("r1")

        played(_Sealed(storage, NEW), play)
        left = played(_Sealed(storage, NEW), lambda journal: journal.unfinished())
        assert [one.body for one in left] == [submission("r1").body]

    def test_what_is_delivered_of_the_body_itself_is_opened(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await take(journal, submission("r1"), accepted("r1", queued(payload=None)))
            item = await journal.due(NOON)
            assert item is not None
            assert item.payload == submission("r1").body

        played(_Sealed(storage, NEW), play)

    def test_rows_of_before_there_was_a_key_stay_readable(self, storage: Storage) -> None:
        played(_Sealed(storage), kept)
        played(_Sealed(storage, NEW), check_kept)

    @pytest.mark.parametrize("keys", [(), (OLD,)])
    def test_without_its_key_a_journal_is_not_opened(self, storage: Storage, keys: Sequence[Key]) -> None:
        played(_Sealed(storage, NEW), kept)
        with pytest.raises(Unsealable, match=f"sealed with key {NEW.name}"):
            played(_Sealed(storage, *keys), check_kept)
        played(_Sealed(storage, NEW), check_kept)

    def test_a_new_key_seals_and_the_one_before_still_opens(self, storage: Storage) -> None:
        played(_Sealed(storage, OLD), kept)
        played(_Sealed(storage, NEW, OLD), check_kept)

    def test_a_damaged_item_of_the_queue_is_dead_and_holds_up_no_other(self, storage: Storage) -> None:
        async def play(journal: Journal) -> None:
            await take(journal, sent("r1"), accepted("r1", queued()))
            await take(journal, sent("r2"), accepted("r2", queued()))

        async def look(journal: Journal) -> None:
            item = await journal.due(NOON)
            assert item is not None
            assert item.receipt == "r2"
            (letter,) = await dead_letters(journal)
            assert (letter.receipt, letter.why) == ("r1", DAMAGED)

        played(_Sealed(storage, NEW), play)
        played(storage, lambda journal: journal.change(damage))
        played(_Sealed(storage, NEW), look)

    def test_an_item_whose_key_only_another_gateway_has_is_left_to_that_one_and_holds_up_no_other(
        self, storage: Storage
    ) -> None:
        ends = NOON + KEY_AGAIN / 2
        lasting, ending = (queued(deadline=deadline) for deadline in (None, ends))

        async def play(journal: Journal) -> None:
            await take(journal, sent("r1"), accepted("r1", lasting))
            await take(journal, sent("r2"), accepted("r2", ending))

        async def look(below: Journal) -> None:
            await take(SealedJournal(below, (NEW,)), sent("r3"), accepted("r3", queued()))
            here, other = SealedJournal(below, (NEW,)), SealedJournal(below, (OLD,))
            item = await here.due(NOON)
            assert item is not None
            assert (item.receipt, item.payload) == ("r3", b"p")
            await here.attempted(item, delivered=True)
            assert await here.due(NOON) is None
            first = await other.due(ends)
            assert first is not None
            assert (first.receipt, first.payload) == ("r2", b"p")
            assert await here.due(ends) is None  # its time is over: dead, with what is to be delivered
            (letter,) = await dead_letters(here)
            assert (letter.receipt, letter.kept) == ("r2", True)
            assert f"sealed with key {OLD.name}" in letter.why
            later = NOON + KEY_AGAIN
            second = await other.due(later)
            assert second is not None
            assert (second.receipt, second.payload) == ("r1", b"p")
            await other.attempted(second, delivered=True)

        played(_Sealed(storage, OLD), play)
        played(storage, look)

    def test_what_was_in_hand_and_can_not_be_opened_is_left_there_and_holds_up_no_other(self, storage: Storage) -> None:
        many = 102  # more than a storage shows at a time

        async def play(journal: Journal) -> None:
            await asyncio.gather(*(journal.claim(submission(f"r{n}", key=f"K{n}")) for n in range(many)))
            for number in range(many):
                journal.abandon(f"r{number}")

        async def look(journal: Journal) -> None:
            assert [left.receipt for left in await journal.unfinished()] == ["r100", "r101"]
            assert await journal.unfinished() == ()
            found = await journal.find("r1")
            assert found is not None
            assert found.state == "received"
            assert await journal.claim(submission("again", key="K1")) == Fresh()  # who sends it again is served

        played(_Sealed(storage, NEW), play)
        played(storage, lambda journal: journal.change(damage_bodies))
        played(_Sealed(storage, NEW), look)


def damage() -> Steps[None]:
    """Change what is queued of the first submission, as a fault of the disk would."""
    yield Statement("UPDATE delivery SET payload = ? WHERE submission = (SELECT min(id) FROM submission)",
                              (b"\xf8GJ1\x01" + NEW.id + bytes(40),))  # fmt: skip


def damage_bodies() -> Steps[None]:
    """Change the first hundred bodies."""
    yield Statement("UPDATE submission SET body = ? WHERE id < (SELECT min(id) FROM submission) + 100",
                    (b"\xf8GJ1\x01" + NEW.id + bytes(40),))  # fmt: skip


class TestRekey:
    def test_everything_is_sealed_with_the_first_key_and_needs_no_other(self, storage: Storage) -> None:
        played(_Sealed(storage, OLD), kept)
        keys = (NEW, OLD)

        async def play(journal: Journal) -> int:
            await journal.change(partial(rekeying.begun, keys))
            changed = 0
            for column in rekeying.COLUMNS:
                last: int | None = 0
                while last is not None:
                    done = await journal.change(partial(rekeying.rekey, column, keys, last, 1))
                    last, changed = done.last, changed + done.changed
            await journal.change(partial(rekeying.ended, keys))
            return changed

        assert played(storage, play) == 4
        assert played(storage, play) == 0
        played(_Sealed(storage, NEW), check_kept)

    def test_what_was_not_sealed_is_sealed_too(self, storage: Storage) -> None:
        played(_Sealed(storage), kept)

        async def play(journal: Journal) -> None:
            for column in rekeying.COLUMNS:
                await journal.change(partial(rekeying.rekey, column, (NEW,), 0))

        played(_Sealed(storage, NEW), play)
        assert not any(b"9990000018" in payload for payload in stored(storage))
