"""A process that journals submissions under load until it is killed; `test_journal_kill.py` starts it.

Arguments: the journal's file, a seed, how many are in flight, and after how many settled ones it kills itself, at the
very moment of the answer (0: never). Each line that it writes is told after the journal has answered:
`settled RECEIPT STATE KEY`, `repeated RECEIPT KEY` (the receipt of the first).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from gateway.journal import Answer, AuditRow, Fresh, Journal, Outcome, Repeat, SqliteJournal, Submission, TargetState

KEYS = 100
NOW = datetime(2026, 3, 1, tzinfo=UTC).isoformat()


def say(*words: str) -> None:
    """One line in one write, so that a kill doesn't cut it."""
    os.write(1, (" ".join(words) + "\n").encode())


def submission(key: str) -> Submission:
    return Submission(
        str(uuid.uuid4()), NOW, "demo-engine", None, None, "R0D", "emergency-care", "Hl7v2", None, "ADT^A01", key, key,
        f"hash of {key}", b"MSH|" + key.encode() * 200, "d", timedelta(days=7),
    )  # fmt: skip


def outcome(receipt: str, key: str, *, accepted: bool) -> Outcome:
    audit = AuditRow(NOW, "demo-engine", None, None, "send", receipt, ("EC-P1",), "permit", "d")
    target = TargetState("store", "queued", b"payload of " + receipt.encode(), key, None, "down")
    good = Outcome("accepted", accepted=True, answer=Answer(200, "text/plain", receipt.encode(), None),
                   targets=(target,), audit=audit)  # fmt: skip
    return good if accepted else replace(good, state="refused", accepted=False, targets=())


class Load:
    """Workers that send without end, and the count of what they settled."""

    def __init__(self, journal: Journal, last: int) -> None:
        self.journal = journal
        self.last = last
        self.settled = count(1)

    async def settle(self, receipt: str, key: str, *, accepted: bool) -> None:
        await self.journal.settle(receipt, outcome(receipt, key, accepted=accepted))
        say("settled", receipt, "accepted" if accepted else "refused", key)
        if next(self.settled) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    async def work(self, chance: random.Random) -> None:
        while True:
            sent = submission(f"key-{chance.randrange(KEYS)}-{chance.randrange(KEYS)}")
            for _ in range(2):  # senders do repeat themselves
                claim = await self.journal.claim(sent)
                if isinstance(claim, Repeat):
                    say("repeated", claim.receipt, sent.control_id)
                elif isinstance(claim, Fresh):
                    await self.settle(sent.receipt, sent.control_id, accepted=chance.random() < 0.8)
                sent = replace(sent, receipt=str(uuid.uuid4()))


async def main(path: Path, seed: int, in_flight: int, last: int) -> None:
    async with SqliteJournal(path) as journal:
        load = Load(journal, last)
        for left in await journal.unfinished():
            await load.settle(left.receipt, left.control_id, accepted=True)
        chances = [random.Random(f"{seed} {n}") for n in range(in_flight)]  # noqa: S311 - chance, no secret
        await asyncio.gather(*(load.work(chance) for chance in chances))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
