"""Where a commit waits for the disk."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from gateway.journal.group_commit import GroupCommit
from gateway.journal.model import JournalUnavailable
from gateway.journal.pace import LONE, PROBE, QUICK, Pace

FAST, SLOW = QUICK / 10, QUICK * 10


def lone() -> Pace:
    pace = Pace()
    for _ in range(LONE):
        assert not pace.in_loop()
        pace.waited(1, FAST, others=False)
    return pace


def test_whoever_asks_alone_on_a_quick_disk_is_served_in_the_loop_but_for_a_probe_now_and_then() -> None:
    pace = lone()
    turns = [pace.in_loop() for _ in range(2 * PROBE)]
    assert turns.count(False) == 2


def test_somebody_who_waits_meanwhile_sends_all_to_the_thread_for_a_while() -> None:
    for operations, others in ((1, True), (2, False)):
        pace = lone()
        pace.waited(operations, FAST, others=others)
        for _ in range(LONE):
            assert not pace.in_loop()
            pace.waited(1, FAST, others=False)
        assert pace.in_loop()


def test_one_slow_commit_keeps_the_loop_free_until_many_were_quick() -> None:
    pace = lone()
    pace.took(SLOW)
    quick = 0
    while not pace.in_loop():
        pace.waited(1, FAST, others=False)
        quick += 1
        assert quick < 100
    assert quick > LONE


def test_a_slow_disk_is_never_waited_for_in_the_loop() -> None:
    pace = Pace()
    for _ in range(10 * LONE):
        assert not pace.in_loop()
        pace.waited(1, SLOW, others=False)


class Told(sqlite3.Connection):
    """A connection that says in which thread it commits."""

    threads: ClassVar[list[int]] = []

    def commit(self) -> None:
        self.threads.append(threading.get_ident())
        super().commit()


class Always(Pace):
    """One that would always commit in the loop."""

    def in_loop(self) -> bool:
        return True


def put(connection: sqlite3.Connection, n: int) -> int:
    connection.execute("INSERT INTO t VALUES (?)", (n,))
    return n


def test_a_commit_in_the_loop_is_as_durable_and_as_well_told_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    Told.threads.clear()

    def connect() -> sqlite3.Connection:
        found = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Told)
        found.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
        return found

    async def play() -> None:
        group = GroupCommit(connect, Always())
        group.start()
        assert await group.submit(partial(put, n=1)) == 1  # the file is opened in the thread
        done = group.submit(partial(put, n=2))
        assert done.done(), "it was handed over, and waits for a turn of the loop"
        with sqlite3.connect(path) as other:  # it is there for all before the answer is
            assert other.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]
        other.close()
        assert await done == 2
        again = await asyncio.gather(*(group.submit(partial(put, n=n)) for n in (1, 3, 4)), return_exceptions=True)
        assert [type(one) for one in again] == [sqlite3.IntegrityError, int, int]
        await group.stop()

    asyncio.run(play())
    own = threading.get_ident()
    assert [one == own for one in Told.threads] == [False, True, True, True, True]


def test_who_asks_alone_waits_for_a_file_that_another_process_has(tmp_path: Path) -> None:
    path = tmp_path / "t.db"

    def connect() -> sqlite3.Connection:
        found = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        found.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
        return found

    async def play() -> None:
        group = GroupCommit(connect, Always())
        group.start()
        assert await group.submit(partial(put, n=1)) == 1
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waits = group.submit(partial(put, n=2))
        await asyncio.sleep(0.02)
        assert not waits.done()
        other.execute("COMMIT")
        other.close()
        assert await waits == 2
        await group.stop()

    asyncio.run(play())


def test_storage_that_fails_in_the_loop_is_told_and_opened_anew(tmp_path: Path) -> None:
    path, opened = tmp_path / "t.db", list[sqlite3.Connection]()

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        return opened[-1]

    def fail(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async def play() -> None:
        group = GroupCommit(connect, Always())
        group.start()
        assert await group.submit(lambda _: 1) == 1
        with pytest.raises(JournalUnavailable, match="disk is full"):
            await group.submit(fail)
        with pytest.raises(sqlite3.ProgrammingError):
            opened[0].execute("SELECT 1")  # closed, with what was left of the transaction
        assert await group.submit(lambda _: 2) == 2
        await group.stop()

    asyncio.run(play())
    assert len(opened) == 2
