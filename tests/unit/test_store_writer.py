"""Group commit: what waits together is committed together, and acknowledged only then."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.upstream.store import writer as module
from gateway.upstream.store.writer import Unwritable, Writer


class Watched(sqlite3.Connection):
    """A connection that counts its commits and can be told to fail one."""

    commits = 0
    broken = False
    takes = 0.0

    def commit(self) -> None:
        if self.broken:
            raise sqlite3.OperationalError("database or disk is full")
        time.sleep(self.takes)
        self.commits += 1
        super().commit()


class Bench:
    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=Watched, timeout=0
        )
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
        self.other = sqlite3.connect(path, isolation_level=None)
        self.calls: list[str] = []
        self.writer = Writer(
            self.connection,
            before=lambda: self.calls.append("before"),
            after=lambda: self.calls.append("after"),
            undone=lambda: self.calls.append("undone"),
        )

    def add(self, number: int) -> Callable[[], int]:
        def work() -> int:
            self.connection.execute("INSERT INTO t VALUES (?)", (number,))
            return number

        return work

    def stored(self) -> list[int]:
        """What another connection sees: committed rows alone."""
        return [row[0] for row in self.other.execute("SELECT n FROM t ORDER BY n")]


def bench(path: Path, test: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        found = Bench(path / "t.db")
        await test(found)
        await found.writer.aclose()
        found.other.close()

    asyncio.run(run())


def test_works_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        assert await asyncio.gather(*(b.writer.submit(b.add(n)) for n in range(20))) == list(range(20))
        assert b.connection.commits == 1
        assert b.stored() == list(range(20))
        assert b.calls == ["before", "after"]

    bench(tmp_path, test)


def test_a_group_has_a_limit(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        await asyncio.gather(*(b.writer.submit(b.add(n)) for n in range(module.GROUP + 1)))
        assert b.connection.commits == 2

    bench(tmp_path, test)


def test_where_several_write_a_group_waits_for_more_and_who_writes_alone_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE", 10.0)

    async def one_then_another(b: Bench, first: int) -> None:
        one = b.writer.hand_over(b.add(first))
        for _ in range(20):  # turns of the loop in which a group without a pause would begin
            await asyncio.sleep(0)
        await asyncio.gather(one, b.writer.hand_over(b.add(first + 1)))

    async def test(b: Bench) -> None:
        b.connection.takes = 0.3
        await one_then_another(b, 0)
        assert b.connection.commits == 2
        await asyncio.gather(*(b.writer.submit(b.add(n)) for n in range(2, 5)))
        assert b.connection.commits == 3
        await one_then_another(b, 5)
        assert b.connection.commits == 4
        await b.writer.submit(b.add(7))
        await one_then_another(b, 8)
        assert b.connection.commits == 7
        assert b.stored() == list(range(10))

    bench(tmp_path, test)


def test_a_group_that_is_large_enough_waits_for_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE", 3600.0)

    async def test(b: Bench) -> None:
        b.writer._pause = 3600.0
        async with asyncio.timeout(30):
            await asyncio.gather(*(b.writer.submit(b.add(n)) for n in range(module.ENOUGH)))

    bench(tmp_path, test)


def test_a_result_is_given_only_after_the_commit(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        async def one(number: int) -> None:
            await b.writer.submit(b.add(number))
            assert number in b.stored()

        await asyncio.gather(*(one(n) for n in range(100)))

    bench(tmp_path, test)


def test_a_work_that_fails_before_it_writes_leaves_the_group_as_it_is(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        def bad() -> int:
            raise LookupError("not this one")

        found = await asyncio.gather(*(b.writer.submit(w) for w in (b.add(1), bad, b.add(2))), return_exceptions=True)
        assert [found[0], found[2]] == [1, 2]
        assert isinstance(found[1], LookupError)
        assert b.stored() == [1, 2]
        assert b.calls == ["before", "undone", "after"]

    bench(tmp_path, test)


def test_a_work_that_fails_half_way_is_undone_alone(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        def half() -> int:
            b.add(7)()
            raise LookupError("half-way")

        found = await asyncio.gather(*(b.writer.submit(w) for w in (b.add(1), half, b.add(2))), return_exceptions=True)
        assert [found[0], found[2]] == [1, 2]
        assert isinstance(found[1], LookupError)
        assert b.stored() == [1, 2]
        with pytest.raises(LookupError):
            await b.writer.submit(half)
        assert b.stored() == [1, 2]

    bench(tmp_path, test)


def test_a_disk_that_can_not_be_written_refuses_the_group_and_recovers(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        b.connection.broken = True
        found = await asyncio.gather(*(b.writer.submit(b.add(n)) for n in range(2)), return_exceptions=True)
        assert [type(error) for error in found] == [Unwritable, Unwritable]
        assert b.stored() == []
        b.connection.broken = False
        assert await b.writer.submit(b.add(1)) == 1
        assert b.stored() == [1]

        def broken() -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        with pytest.raises(Unwritable):
            await b.writer.submit(broken)

    bench(tmp_path, test)


def test_a_fault_of_the_program_reaches_those_who_wait(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        class Once(list[str]):
            def append(self, call: str) -> None:
                if call == "after" and call not in self:
                    super().append(call)
                    raise LookupError("before the commit")
                super().append(call)

        b.calls = Once()
        with pytest.raises(LookupError):
            await b.writer.submit(b.add(1))
        assert b.stored() == []
        assert await b.writer.submit(b.add(2)) == 2
        assert b.calls == ["before", "after", "undone", "before", "after"]

    bench(tmp_path, test)


def test_another_process_that_writes_is_waited_for(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        b.other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(b.writer.submit(b.add(1)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        b.other.execute("COMMIT")
        assert await waiting == 1

    bench(tmp_path, test)


def test_another_process_that_never_ends_is_not_waited_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.02)

    async def test(b: Bench) -> None:
        b.other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unwritable):
            await b.writer.submit(b.add(1))
        b.other.execute("ROLLBACK")

    bench(tmp_path, test)


def test_who_stops_waiting_does_not_stop_the_work(tmp_path: Path) -> None:
    async def test(b: Bench) -> None:
        waiting = asyncio.create_task(b.writer.submit(b.add(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        assert await b.writer.submit(b.add(2)) == 2
        assert b.stored() == [1, 2]

    bench(tmp_path, test)
