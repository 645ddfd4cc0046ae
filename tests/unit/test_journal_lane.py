"""The lane: operations in batches on one thread; failures of the storage, and of one operation."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import JournalUnavailable
from gateway.journal.lane import Lane, Operation, Result, commit_together, read_each


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
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


def on_lane(lane: Lane, play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        lane.start()
        try:
            await play()
        finally:
            await lane.stop()

    asyncio.run(whole())


def test_one_failing_operation_does_not_fail_those_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    connection = connect(path)
    results = commit_together(connection, [
        partial(put, n=1), partial(put_and_fail, n=2), partial(put, n=1), partial(put, n=3),
    ])  # fmt: skip
    assert [value for value, _ in results] == [1, None, None, 3]
    assert [type(error) for _, error in results] == [type(None), LookupError, sqlite3.IntegrityError, type(None)]
    connection.close()
    assert stored(path) == [1, 3]


def test_nothing_is_stored_of_a_batch_whose_storage_failed_and_the_next_goes_well(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    lane = Lane("test", partial(connect, path), commit_together)

    async def play() -> None:
        results = await asyncio.gather(
            lane.submit(partial(put, n=1)), lane.submit(full), lane.submit(partial(put, n=2)), return_exceptions=True
        )
        assert isinstance(results[1], JournalUnavailable)
        assert "disk is full" in str(results[1])
        # whichever shared the failing transaction failed with it, whichever did not is stored
        kept = [n for n, result in zip((1, 2), (results[0], results[2]), strict=True) if result == n]
        assert stored(path) == kept
        assert await lane.submit(partial(put, n=3)) == 3

    on_lane(lane, play)


def test_a_commit_that_fails_is_told_to_all_of_its_batch(tmp_path: Path) -> None:
    """Whoever is answered is stored: a future is resolved after the COMMIT, not before."""
    path = tmp_path / "t.db"
    batches = []

    def run(connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> list[Result]:
        batches.append(len(operations))
        results = read_each(connection, operations)
        raise sqlite3.OperationalError(f"disk I/O error after {len(results)}")

    lane = Lane("test", partial(connect, path), run)

    async def play() -> None:
        futures = [lane.submit(partial(put, n=n)) for n in range(5)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(result, JournalUnavailable) for result in results)
        assert len({id(result) for result in results}) == 5

    on_lane(lane, play)
    assert sum(batches) == 5


def test_the_connection_is_opened_again_after_it_could_not_be(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    failures = [sqlite3.OperationalError("unable to open"), OSError("no space"), JournalUnavailable("later schema")]

    def failing() -> sqlite3.Connection:
        if failures:
            raise failures.pop(0)
        return connect(path)

    lane = Lane("test", failing, commit_together)

    async def play() -> None:
        for words in ("unable to open", "no space", "later schema"):
            with pytest.raises(JournalUnavailable, match=words):
                await lane.submit(partial(put, n=1))
        assert await lane.submit(partial(put, n=1)) == 1

    on_lane(lane, play)


def test_what_was_handed_over_is_finished_before_the_lane_stops(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    lane = Lane("test", partial(connect, path), commit_together)

    async def play() -> None:
        futures = [lane.submit(partial(put, n=n)) for n in range(600)]  # more than the largest batch
        futures[5].cancel()
        await lane.stop()
        await lane.stop()
        assert [future.result() for future in futures if not future.cancelled()] == [n for n in range(600) if n != 5]

    on_lane(lane, play)
    assert stored(path) == list(range(600))  # cancelling awaits nothing more, it undoes nothing


def test_a_loop_that_is_gone_does_not_stop_the_lane(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    lane = Lane("test", partial(connect, path), commit_together)
    lane.start()

    async def leave() -> None:
        for n in range(200):
            lane.submit(partial(put, n=n))

    async def stay() -> None:
        assert await lane.submit(partial(put, n=200)) == 200
        await lane.stop()

    asyncio.run(leave())
    asyncio.run(stay())
    assert stored(path) == list(range(201))


def test_a_lane_that_never_opened_a_connection_stops(tmp_path: Path) -> None:
    lane = Lane("test", partial(connect, tmp_path / "t.db"), read_each)

    async def play() -> None:
        await asyncio.sleep(0)

    on_lane(lane, play)


def test_a_damaged_file_is_the_storage_and_a_wrong_value_is_not() -> None:
    connection = sqlite3.connect(":memory:")

    def damaged(_: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    def wrong(_: sqlite3.Connection) -> None:
        raise sqlite3.ProgrammingError("type not supported")

    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        read_each(connection, [damaged])
    ((value, error),) = read_each(connection, [wrong])
    assert value is None
    assert isinstance(error, sqlite3.ProgrammingError)
    connection.close()
