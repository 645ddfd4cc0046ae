"""kill -9 under load: what the journal has answered is on disk, once. Source: `trust.md`, "Fault tests"."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from gateway.journal import Receipt, SqliteJournal

LOAD = Path(__file__).with_name("journal_load.py")
PATIENCE = 20.0

# How many are in flight, and after how many settled ones the process kills itself as it hears the answer (0: it is
# killed from outside, at a random moment).
KILLS = ((16, 0), (1, 7), (16, 0), (1, 40), (16, 0), (4, 90), (1, 1), (16, 0))


def run_and_kill(path: Path, told: Path, seed: int, chance: random.Random) -> list[list[str]]:
    """The lines that a process wrote until it was killed."""
    in_flight, last = KILLS[seed]
    with told.open("ab") as out:
        start = out.tell()
        arguments = [sys.executable, str(LOAD), str(path), str(seed), str(in_flight), str(last)]
        process = subprocess.Popen(arguments, stdout=out)
        try:
            if last:
                process.wait(PATIENCE)
            else:
                _wait_for_first(process, told, start)
                time.sleep(chance.uniform(0.1, 0.5))
                assert process.poll() is None, "the load ended by itself"
        finally:
            process.kill()
            process.wait()
    assert process.returncode == -signal.SIGKILL
    return [line.split() for line in told.read_bytes()[start:].decode().splitlines()]


def _wait_for_first(process: subprocess.Popen[bytes], told: Path, start: int) -> None:
    until = time.monotonic() + PATIENCE
    while told.stat().st_size == start:
        assert process.poll() is None, "the load ended by itself"
        assert time.monotonic() < until, "the load never began"
        time.sleep(0.01)


def test_what_was_answered_before_a_kill_is_found_once(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.db", tmp_path / "told"
    chance = random.Random(20260301)  # noqa: S311 - chance, no secret
    settled: dict[str, tuple[str, str]] = {}
    for seed in range(len(KILLS)):
        lines = run_and_kill(path, told, seed, chance)
        settled |= {receipt: (state, key) for word, receipt, state, key in (w for w in lines if w[0] == "settled")}
        asyncio.run(compare(path, settled, [words[1:] for words in lines if words[0] == "repeated"]))
    states = [state for state, _ in settled.values()]
    assert states.count("accepted") > 100
    assert states.count("refused") > 10


async def compare(path: Path, settled: dict[str, tuple[str, str]], repeated: list[list[str]]) -> None:
    """Hold what the journal has after a kill against what the killed process told."""
    async with SqliteJournal(path) as journal:
        found = await asyncio.gather(*(journal.find(receipt) for receipt in settled))
        for receipt, (receipt_id, (state, _)) in zip(found, settled.items(), strict=True):
            assert receipt is not None, f"{receipt_id} was acknowledged and is lost"
            _is_whole(receipt, state)
        for first, key in repeated:
            answered = await journal.find(first)
            assert answered is not None
            assert (answered.state, answered.control_id) == ("accepted", key)
    raw = sqlite3.connect(path)
    try:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        doubles = """SELECT key, count(*) FROM submission JOIN outcome ON outcome.submission = id
            WHERE state = 'accepted' GROUP BY key HAVING count(*) > 1"""
        assert raw.execute(doubles).fetchall() == []
        keys = """SELECT receipt FROM submission JOIN outcome ON outcome.submission = id WHERE state = 'accepted'
            UNION SELECT receipt FROM in_hand ORDER BY receipt"""
        assert raw.execute("SELECT receipt FROM submission_key ORDER BY receipt").fetchall() == (
            raw.execute(keys).fetchall()
        )
        audited = [what for (what,) in raw.execute("SELECT what FROM audit")]
        assert len(audited) == len(set(audited))
        assert settled.keys() <= set(audited)
    finally:
        raw.close()


def _is_whole(receipt: Receipt, state: str) -> None:
    """All that was settled together is there together."""
    assert receipt.state == state
    assert receipt.answer is not None
    assert receipt.answer.body == receipt.receipt.encode()
    assert [target.state for target in receipt.targets] == (["queued"] if state == "accepted" else [])
