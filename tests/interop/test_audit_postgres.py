"""The audit's chains on PostgreSQL: several gateways append at once, each to its own, and all of it is verified.

Source: "Audit" in `trust.md` of the design.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.journal import AuditRow, PostgresJournal, ReceiptTaken
from gateway.journal.audit_chain import Chaining, keys_of
from gateway.journal.audit_rows import Kept, each, head
from gateway.journal.audit_verifying import Verified, Verifier
from gateway.journal.postgres_schema import Database
from tests.journal_rows import NOON, accepted, audit_row, submission
from tests.journals import OnPostgres

pytestmark = pytest.mark.interop
KEYS = keys_of([b"k" * 32])
ROWS = 200


def chained(storage: OnPostgres, chain: str) -> PostgresJournal:
    """The journal of one gateway, whose audit is a chain of this name."""
    return PostgresJournal(Database(storage.address), storage.folder / chain, chaining=Chaining(chain, KEYS))


def verified(rows: Sequence[Kept]) -> Verified:
    verifier = Verifier(KEYS)
    for row in rows:
        verifier.take(row)
    return verifier.verified()


async def read(journal: PostgresJournal) -> list[Kept]:
    found: list[Kept] = []
    await journal.read(lambda: each(found.append))
    return found


def test_two_gateways_append_at_once_and_neither_waits_for_the_other(shared_storage: OnPostgres) -> None:
    async def written() -> list[Kept]:
        async with chained(shared_storage, "a") as one, chained(shared_storage, "b") as other:
            rows = [audit_row(outcome=f"{number}") for number in range(ROWS)]
            await asyncio.gather(*(journal.audit(row) for row in rows for journal in (one, other)))
            last = await one.read(lambda: head("a", shared=one.shared))
            assert last is not None
            assert last.seq == ROWS
            return await read(other)

    rows = asyncio.run(written())
    found = verified(rows)
    assert (found.rows, found.chains, found.faults) == (2 * ROWS, 2, ())
    assert {kept.row.outcome for kept in rows} == {f"{number}" for number in range(ROWS)}


def test_what_is_undone_leaves_no_gap(shared_storage: OnPostgres) -> None:
    async def written() -> list[Kept]:
        async with chained(shared_storage, "a") as journal:
            sent = submission("r1")
            taken = await asyncio.gather(
                *(journal.announce(sent, accepted("r1")) for _ in range(3)), journal.audit(audit_row()),
                return_exceptions=True,
            )  # fmt: skip
            assert sum(isinstance(one, ReceiptTaken) for one in taken) == 2
            await journal.audit(audit_row())
            return await read(journal)

    rows = asyncio.run(written())
    assert [kept.link.seq for kept in rows if kept.link] == [1, 2, 3]
    assert verified(rows).faults == ()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("UPDATE audit SET outcome = 'x' WHERE seq = 2", "changed"),
        ("DELETE FROM audit WHERE seq = 2", "removed"),
        ("UPDATE audit SET seq = 9 WHERE seq = 2", "removed"),
    ],
)
def test_what_is_done_to_the_rows_is_found(shared_storage: OnPostgres, change: str, kind: str) -> None:
    async def written() -> None:
        async with chained(shared_storage, "a") as journal:
            for number in range(4):
                await journal.audit(audit_row(outcome=f"{number}"))

    async def looked() -> list[Kept]:
        async with chained(shared_storage, "b") as journal:
            return await read(journal)

    asyncio.run(written())
    shared_storage.rows("ALTER TABLE audit DISABLE TRIGGER audit_stays")
    shared_storage.rows(change)
    assert kind in {fault.kind for fault in verified(asyncio.run(looked())).faults}


def test_a_row_says_what_it_was_told(shared_storage: OnPostgres) -> None:
    row = AuditRow(
        NOON.isoformat(), "p", "u\x00", "TREAT", "read", "Patient", ("P",), "permit", "d", seen=("a",),
        patients=("b", "c"), known=(("b", "n"),), agreements=("DSA",), reason="r", request="q", address="::1",
    )  # fmt: skip

    async def written() -> list[Kept]:
        async with chained(shared_storage, "a") as journal:
            await journal.audit(row)
            return await read(journal)

    (kept,) = asyncio.run(written())
    assert kept.row.user == "u\ufffd"
    assert (kept.row.known, kept.row.patients, kept.row.seen) == (row.known, row.patients, row.seen)
    assert verified([kept]).faults == ()
