"""PostgreSQL's own disk full: nothing is acknowledged falsely or lost, and the gateway goes on without a restart.

The database stands on a small file system in memory, which a file fills and leaves again; where none can be mounted the
test is skipped. PostgreSQL refuses what needs a larger table, and stops and recovers by itself where it can't write its
log. Source: `trust.md` of the design, "Journal"; PostgreSQL 15, "Disk Full Failure" and "WAL Internals".
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.journal import JournalUnavailable, PostgresJournal
from tests.fault.journal_full_disk import accepted, send, submission
from tests.journals import OnPostgres
from tests.peers import NotHere
from tests.postgres import postgres

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

SIZE = "160m"
ROUNDS = 3
WITHIN = 60.0


@pytest.fixture
def small() -> Iterator[Path]:
    """A file system of its own, with little room, that the server's account may enter."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-small-"))
    folder.chmod(0o755)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=1777", "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def fill(file: Path) -> None:
    """Take all the room that is left."""
    piece = b"\0" * 65536
    with file.open("wb", buffering=0) as ballast:
        while piece:
            try:
                ballast.write(piece)
            except OSError:
                piece = piece[: len(piece) // 2]


async def acknowledged(journal: PostgresJournal, keys: list[str]) -> tuple[list[str], int]:
    """Receipts of what was acknowledged, and how many were refused."""
    found = await asyncio.gather(*(send(journal, key) for key in keys), return_exceptions=True)
    assert all(isinstance(one, str | JournalUnavailable) for one in found), found
    taken = [one for one in found if isinstance(one, str)]
    return taken, len(found) - len(taken)


async def until_refused(journal: PostgresJournal, first: str) -> list[str]:
    """Write until nothing is taken any more; what was taken."""
    taken: list[str] = []
    for number in range(400):
        more, refused = await acknowledged(journal, [f"{first}-{number}-{n}" for n in range(8)])
        taken += more
        if refused == 8:
            return taken
    raise AssertionError("the disk never was full")


async def again(journal: PostgresJournal, key: str) -> str:
    """Send until it is taken."""
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                return await send(journal, key)
            except JournalUnavailable:
                await asyncio.sleep(0.2)


async def play(storage: OnPostgres, small: Path) -> list[str]:
    ballast = small / "ballast"
    async with storage.journal() as journal:
        taken = [await send(journal, "before")]
        for number in range(ROUNDS):
            fill(ballast)
            taken += await until_refused(journal, f"full-{number}")
            with pytest.raises(JournalUnavailable):
                await journal.claim(submission(f"later-{number}"))
            ballast.unlink()
            taken.append(await again(journal, f"later-{number}"))
        in_hand = submission("in hand")
        await journal.claim(in_hand)
        await journal.settle(in_hand.receipt, accepted(in_hand.receipt))
        return [*taken, in_hand.receipt]


def test_a_full_disk_below_the_database_refuses_and_recovers(small: Path, tmp_path: Path) -> None:
    try:
        with postgres("wal_recycle=off", "max_wal_size=32MB", "min_wal_size=32MB", folder=small) as server:
            storage = OnPostgres(server.database(), tmp_path / "gateway")
            taken = asyncio.run(play(storage, small))
            stored = {receipt for (receipt,) in storage.rows(
                "SELECT receipt FROM submission JOIN outcome ON outcome.submission = submission.id"
            )}  # fmt: skip
            assert len(taken) == len(set(taken))
            assert set(taken) <= stored
    except NotHere as missing:
        pytest.skip(str(missing))
