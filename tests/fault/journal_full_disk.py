"""A process whose files may not grow, as on a full disk; `test_journal_full_disk.py` starts it.

Argument: the journal's file. It writes the receipts that the journal acknowledged as accepted, one a line.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.journal import Answer, AuditRow, Fresh, Journal, JournalUnavailable, Outcome, SqliteJournal, Submission

NOW = datetime(2026, 3, 1, tzinfo=UTC).isoformat()
AUDIT = AuditRow(NOW, "demo-engine", None, None, "send", "ADT^A01", (), "permit", "d")


def submission(key: str) -> Submission:
    return Submission(
        str(uuid.uuid4()), NOW, "demo-engine", None, None, "R0D", "emergency-care", "Hl7v2", None, "ADT^A01", key, key,
        "hash", b"MSH|" * 500, "d", timedelta(days=7),
    )  # fmt: skip


def accepted(receipt: str) -> Outcome:
    answer = Answer(200, "text/plain", receipt.encode(), None)
    return Outcome("accepted", accepted=True, answer=answer, targets=(), audit=AUDIT)


def files_end_at(size: int) -> None:
    """Let every write behind `size` fail (EFBIG), until it is called again."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


async def send(journal: Journal, key: str) -> str:
    sent = submission(key)
    assert await journal.claim(sent) == Fresh()
    await journal.settle(sent.receipt, accepted(sent.receipt))
    return sent.receipt


async def main(path: Path) -> None:
    acknowledged = []
    async with SqliteJournal(path) as journal:
        acknowledged.append(await send(journal, "before"))
        in_hand = submission("in hand")
        assert await journal.claim(in_hand) == Fresh()

        files_end_at(max(file.stat().st_size for file in path.parent.iterdir()) + 200_000)
        refused = 0
        for round_ in range(40):  # together they need far more than there is
            results = await asyncio.gather(*(send(journal, f"{round_}-{n}") for n in range(8)), return_exceptions=True)
            assert all(isinstance(result, str | JournalUnavailable) for result in results), results
            acknowledged += [result for result in results if isinstance(result, str)]
            refused += sum(isinstance(result, JournalUnavailable) for result in results)
        assert refused, "the disk never was full"

        files_end_at(1)
        assert not await journal.writable()
        for attempt in (
            journal.settle(in_hand.receipt, accepted(in_hand.receipt)),
            journal.claim(submission("later")),
            journal.audit(AUDIT),
            journal.claim_token_id("demo-engine", "j1", 0),
        ):
            try:
                await attempt
            except JournalUnavailable:
                continue
            raise AssertionError("acknowledged on a full disk")
        assert (await journal.find(acknowledged[0])) is not None

        files_end_at(resource.RLIM_INFINITY)
        assert await journal.writable()
        # the sender repeats what was not acknowledged, and nothing stands in its way
        acknowledged += [await send(journal, key) for key in ("in hand", "later", "after")]
    sys.stdout.write("\n".join(acknowledged))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
