"""A journal at a command line's hand, beside a gateway or without one, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.config import Settings
from gateway.journal import Journal, JournalUnavailable, browsing, desks, purging, sqlite_schema
from gateway.journal.key_check import checked
from gateway.journal.key_file import keys_of, new_key
from gateway.journal.lock import InUse
from gateway.journal.looking import check_keys
from gateway.journal.purging import Over
from gateway.journal.sealed import Unsealable
from gateway.journal.sought import Sought
from gateway.journal.steps import Statement, Steps, among, numbered
from tests.journal_rows import DAY, NOON, accepted, refused, submission
from tests.journals import OnPostgres, OnSqlite, Storage, played


@pytest.fixture
def settings(storage: Storage, tmp_path: Path) -> Settings:
    where: dict[str, Any] = {"journal": storage.address} if isinstance(storage, OnPostgres) else {}
    return Settings(data=tmp_path / "data", **where)


async def one(journal: Any) -> None:
    await journal.claim(submission("r1"))
    await journal.settle("r1", accepted("r1"))


def counted(settings: Settings) -> int:
    with desks.reading(settings) as desk:
        return desk.read(partial(browsing.count, Sought()))


def test_it_reads_beside_a_gateway_and_without_one(storage: Storage, settings: Settings) -> None:
    async def play(journal: Any) -> int:
        await one(journal)
        return await asyncio.to_thread(counted, settings)

    assert played(storage, play) == 1
    assert counted(settings) == 1


def test_it_knows_whether_a_gateway_uses_the_journal(storage: Storage, settings: Settings) -> None:
    def alone() -> bool:
        with desks.writing(settings) as desk:
            return desk.alone

    assert played(storage, lambda journal: asyncio.to_thread(alone)) is False  # noqa: ARG005 - open is enough
    assert alone() is True


def test_what_it_writes_beside_a_gateway_is_there_for_both(storage: Storage, settings: Settings) -> None:
    def purged() -> tuple[str, ...]:
        with desks.writing(settings) as desk:
            over = Over("emergency-care", "accepted", NOON + DAY)
            return desk.change(partial(purging.purge, over, NOON + 10 * DAY))

    async def play(journal: Any) -> None:
        await one(journal)
        assert await asyncio.to_thread(purged) == ("r1",)
        found = await journal.find("r1")
        assert found.purged == (NOON + 10 * DAY).isoformat()
        await journal.record(submission("r2"), refused())

    played(storage, play)
    assert counted(settings) == 2


def test_a_transaction_that_fails_changes_nothing(storage: Storage, settings: Settings) -> None:
    def fails() -> Steps[None]:
        yield Statement("DELETE FROM submission")
        yield Statement("DELETE FROM no_such_table")

    played(storage, one)
    with desks.writing(settings) as desk:
        with pytest.raises(Exception, match="no_such_table"):
            desk.change(fails)
        assert desk.read(partial(browsing.count, Sought())) == 1


def test_while_it_is_alone_with_a_file_no_gateway_starts(tmp_path: Path) -> None:
    storage = OnSqlite(tmp_path / "data" / "journal.db")
    played(storage, one)
    with desks.writing(Settings(data=tmp_path / "data")) as desk:
        assert desk.alone
        with pytest.raises(InUse):
            played(storage, one)


def test_a_journal_that_is_not_there_is_told(tmp_path: Path) -> None:
    for opened in (desks.reading, desks.writing):
        with pytest.raises(JournalUnavailable, match="there is no journal at"), opened(Settings(data=tmp_path)):
            pass
    assert list(tmp_path.iterdir()) == []


def test_the_tools_change_no_schema(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    played(OnSqlite(path), one)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DELETE FROM schema_version WHERE version = ?", (len(sqlite_schema.MIGRATIONS),))
    with pytest.raises(JournalUnavailable, match="start the gateway of this one first"), desks.reading(
        Settings(data=tmp_path)
    ):  # fmt: skip
        pass


def test_a_gateway_waits_while_the_tools_write(tmp_path: Path) -> None:
    storage = OnSqlite(tmp_path / "data" / "journal.db")
    written, done = threading.Event(), threading.Event()

    def slow() -> Steps[None]:
        yield Statement("UPDATE submission SET purged = NULL")
        written.set()
        assert done.wait(60)

    def hold() -> None:
        with desks.writing(Settings(data=tmp_path / "data")) as desk:
            desk.change(slow)

    async def play(journal: Any) -> None:
        await one(journal)
        holding = asyncio.create_task(asyncio.to_thread(hold))
        assert await asyncio.to_thread(written.wait, 60)
        recording = asyncio.create_task(journal.record(submission("r2"), refused()))
        await asyncio.sleep(0.05)
        assert not recording.done()
        done.set()
        await asyncio.gather(holding, recording)

    played(storage, play)


def test_a_key_that_is_missing_is_told_before_anything_is_served(storage: Storage, settings: Settings) -> None:
    check_keys(settings)  # there is no journal yet
    key, words = new_key()

    async def play(below: Journal) -> None:
        await below.change(lambda: checked((key,)))

    played(storage, play)
    with pytest.raises(Unsealable, match=f"sealed with key {key.name}, and no key is given"):
        check_keys(settings)
    with pytest.raises(Unsealable, match=f"sealed with key {key.name}, and the keys given are"):
        check_keys(settings.model_copy(update={"journal_keys": SecretStr(new_key()[1])}))
    check_keys(settings.model_copy(update={"journal_keys": SecretStr(f"{new_key()[1]} {words}")}))


def test_keys_come_from_one_place_that_can_be_read(tmp_path: Path) -> None:
    words = new_key()[1]
    (tmp_path / "keys").write_text(words)
    assert keys_of(tmp_path, Path("keys"), "") == keys_of(tmp_path, None, words)
    assert keys_of(tmp_path, None, " ") == ()
    (tmp_path / "bad").write_text("x")
    for file, said, told in (
        (Path("keys"), words, "both given"),
        (Path("none"), "", "journal_key_file .*none can't be read"),
        (Path("bad"), "", "journal_key_file .*bad: key 1 is not in base64"),
        (None, "x", "journal_keys: key 1 is not in base64"),
    ):
        with pytest.raises(Unsealable, match=told):
            keys_of(tmp_path, file, said)


def test_statements_are_numbered_for_postgresql_and_made_for_several_values() -> None:
    assert numbered("SELECT ? WHERE a = ? AND b = ?") == "SELECT $1 WHERE a = $2 AND b = $3"
    assert numbered("SELECT 1") == "SELECT 1"
    made = among("UPDATE t SET a = ? WHERE id IN (*)", [1, 2, 3], "x")
    assert made == Statement("UPDATE t SET a = ? WHERE id IN (?, ?, ?)", ("x", 1, 2, 3))


def test_what_was_stored_before_the_tools_is_found_by_them(tmp_path: Path) -> None:
    """Migration 4 finds the rules that decided in the audit."""
    path = tmp_path / "journal.db"
    receipt = "3f2b1c52-9f0e-4f1c-8a54-0123456789ab"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for statements in sqlite_schema.MIGRATIONS[:3]:
            for statement in statements:
                raw.execute(statement)
        raw.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY) STRICT")
        raw.executemany("INSERT INTO schema_version VALUES (?)", [(1,), (2,), (3,)])
        raw.execute(
            """INSERT INTO submission (receipt, received, principal, organisation, domain, data_type, type, control_id,
            body_hash, rules, window, body)
            VALUES (?, ?, 'p', 'R0D', 'd', 'Hl7v2', 'ADT^A01', '1', 'x', 'x', 1, x'00')""",
            (receipt, NOON.isoformat()),
        )
        raw.execute("INSERT INTO outcome (submission, state) VALUES (1, 'refused')")
        raw.execute(
            """INSERT INTO audit (instant, at, principal, action, what, rules, outcome, digest)
            VALUES (1, '', 'p', 'ingest', ?, '["EC-C1"]', 'failed', '')""",
            (f"d R0D Hl7v2 ADT^A01 receipt {receipt}",),
        )
    with closing(sqlite_schema.connect(path)), desks.reading(Settings(data=tmp_path)) as desk:
        (line,) = desk.read(partial(browsing.lines, Sought(rule="EC-C1"), 9))
    assert (line.receipt, line.rules, line.purged) == (receipt, ("EC-C1",), None)
