"""Operations that share a commit, and those that read; failures of the storage, and of one operation."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import JournalUnavailable
from gateway.journal.group_commit import GroupCommit, together
from gateway.journal.operation import tried
from gateway.journal.reading import Reading


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
    return connection


def put(connection: sqlite3.Connection, n: int) -> int:
    connection.execute("INSERT INTO t VALUES (?)", (n,))
    return n


def put_and_fail(connection: sqlite3.Connection, n: int) -> None:
    put(connection, n)
    raise LookupError("no such thing")


def full(connection: sqlite3.Connection) -> None:
    put(connection, 999)
    raise sqlite3.OperationalError("database or disk is full")


def stored(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    rows = [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]
    connection.close()
    return rows


def played(group: GroupCommit, play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        group.start()
        try:
            await play()
        finally:
            await group.stop()

    asyncio.run(whole())


def test_one_failing_operation_does_not_fail_those_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    connection = connect(path)
    connection.execute("BEGIN IMMEDIATE")
    results = together(connection, [
        partial(put, n=1), partial(put_and_fail, n=2), partial(put, n=1), partial(put, n=3),
    ])  # fmt: skip
    assert [value for value, _ in results] == [1, None, None, 3]
    assert [type(error) for _, error in results] == [type(None), LookupError, sqlite3.IntegrityError, type(None)]
    connection.commit()
    connection.close()
    assert stored(path) == [1, 3]


def test_nothing_is_stored_of_a_batch_whose_storage_failed_and_the_next_goes_well(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    group = GroupCommit(partial(connect, path))

    async def play() -> None:
        results = await asyncio.gather(
            group.submit(partial(put, n=1)), group.submit(full), group.submit(partial(put, n=2)), return_exceptions=True
        )
        assert isinstance(results[1], JournalUnavailable)
        assert "disk is full" in str(results[1])
        # whichever shared the failing transaction failed with it, whichever did not is stored
        kept = [n for n, result in zip((1, 2), (results[0], results[2]), strict=True) if result == n]
        assert stored(path) == kept
        assert await group.submit(partial(put, n=3)) == 3

    played(group, play)


class Failing(sqlite3.Connection):
    """A connection to a disk that takes everything and keeps nothing."""

    def commit(self) -> None:
        raise sqlite3.OperationalError("disk I/O error")


def test_a_commit_that_fails_is_told_to_all_of_its_batch(tmp_path: Path) -> None:
    """Whoever is answered is stored: a future is resolved after the COMMIT, not before."""
    path = tmp_path / "t.db"
    connect(path).close()
    kinds: list[type[sqlite3.Connection]] = [Failing, sqlite3.Connection]
    group = GroupCommit(
        lambda: sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=kinds.pop(0))
    )

    async def play() -> None:
        futures = [group.submit(partial(put, n=n)) for n in range(5)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(result, JournalUnavailable) for result in results)
        assert len({id(result) for result in results}) == 5
        assert stored(path) == []
        assert await group.submit(partial(put, n=7)) == 7

    played(group, play)
    assert stored(path) == [7]


def test_a_file_that_another_process_has_is_waited_for_while_the_loop_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    connection = connect(path)
    connection.execute("PRAGMA busy_timeout=0")
    group = GroupCommit(lambda: connection)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def play() -> None:
        stored_later = group.submit(partial(put, n=1))
        for _ in range(20):
            await asyncio.sleep(0.01)  # returns, though the file can't be had
        assert not stored_later.done()
        other.execute("COMMIT")
        assert await stored_later == 1

    played(group, play)
    other.close()
    assert stored(path) == [1]


def test_what_waits_together_shares_a_transaction(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    begun: list[str] = []

    def watched() -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
        return connection

    group = GroupCommit(watched)

    async def play() -> None:
        await asyncio.gather(*(group.submit(partial(put, n=n)) for n in range(32)))

    played(group, play)
    assert begun == ["BEGIN IMMEDIATE"]


def test_the_connection_is_opened_again_after_it_could_not_be(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    failures = [sqlite3.OperationalError("unable to open"), OSError("no space"), JournalUnavailable("later schema")]

    def failing() -> sqlite3.Connection:
        if failures:
            raise failures.pop(0)
        return connect(path)

    group = GroupCommit(failing)

    async def play() -> None:
        for words in ("unable to open", "no space", "later schema"):
            with pytest.raises(JournalUnavailable, match=words):
                await group.submit(partial(put, n=1))
        assert await group.submit(partial(put, n=1)) == 1

    played(group, play)


def test_what_was_handed_over_is_finished_before_it_stops(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    group = GroupCommit(partial(connect, path))

    async def play() -> None:
        futures = [group.submit(partial(put, n=n)) for n in range(600)]  # more than the largest batch
        futures[5].cancel()
        await group.stop()
        await group.stop()
        assert [future.result() for future in futures if not future.cancelled()] == [n for n in range(600) if n != 5]

    played(group, play)
    assert stored(path) == list(range(600))  # cancelling awaits nothing more, it undoes nothing


def test_one_that_never_opened_a_connection_stops_and_takes_nothing_more(tmp_path: Path) -> None:
    group = GroupCommit(partial(connect, tmp_path / "t.db"))

    async def play() -> None:
        await group.stop()
        with pytest.raises(JournalUnavailable, match="not open"):
            group.submit(partial(put, n=1))

    played(group, play)
    assert not (tmp_path / "t.db").exists()


@pytest.mark.parametrize("short", [True, False], ids=["at once", "in a thread"])
def test_a_read_whose_storage_fails_is_tried_afresh_the_next_time(tmp_path: Path, *, short: bool) -> None:
    path = tmp_path / "t.db"
    reading = Reading(lambda: sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, check_same_thread=False))

    def count(connection: sqlite3.Connection) -> int:
        (found,) = connection.execute("SELECT count(*) FROM t").fetchone()
        return int(found)

    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT ?", (object(),))

    async def asked(operation: Callable[[sqlite3.Connection], Any]) -> Any:
        return reading.at_once(operation) if short else await reading.in_thread(operation)

    async def play() -> None:
        with pytest.raises(JournalUnavailable, match="not open"):
            await asked(count)
        reading.start()
        with pytest.raises(JournalUnavailable, match="unable to open"):
            await asked(count)
        connection = connect(path)
        put(connection, 1)
        connection.close()
        assert await asked(count) == 1
        with pytest.raises(sqlite3.ProgrammingError):
            await asked(wrong)
        assert await asked(count) == 1
        await reading.stop()
        await reading.stop()

    asyncio.run(play())


def test_a_damaged_file_is_the_storage_and_a_wrong_value_is_not() -> None:
    connection = sqlite3.connect(":memory:")

    def damaged(_: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    def wrong(_: sqlite3.Connection) -> None:
        raise sqlite3.ProgrammingError("type not supported")

    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        tried(connection, damaged)
    value, error = tried(connection, wrong)
    assert value is None
    assert isinstance(error, sqlite3.ProgrammingError)
    connection.close()
