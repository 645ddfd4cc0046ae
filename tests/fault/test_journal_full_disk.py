"""A full disk: nothing is acknowledged falsely, and the journal recovers without a restart. Source: `trust.md`."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

from gateway.journal import SqliteJournal

FULL_DISK = Path(__file__).with_name("journal_full_disk.py")


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "data" / "journal.db"
    done = subprocess.run([sys.executable, str(FULL_DISK), str(path)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    acknowledged = done.stdout.decode().split()
    assert len(acknowledged) > 10

    async def found() -> list[str]:
        async with SqliteJournal(path) as journal:
            receipts = await asyncio.gather(*(journal.find(receipt) for receipt in acknowledged))
            return [receipt.state for receipt in receipts if receipt is not None]

    assert asyncio.run(found()) == ["accepted"] * len(acknowledged)
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    raw.close()
