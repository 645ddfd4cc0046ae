"""What holds of a journal that several gateways share; `test_journal.py` holds the rest, on every storage.

Source: `trust.md`, "Journal": claims, a lease, and per-key order across gateways.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.journal import (
    Busy,
    Conflict,
    Database,
    Fresh,
    JournalUnavailable,
    NotInHand,
    PostgresJournal,
    Repeat,
    Submission,
    postgres_leases,
)
from tests import postgres
from tests.journal_rows import NOON, accepted, answer, queued, refused, submission
from tests.journals import OnPostgres, eventually

pytestmark = pytest.mark.interop
T = TypeVar("T")
SOON = 1.0


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_leases, "LEASE", SOON)


def both(storage: OnPostgres, play: Callable[[PostgresJournal, PostgresJournal], Awaitable[T]]) -> T:
    """What `play` answers on the journals of two gateways."""

    async def whole() -> T:
        async with storage.journal() as one, storage.another() as other:
            return await play(one, other)

    return asyncio.run(whole())


async def die(journal: PostgresJournal) -> None:
    """What a kill does to a gateway: it says nothing any more, and its lock and its connections are gone."""
    assert journal._beating is not None
    journal._beating.cancel()
    await asyncio.gather(journal._beating, return_exceptions=True)
    journal._beating, journal._well_since = None, None
    await journal.close()


class TestKeys:
    def test_a_twin_at_another_gateway_waits_and_gets_the_same_answer(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            assert await one.claim(submission("r1")) == Fresh()
            twin = asyncio.create_task(other.claim(submission("r2")))
            another = asyncio.create_task(other.claim(submission("r3", body=b"other")))
            await asyncio.sleep(0.2)
            assert not twin.done()
            assert not another.done()
            await one.settle("r1", accepted("r1"))
            assert await twin == Repeat(answer("r1"), "r1")
            assert await another == Conflict("r1")

        both(shared_storage, play)

    def test_of_many_at_two_gateways_one_is_taken(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            for key in range(40):
                claims = await asyncio.gather(*(
                    journal.claim(submission(f"{key}-{n}-{m}", key=f"k{key}"), patience=0)
                    for m, journal in enumerate((one, other))
                    for n in range(3)
                ))  # fmt: skip
                assert claims.count(Fresh()) == 1
                assert all(isinstance(claim, Fresh | Busy) for claim in claims)

        both(shared_storage, play)
        assert shared_storage.rows("SELECT count(*), count(DISTINCT key) FROM submission") == [(40, 40)]

    def test_what_one_gave_up_is_free_for_the_other(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            await one.claim(submission("r1"))
            one.abandon("r1")
            assert await other.claim(submission("r2")) == Fresh()
            await other.settle("r2", accepted("r2"))
            gone = await one.find("r1")
            assert gone is not None
            assert gone.state == "failed"
            assert one._hand.given_up == {}  # nothing of it stays in memory

        both(shared_storage, play)

    def test_texts_that_postgresql_does_not_take_stay_different_keys(self, shared_storage: OnPostgres) -> None:
        odd = ["a\x00", "a\ufffd", "a\ud800", "a"]

        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            for number, key in enumerate(odd):
                taken = replace(submission(f"r{number}", key=key), control_id=key, type=key, user=key)
                assert await one.claim(taken) == Fresh()
                await one.settle(f"r{number}", accepted(f"r{number}", replace(queued(key=key), why=key)))
            for number, key in enumerate(odd):
                assert await other.claim(submission("x", key=key)) == Repeat(answer(f"r{number}"), f"r{number}")
                assert await other.waiting([("store", key)]) == {("store", key)}
            assert await other.find("a\x00") is None

        both(shared_storage, play)


class TestLeases:
    def test_what_a_dead_gateway_had_is_taken_up_once_its_lease_is_over(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            left = [submission(f"r{n}", key=f"k{n}") for n in range(3)]
            for taken in left:
                await one.claim(taken)
            assert await other.unfinished() == ()
            await die(one)
            assert await other.claim(submission("r9", key="k1"), patience=0) == Busy("r1", same=True)
            assert await eventually(other.unfinished) == tuple(left)
            waits = asyncio.create_task(other.claim(submission("r9", key="k1")))
            await other.settle("r1", accepted("r1"))
            assert await waits == Repeat(answer("r1"), "r1")

        both(shared_storage, play)

    def test_one_that_is_alive_keeps_what_it_has_for_as_long_as_it_takes(
        self, shared_storage: OnPostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_leases, "LEASE", 3.0)

        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            await one.claim(submission("r1"))
            for _ in range(9):
                await asyncio.sleep(0.5)
                assert await other.unfinished() == ()
            await one.settle("r1", accepted("r1"))

        both(shared_storage, play)

    def test_one_that_comes_back_too_late_settles_nothing(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            await one.claim(submission("r1"))
            assert one._beating is not None
            one._beating.cancel()  # its process stands still
            assert await eventually(other.unfinished) == (submission("r1"),)
            with pytest.raises(NotInHand):
                await one.settle("r1", accepted("r1"))
            await other.settle("r1", refused())
            found = await one.find("r1")
            assert found is not None
            assert found.state == "refused"
            one._beating = asyncio.create_task(one._keep_beating())

        both(shared_storage, play)

    def test_the_same_data_folder_takes_up_its_own_at_once(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            one = shared_storage.journal()
            await one.open()
            await one.claim(submission("r1"))
            await one.claim(submission("r2", key="file"), here=True)
            await die(one)
            async with shared_storage.another() as other:
                await asyncio.sleep(3 * SOON)
                assert [left.receipt for left in await other.unfinished()] == ["r1"]  # the file is not there
                assert await other.claim(submission("r3", key="file"), patience=0) == Busy("r2", same=True)
                async with shared_storage.journal() as again:
                    assert [left.receipt for left in await again.unfinished()] == ["r2"]
                    await again.settle("r2", accepted("r2"))
                await other.settle("r1", accepted("r1"))

        asyncio.run(play())

    def test_what_a_worker_left_is_taken_up_by_those_that_have_its_files_and_by_no_other(
        self, shared_storage: OnPostgres
    ) -> None:
        homes = shared_storage.folder / "1", shared_storage.folder / "2"

        async def left() -> None:
            async with PostgresJournal(Database(shared_storage.address), homes[1]) as gone:
                await gone.claim(submission("r1"), here=True)

        async def taken(*beside: Path) -> list[str]:
            async with PostgresJournal(Database(shared_storage.address), homes[0], beside=beside) as journal:
                return [one.receipt for one in await journal.unfinished()]

        asyncio.run(left())
        assert asyncio.run(taken()) == []
        assert asyncio.run(taken(homes[1], shared_storage.folder / "never-served")) == ["r1"]

    def test_one_that_stops_leaves_at_once_what_it_had(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            await one.claim(submission("r1"))
            await one.close()
            assert await other.unfinished() == (submission("r1"),)

        both(shared_storage, play)

    def test_what_was_given_up_is_left_alone_for_a_while(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            await one.claim(submission("r1"))
            one.abandon("r1")

            async def told() -> bool:
                return not one._hand.given_up

            await eventually(told)
            assert await other.unfinished(timedelta(seconds=60)) == ()
            assert await other.unfinished(timedelta(0)) == (submission("r1"),)

        both(shared_storage, play)

    def test_two_share_what_many_left(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            await asyncio.gather(*(one.claim(submission(f"r{n}", key=None)) for n in range(250)))
            for n in range(250):
                one.abandon(f"r{n}")
            taken: list[Submission] = []
            while found := [*await one.unfinished(), *await other.unfinished()]:
                taken += found
            assert Counter(left.receipt for left in taken) == Counter(f"r{n}" for n in range(250))

        both(shared_storage, play)


class TestQueue:
    def test_two_gateways_never_try_one_item(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            for n in range(4):
                await one.claim(submission(f"r{n}", key=f"k{n}"))
                await one.settle(f"r{n}", accepted(f"r{n}", queued(key="patient" if n < 2 else None)))
            first, second = await one.due(NOON), await other.due(NOON)
            assert first is not None
            assert second is not None
            assert (first.receipt, second.receipt) == ("r0", "r2")
            assert await one.due(NOON) == first  # until it tells how it went
            with pytest.raises(NotInHand):
                await other.attempted(first, delivered=True)
            await one.attempted(first, delivered=True)
            third = await one.due(NOON)
            assert third is not None
            assert third.receipt == "r1"

        both(shared_storage, play)

    def test_an_item_of_a_dead_gateway_is_tried_by_another(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            await one.claim(submission("r1"))
            await one.settle("r1", accepted("r1", queued(key="k")))
            item = await one.due(NOON)
            assert item is not None
            assert await other.due(NOON) is None
            await die(one)
            assert await eventually(lambda: other.due(NOON)) == item
            await other.attempted(item, delivered=True)

        both(shared_storage, play)

    def test_of_each_key_exactly_one_is_due_whoever_queues_and_delivers(self, shared_storage: OnPostgres) -> None:
        """What is queued while the last one before it is delivered must neither overtake it nor wait for ever."""
        order: dict[str, list[str]] = {"a": [], "b": []}

        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            ended = asyncio.Event()
            workers = [asyncio.create_task(_delivered(journal, order, ended)) for journal in (one, other)]
            await asyncio.gather(_queued(one, "1"), _queued(other, "2"))
            ended.set()
            async with asyncio.timeout(30):
                await asyncio.gather(*workers)

        both(shared_storage, play)
        for key in "ab":
            assert len(order[key]) == 80
            for name in "12":
                mine = [receipt for receipt in order[key] if receipt[0] == name]
                assert mine == sorted(mine)
        assert shared_storage.rows("SELECT DISTINCT state FROM delivery") == [("delivered",)]


async def _queued(journal: PostgresJournal, name: str) -> None:
    """Queue 40 items under each of two order keys."""
    for n in range(40):
        for key in "ab":
            receipt = f"{name}{key}{n:02}"
            await journal.claim(submission(receipt, key=receipt))
            await journal.settle(receipt, accepted(receipt, queued(key=key)))


async def _delivered(journal: PostgresJournal, order: dict[str, list[str]], ended: asyncio.Event) -> None:
    """Deliver what is due until there is nothing more, and note the order."""
    while (item := await journal.due(NOON)) is not None or not ended.is_set():
        if item is None:
            await asyncio.sleep(0.001)
            continue
        assert item.order_key is not None
        order[item.order_key].append(item.receipt)
        await journal.attempted(item, delivered=True)


class TestTurns:
    def test_a_turn_is_one_gateways(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            place = ("store", "patient")
            await one.take_turn(place)
            waits = asyncio.create_task(other.take_turn(place))
            await other.take_turn(("store", "another"))
            await asyncio.sleep(0.1)
            assert not waits.done()
            one.give_turn_back(place)
            async with asyncio.timeout(60):
                await waits
            other.give_turn_back(place)
            await one.take_turn(place)

        both(shared_storage, play)

    def test_who_stops_waiting_holds_nothing(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            place = ("store", "patient")
            for _ in range(20):
                taken = asyncio.create_task(one.take_turn(place))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                taken.cancel()
                await asyncio.gather(taken, return_exceptions=True)
                async with asyncio.timeout(60):
                    await other.take_turn(place)
                other.give_turn_back(place)

        both(shared_storage, play)

    def test_a_turn_outlives_a_broken_connection_and_ends_with_its_gateway(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            place = ("store", "patient")
            await one.take_turn(place)
            backend = one._turns._batches._connection
            assert backend is not None
            await asyncio.to_thread(shared_storage.rows, f"SELECT pg_terminate_backend({backend.get_server_pid()})")
            await eventually(lambda: reached(one))
            waits = asyncio.create_task(other.take_turn(place))
            await asyncio.sleep(0.2)
            assert not waits.done()
            await die(one)
            async with asyncio.timeout(60):
                await waits

        async def reached(journal: PostgresJournal) -> bool:
            with contextlib.suppress(JournalUnavailable):
                await journal.waiting([("store", "patient")])
                return True
            return False

        both(shared_storage, play)


class TestLimits:
    def test_gateways_count_together(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> int:
            asked = (
                journal.count_released("p", "Patient", "2026-11-23", [f"{n}"], 7)
                for n in range(20) for journal in (one, other)
            )  # fmt: skip
            return sum(await asyncio.gather(*asked))

        assert both(shared_storage, play) == 14  # 7 names, each shown at both: the second time counts nothing

    def test_a_tokens_id_is_taken_once_among_all(self, shared_storage: OnPostgres) -> None:
        soon = datetime.now(UTC).timestamp() + 300

        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            for n in range(20):
                taken = await asyncio.gather(*(j.claim_token_id("i", f"{n}", soon) for j in (one, other, one, other)))
                assert taken.count(True) == 1

        both(shared_storage, play)

    def test_ids_long_expired_are_dropped(self, shared_storage: OnPostgres) -> None:
        now = datetime.now(UTC).timestamp()

        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            for name, ends in (("old", now - 7200), ("recent", now - 600), ("new", now + 300)):
                await one.claim_token_id("demo", name, ends)
            await other._beat()

        both(shared_storage, play)
        assert shared_storage.rows("SELECT jti FROM token_id ORDER BY jti") == [("new",), ("recent",)]


class TestStorage:
    def test_a_restart_of_the_server_is_told_and_outlived(
        self, shared_storage: OnPostgres, postgres_server: postgres.Postgres
    ) -> None:
        async def play(one: PostgresJournal, other: PostgresJournal) -> None:
            await one.claim(submission("r1"))
            await one.claim(submission("r2", key="k2"))
            await one.settle("r2", accepted("r2"))
            await asyncio.to_thread(postgres_server.stop)
            for ask in (one.settle("r1", accepted("r1")), one.find("r1"), one.waiting([("a", "b")])):
                with pytest.raises(JournalUnavailable, match="storage fails"):
                    await ask
            assert not await one.writable()
            with pytest.raises(JournalUnavailable):
                await other.claim(submission("r3"))
            await asyncio.to_thread(postgres_server.start)
            assert await eventually(one.writable)
            assert await eventually(other.writable)
            assert await other.claim(submission("r4", key="k2")) == Repeat(answer("r2"), "r2")
            # what could not be settled was given up, and says so as soon as that can be said
            assert await other.claim(submission("r5")) == Fresh()
            assert await one.find("r2") == await other.find("r2")

        both(shared_storage, play)

    def test_several_that_start_on_nothing_make_the_tables_once(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            journals = [shared_storage.another() for _ in range(4)]
            await asyncio.gather(*(journal.open() for journal in journals))
            assert await journals[0].claim(submission("r1")) == Fresh()
            assert await journals[3].claim(submission("r2"), patience=0) == Busy("r1", same=True)
            await asyncio.gather(*(journal.close() for journal in journals))

        asyncio.run(play())

    def test_a_later_schema_is_refused(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            async with shared_storage.journal():
                pass
            await asyncio.to_thread(shared_storage.rows, "INSERT INTO schema_version VALUES (99)")
            with pytest.raises(JournalUnavailable, match="written by a later gateway"):
                await shared_storage.journal().open()

        asyncio.run(play())

    def test_gateways_with_other_secrets_are_refused(self, shared_storage: OnPostgres, tmp_path: Path) -> None:
        database = Database(shared_storage.address)

        async def play() -> None:
            async with PostgresJournal(database, tmp_path / "one", {"hash.key": "1"}):
                async with PostgresJournal(database, tmp_path / "same", {"hash.key": "1"}):
                    pass
                with pytest.raises(JournalUnavailable, match=r"^hash\.key of this gateway is not that of the others"):
                    await PostgresJournal(database, tmp_path / "other", {"hash.key": "2"}).open()

        asyncio.run(play())

    def test_of_several_none_keeps_resources_where_the_others_do_not_see_them(
        self, shared_storage: OnPostgres, tmp_path: Path
    ) -> None:
        database = Database(shared_storage.address)

        def gateway(name: str, *, own_store: bool) -> PostgresJournal:
            return PostgresJournal(database, tmp_path / name, own_store=own_store)

        async def play() -> None:
            async with gateway("one", own_store=True) as one:
                async with gateway("client", own_store=False):
                    pass
                with pytest.raises(JournalUnavailable, match="each keeps resources in a store of its own"):
                    await gateway("other", own_store=True).open()
                await die(one)
                async with gateway("one", own_store=True) as again:  # its own, after a kill
                    assert await again.writable()
            async with gateway("other", own_store=True) as other:
                assert await other.writable()

        asyncio.run(play())

    def test_one_data_folder_is_one_gateways(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            async with shared_storage.journal():
                with pytest.raises(JournalUnavailable, match="another gateway uses this data folder"):
                    await shared_storage.journal().open()

        asyncio.run(play())

    def test_a_server_that_keeps_nothing_safe_is_refused(self, tmp_path: Path) -> None:
        """The mutant without fsync, on PostgreSQL."""
        if postgres.programs() is None:
            pytest.skip("needs a PostgreSQL server")
        with postgres.postgres("fsync=off", folder=postgres.MEMORY) as careless:
            address = careless.database()
            with pytest.raises(JournalUnavailable, match="fsync = off"):
                asyncio.run(PostgresJournal(Database(address), tmp_path).open())

    def test_a_commit_waits_for_the_disk_whatever_the_server_is_set_to(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, _: PostgresJournal) -> None:
            assert await one.writable()
            assert one._writer._connection is not None
            assert await one._writer._connection.fetchval("SHOW synchronous_commit") == "on"

        (name,) = shared_storage.rows("SELECT current_database()")[0]
        shared_storage.rows(f"ALTER DATABASE {name} SET synchronous_commit = off")
        both(shared_storage, play)

    def test_an_operation_that_fails_does_not_fail_those_beside_it(self, shared_storage: OnPostgres) -> None:
        async def play(one: PostgresJournal, _: PostgresJournal) -> None:
            for n in range(3):
                await one.claim(submission(f"r{n}", key=f"k{n}"))
            bad = replace(queued(), deadline="soon")
            results = await asyncio.gather(
                one.settle("r0", accepted("r0")), one.settle("r1", accepted("r1", bad)),
                one.settle("r2", accepted("r2")), one.claim(submission("r3", key="k3")), return_exceptions=True,
            )  # fmt: skip
            assert [type(result) for result in results] == [type(None), ValueError, type(None), Fresh]

        both(shared_storage, play)
        assert shared_storage.rows("SELECT count(*) FROM outcome") == [(2,)]

    @pytest.mark.parametrize("change", ["UPDATE audit SET outcome = 'permit'", "DELETE FROM audit", "TRUNCATE audit"])
    def test_audit_rows_are_append_only_for_anyone(self, shared_storage: OnPostgres, change: str) -> None:
        async def play(one: PostgresJournal, _: PostgresJournal) -> None:
            await one.claim(submission("r1"))
            await one.settle("r1", accepted("r1"))

        both(shared_storage, play)
        with pytest.raises(Exception, match="append-only"):
            shared_storage.rows(change)

    def test_a_server_that_is_not_there_is_told_without_the_password(self, tmp_path: Path) -> None:
        database = Database("postgresql://gateway@localhost:1/journal", "secret-words")
        assert "secret-words" not in repr(database)
        with pytest.raises(JournalUnavailable, match="storage fails") as told:
            asyncio.run(PostgresJournal(database, tmp_path).open())
        assert "secret-words" not in str(told.value)
