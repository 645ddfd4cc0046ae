"""What gateways that share a journal do where an answer, a connection or another gateway is lost on the way.

Source: `trust.md`, "Journal": nothing is lost, and no key and no order stays blocked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway.journal import (
    Busy,
    Database,
    Fresh,
    JournalUnavailable,
    PostgresJournal,
    TargetState,
    postgres_leases,
    postgres_schema,
    replaying,
)
from gateway.journal.postgres_batches import Batches
from gateway.journal.postgres_schema import Connection, connect
from gateway.journal.sought import Sought
from gateway.journal.steps import Statement, Steps
from tests import postgres
from tests.journal_rows import DAY, NOON, accepted, queued, submission
from tests.journals import OnPostgres, eventually

pytestmark = pytest.mark.interop
PLACE = ("store", "patient")
ENDED = "SELECT count(*) FROM (SELECT pg_terminate_backend({}, 5000)) AS ended"


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_leases, "LEASE", 1.0)


def lose_one_answer(batches: Batches) -> None:
    """Let the next batch be committed, and its connection break before anyone hears of it."""
    together = batches._together

    async def committed(batch: Sequence[Any]) -> list[Any]:
        await together(batch)
        batches._together = together  # type: ignore[method-assign]  # as it was
        batches._drop()
        raise ConnectionResetError("lost on the way")

    batches._together = committed  # type: ignore[method-assign]  # what a network does


async def backend(journal: PostgresJournal) -> int:
    """Process id of the server's end of the connection that holds a gateway's turns."""
    connection = journal._turns._batches._connection
    assert connection is not None
    return connection.get_server_pid()


class TestAnswersLost:
    def test_a_claim_that_was_committed_unheard_does_not_block_its_key(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            async with shared_storage.journal() as journal:
                lose_one_answer(journal._writer)
                with pytest.raises(JournalUnavailable):
                    await journal.claim(submission("r1"))
                assert await journal.claim(submission("r2")) == Fresh()
                lost = await journal.find("r1")
                assert lost is not None
                assert lost.state == "failed"

        asyncio.run(play())

    def test_it_is_given_up_at_the_second_beat_since_at_one_its_answer_may_be_on_the_way(
        self, shared_storage: OnPostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_leases, "LEASE", 60.0)  # but for those below nothing beats

        async def play() -> None:
            async with shared_storage.journal() as journal:
                lose_one_answer(journal._writer)
                with pytest.raises(JournalUnavailable):
                    await journal.claim(submission("r1"))
                await journal._beat()
                assert await journal.claim(submission("r2"), patience=0) == Busy("r1", same=True)
                await journal._beat()
                assert await journal.claim(submission("r3"), patience=0) == Fresh()

        asyncio.run(play())

    def test_what_was_taken_up_unheard_is_taken_up_again(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            async with shared_storage.journal() as journal:
                await journal.claim(submission("r1"))
                journal.abandon("r1")
                assert await journal.writable()  # so it was told
                lose_one_answer(journal._writer)
                with pytest.raises(JournalUnavailable):
                    await journal.unfinished()
                assert await eventually(journal.unfinished) == (submission("r1"),)
                for _ in range(3):  # what is in hand stays there, however many beats pass
                    await journal._beat()
                await journal.settle("r1", accepted("r1"))

        asyncio.run(play())


class TestReplayBesideAGateway:
    def test_a_head_that_is_delivered_meanwhile_leaves_its_key_to_the_letter(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            async with shared_storage.journal() as one, shared_storage.another() as other:
                looked = asyncio.Event()
                dead = TargetState("store", "dead", b"p", "patient", (NOON + DAY).isoformat(), "it said no", 3)
                for receipt, state in (("r1", dead), ("r2", queued(key="patient"))):
                    await one.claim(submission(receipt, key=receipt))
                    await one.settle(receipt, accepted(receipt, state))
                (letter,) = await one.read(partial(replaying.dead_letters, Sought(), 10))
                head = await one.due(NOON)
                assert head is not None
                assert head.receipt == "r2"

                def slowly() -> Steps[bool]:
                    done = yield from replaying.again(letter, NOON, in_front=False)
                    looked.set()
                    yield Statement("SELECT pg_sleep(0.5)")
                    return done

                replayed = asyncio.create_task(other.change(slowly))
                await looked.wait()
                await one.attempted(head, delivered=True)
                assert await replayed
                due = await one.due(NOON)
                assert due is not None
                assert due.receipt == "r1"

        asyncio.run(play())


class TestVanished:
    def test_one_that_vanishes_inside_a_transaction_does_not_fail_the_others(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            async with shared_storage.journal() as journal:
                vanished = await connect(Database(shared_storage.address))
                await vanished.execute("BEGIN")
                await vanished.execute("INSERT INTO submission_key VALUES ('k1', 'theirs', 'h', 1)")
                claims = (journal.claim(submission(f"r{n}", key=f"k{n}")) for n in (1, 2))
                assert await asyncio.gather(*claims, journal.writable()) == [Fresh(), Fresh(), True]
                vanished.terminate()

        asyncio.run(play())

    def test_no_wait_for_a_lock_stays_at_the_server_when_nobody_hears_it_any_more(
        self, shared_storage: OnPostgres
    ) -> None:
        async def play() -> None:
            async with shared_storage.journal():
                holder = await asyncpg.connect(shared_storage.address)  # as a desk does, without a limit of its own
                await holder.execute("BEGIN; LOCK TABLE gateway.submission_key")
                waits = await connect(Database(shared_storage.address))
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await waits.execute("DELETE FROM submission_key")
                await holder.close()
                await waits.close()

        asyncio.run(play())

    def test_one_that_starts_waits_longer_for_a_migration_than_for_a_lock(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            migrating: Connection = await connect(Database(shared_storage.address))
            await migrating.execute("SELECT pg_advisory_lock($1)", postgres_schema._MIGRATING)
            journal = shared_storage.journal()
            starts = asyncio.create_task(journal.open())
            await asyncio.sleep(2.5)
            assert not starts.done()
            await migrating.close()
            await starts
            await journal.close()

        asyncio.run(play())


class TestTurns:
    def test_a_held_turn_is_taken_again_before_anybody_asks(
        self, shared_storage: OnPostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_leases, "LEASE", 60.0)  # no beat comes to its help

        async def play() -> None:
            async with shared_storage.journal() as one, shared_storage.another() as other:
                await one.take_turn(PLACE)
                await asyncio.to_thread(shared_storage.rows, ENDED.format(await backend(one)))
                await asyncio.sleep(1)  # nothing is asked of its turns meanwhile
                waits = asyncio.create_task(other.take_turn(PLACE))
                await asyncio.sleep(0.3)
                assert not waits.done()
                one.give_turn_back(PLACE)
                async with asyncio.timeout(60):
                    await waits

        asyncio.run(play())

    def test_it_is_taken_again_as_soon_as_a_server_that_was_away_is_back(
        self, shared_storage: OnPostgres, postgres_server: postgres.Postgres
    ) -> None:
        async def play() -> None:
            async with shared_storage.journal() as one, shared_storage.another() as other:
                await one.take_turn(PLACE)
                await asyncio.to_thread(postgres_server.stop)
                await asyncio.sleep(0.5)
                await asyncio.to_thread(postgres_server.start)
                await asyncio.sleep(1)
                assert await eventually(other.writable)
                waits = asyncio.create_task(other.take_turn(PLACE))
                await asyncio.sleep(0.3)
                assert not waits.done()
                one.give_turn_back(PLACE)
                async with asyncio.timeout(60):
                    await waits

        asyncio.run(play())

    def test_one_that_another_has_by_then_is_told(self, shared_storage: OnPostgres) -> None:
        async def play() -> None:
            async with shared_storage.journal() as one, shared_storage.another() as other:
                await one.take_turn(PLACE)
                waits = asyncio.create_task(other.take_turn(PLACE))
                connected = one._turns._batches._connect

                async def late() -> Connection:
                    await waits
                    return await connected()

                async def told() -> bool:
                    return bool(logs)

                one._turns._batches._connect = late
                with capture_logs() as logs:
                    await asyncio.to_thread(shared_storage.rows, ENDED.format(await backend(one)))
                    await eventually(told)
                assert [(line["event"], line["target"]) for line in logs] == [("turn_lost", "store")]
                assert "patient" not in str(logs)
                one.give_turn_back(PLACE)  # which takes nothing from the other
                again = asyncio.create_task(one.take_turn(PLACE))
                await asyncio.sleep(0.3)
                assert not again.done()
                other.give_turn_back(PLACE)
                async with asyncio.timeout(60):
                    await again

        asyncio.run(play())
