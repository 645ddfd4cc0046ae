"""One gateway to a journal: a second one is refused, and a killed one leaves nothing in the way."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.journal import JournalUnavailable, SqliteJournal

WORDS = "another gateway uses this data folder: stop it, or give this one a folder of its own"
HOLD = """
import asyncio, pathlib, sys
from gateway.journal import SqliteJournal
async def hold():
    async with SqliteJournal(pathlib.Path(sys.argv[1])):
        print("open", flush=True)
        await asyncio.sleep(600)
asyncio.run(hold())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


def test_a_second_journal_on_one_file_is_refused_until_the_first_closes(path: Path) -> None:
    async def run() -> None:
        async with SqliteJournal(path) as first:
            second = SqliteJournal(path)
            with pytest.raises(JournalUnavailable) as refused:
                await second.open()
            assert str(refused.value) == WORDS
            await second.close()
            assert await first.writable()
            with pytest.raises(JournalUnavailable):  # closing the refused one gave nothing away
                await SqliteJournal(path).open()
        async with SqliteJournal(path) as third:
            assert await third.writable()

    asyncio.run(run())


def test_another_process_is_refused_and_a_kill_frees_the_file(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "open\n"
            with pytest.raises(JournalUnavailable, match="another gateway"):
                asyncio.run(SqliteJournal(path).open())
        finally:
            other.kill()
        assert other.wait(60) == -signal.SIGKILL

    async def run() -> bool:
        async with SqliteJournal(path) as journal:
            return await journal.writable()

    assert asyncio.run(run())


def test_a_journal_that_could_not_be_opened_holds_nothing(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(JournalUnavailable, match="storage fails"):
        asyncio.run(SqliteJournal(path).open())
    path.rmdir()

    async def run() -> bool:
        async with SqliteJournal(path) as journal:
            return await journal.writable()

    assert asyncio.run(run())


def test_a_lock_that_can_not_be_made_is_storage_that_fails(path: Path) -> None:
    path.with_name("journal.db.lock").mkdir(parents=True)
    with pytest.raises(JournalUnavailable, match="storage fails"):
        asyncio.run(SqliteJournal(path).open())


def test_the_lock_stands_beside_the_file_for_its_owner_alone(path: Path) -> None:
    async def run() -> None:
        async with SqliteJournal(path):
            assert stat.S_IMODE(path.with_name("journal.db.lock").stat().st_mode) == 0o600

    asyncio.run(run())
