"""What holds of the journal's file alone; `test_journal.py` holds the rest, on every storage."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.journal import (
    Fresh,
    Journal,
    JournalUnavailable,
    SqliteJournal,
    Submission,
    sqlite_schema,
    sqlite_statements,
)
from tests.journal_rows import NOON, accepted, audit_row, submission

T = TypeVar("T")


def played(path: Path, play: Callable[[Journal], Awaitable[T]]) -> T:
    """What `play` answers on a journal that is opened for it and closed after it."""

    async def whole() -> T:
        async with SqliteJournal(path) as journal:
            return await play(journal)

    return asyncio.run(whole())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


class TestFile:
    def test_only_the_owner_may_read_it(self, path: Path) -> None:
        async def play(journal: Journal) -> list[int]:
            assert await journal.writable()
            return [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()]

        assert set(played(path, play)) == {0o600}

    def test_the_schema_has_its_version(self, path: Path) -> None:
        played(path, lambda journal: journal.writable())
        raw = sqlite3.connect(path)
        assert raw.execute("SELECT max(version) FROM schema_version").fetchone() == (len(sqlite_schema.MIGRATIONS),)
        raw.execute("INSERT INTO schema_version VALUES (99)")
        raw.commit()
        raw.close()
        with pytest.raises(JournalUnavailable, match="written by a later gateway"):
            played(path, lambda journal: journal.writable())

    def test_a_commit_waits_for_the_disk(self, path: Path) -> None:
        connection = sqlite_schema.connect(path)
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
            journal = SqliteJournal(path)
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


class TestCrash:
    def test_what_is_being_settled_while_it_is_looked_for_is_not_left_over(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read, answer_it = threading.Event(), threading.Event()
        look = sqlite_statements.unfinished

        def answered_late(connection: sqlite3.Connection) -> tuple[Submission, ...]:
            left = look(connection)
            read.set()
            answer_it.wait(60)
            return left

        monkeypatch.setattr(sqlite_statements, "unfinished", answered_late)

        async def play(journal: Journal) -> None:
            await journal.claim(submission("r1"))
            looking = asyncio.create_task(journal.unfinished())
            assert await asyncio.to_thread(read.wait, 60)
            await journal.settle("r1", accepted("r1"))
            answer_it.set()
            assert await looking == ()

        played(path, play)


class TestAudit:
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE audit SET outcome = 'permit'",
            "DELETE FROM audit",
            "INSERT OR REPLACE INTO audit SELECT * FROM audit",
            """REPLACE INTO audit (id, instant, at, principal, user, purpose, action, what, rules, outcome, digest)
            SELECT id, instant, at, 'x', user, '', action, what, rules, outcome, '' FROM audit""",
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
