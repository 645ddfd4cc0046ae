"""The journal on one SQLite file: what was claimed and how it ended is on disk before anyone is told.

Source: "Journal" in `trust.md` and "Keys" in `http-interface.md` of the design.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.journal import tables
from gateway.journal.audit import AuditRow
from gateway.journal.group_commit import GroupCommit
from gateway.journal.lock import only_holder
from gateway.journal.model import (
    Busy,
    Claim,
    Conflict,
    Fresh,
    Held,
    JournalUnavailable,
    Outcome,
    Progress,
    Queued,
    Receipt,
    Repeat,
    Submission,
    instant,
)
from gateway.journal.reading import Reading

# How often a claim looks again at a key that is not in hand in this process (left by a crash, or another process).
_LOOK_AGAIN = 0.1


class Journal:
    """Durable log of submissions, their deliveries, the queue and the audit.

    Shape: `path` is the file, made at the first opening. One process writes a file, which a lock beside it holds; all
    calls of one journal come from one event loop. Between `claim` and `settle` a submission is "in hand".
    Errors: every method raises JournalUnavailable where the storage fails, or before `open`; what failed is not
    stored, and the next call tries the storage afresh.
    """

    def __init__(self, path: Path) -> None:
        """Make a journal that is not open yet."""
        self._writer = GroupCommit(partial(tables.connect, path))
        self._reader = Reading(partial(tables.connect_to_read, path))
        self._path = path
        self._lock: int | None = None
        self._in_hand: dict[str, asyncio.Future[None]] = {}
        self._abandoned: set[str] = set()

    async def open(self) -> None:
        """Start, making the file or bringing it up to date; once in a journal's life.

        Errors: JournalUnavailable, closed again; also where another gateway has it open.
        """
        self._lock = only_holder(self._path)
        self._writer.start()
        self._reader.start()
        try:
            await self._writer.submit(tables.beat)
            # Its connections are there from the start, so that receipts can be read when no file can be made any more.
            await self._reader.in_thread(tables.schema_version)
            self._reader.at_once(tables.schema_version)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was handed over, and stop."""
        await self._reader.stop()
        await self._writer.stop()  # the last connection to close folds the write-ahead log into the file
        if self._lock is not None:
            os.close(self._lock)  # which gives the lock back
            self._lock = None

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def claim(self, submission: Submission, patience: float = 20.0) -> Claim:
        """Take a submission in hand, with its key provisionally, durable before this returns.

        Shape: Fresh: the caller is to settle it, or to `abandon` it; Repeat, Conflict: its key belongs to an accepted
        one; Busy: another with this key was in hand for all of `patience`.
        Units: `patience` in seconds.
        Errors: ValueError for a receipt that is in hand, sqlite3.IntegrityError for one that is stored.
        """
        receipt = submission.receipt
        if receipt in self._in_hand:
            raise ValueError(f"submission {receipt} is in hand already")
        # From here on, not from the answer: whoever meets its key in the meantime must find it.
        self._in_hand[receipt] = asyncio.get_running_loop().create_future()
        claim: Claim | None = None
        try:
            claim = await self._claim(submission, patience)
        finally:
            if not isinstance(claim, Fresh):
                self._let_go(receipt)
        return claim

    async def look(self, submission: Submission) -> Repeat | Conflict | None:
        """What a claim would meet at an accepted submission under the same key; nothing is taken."""
        return self._reader.at_once(partial(tables.look, submission=submission))

    async def _claim(self, submission: Submission, patience: float) -> Claim:
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        supersedes = None
        while True:
            asked = self._writer.submit(partial(tables.claim, submission=submission, supersedes=supersedes))
            try:
                claim = await asyncio.shield(asked)
            except asyncio.CancelledError:
                asked.add_done_callback(partial(self._unheard, submission.receipt))
                raise
            if not isinstance(claim, Held):
                if supersedes is not None:
                    self._abandoned.discard(supersedes)
                return claim
            if claim.receipt in self._abandoned:
                supersedes = claim.receipt
                continue
            left = until - loop.time()
            if left <= 0:
                return Busy(claim.receipt, claim.same)
            holder = self._in_hand.get(claim.receipt)
            if holder is None:
                await asyncio.sleep(min(left, _LOOK_AGAIN))
            else:
                await asyncio.wait((holder,), timeout=left)

    def _unheard(self, receipt: str, asked: asyncio.Future[Claim | Held]) -> None:
        """Give up a claim whose caller was cancelled before it heard the answer."""
        if not asked.cancelled() and asked.exception() is None and isinstance(asked.result(), Fresh):
            self._abandoned.add(receipt)

    def _let_go(self, receipt: str) -> None:
        holder = self._in_hand.pop(receipt, None)
        if holder is not None and not holder.done():
            holder.set_result(None)

    def abandon(self, receipt: str) -> None:
        """Give up a submission in hand without settling it.

        It stays stored: the next claim of its key takes the key over, and `unfinished` shows it again. A settling
        that failed because of the storage does this of itself.
        """
        self._abandoned.add(receipt)
        self._let_go(receipt)

    async def settle(self, receipt: str, outcome: Outcome) -> None:
        """Store how a submission in hand ended, its deliveries and its audit row; its key stays if it was accepted.

        Durable before this returns, and done even where the caller is cancelled.
        Errors: NotInHand for one that was never claimed, or was settled or superseded before.
        """
        done = self._writer.submit(partial(tables.settle, receipt=receipt, outcome=outcome))
        done.add_done_callback(partial(self._settled, receipt))
        await asyncio.shield(done)

    def _settled(self, receipt: str, done: asyncio.Future[None]) -> None:
        if done.cancelled() or isinstance(done.exception(), JournalUnavailable):
            self.abandon(receipt)
        elif done.exception() is None:
            self._abandoned.discard(receipt)
            self._let_go(receipt)

    async def record(self, submission: Submission, outcome: Outcome) -> None:
        """Store a denied, refused or unreadable submission with its payload, outcome and audit row; it takes no key.

        Errors: ValueError for an accepted outcome, sqlite3.IntegrityError for a receipt that is stored.
        """
        if outcome.accepted:
            raise ValueError("what is accepted is claimed and settled, not recorded")
        await self._writer.submit(partial(tables.record, submission=submission, outcome=outcome))

    async def audit(self, row: AuditRow) -> None:
        """Append an audit row."""
        await self._writer.submit(partial(tables.append_audit, row=row))

    async def audit_rows(self, since: datetime) -> tuple[AuditRow, ...]:
        """Audit rows of an instant and after it, in the order in which they were appended."""
        return await self._reader.in_thread(partial(tables.audit_rows, since=instant(since)))

    async def find(self, receipt: str) -> Receipt | None:
        """What is known of a submission, or nothing."""
        return await self._reader.in_thread(partial(tables.find, receipt=receipt))

    async def progress(self, receipt: str, told: Progress) -> None:
        """Store how far the rows of a file have come, durable before this returns."""
        await self._writer.submit(partial(tables.progress, receipt=receipt, told=told))

    async def advanced(self, receipt: str, line: int, stored: int, refused: int) -> None:
        """Store that the rows of a file were delivered up to a line; its progress is stored before."""
        await self._writer.submit(partial(tables.advanced, receipt=receipt, line=line, stored=stored, refused=refused))

    async def find_progress(self, receipt: str) -> Progress | None:
        """How far the rows of a file have come, or nothing for what is no file."""
        return await self._reader.in_thread(partial(tables.find_progress, receipt=receipt))

    async def unfinished(self) -> tuple[Submission, ...]:
        """Submissions claimed and not settled that nobody has in hand, in the order of their claims.

        They are in the caller's hand from now on, to be settled or abandoned: after a crash, the gateway's.
        """
        before = set(self._in_hand)  # what is settled while this reads would be taken for left over
        left = await self._reader.in_thread(tables.unfinished)
        loop = asyncio.get_running_loop()
        taken = tuple(s for s in left if s.receipt not in before and s.receipt not in self._in_hand)
        for submission in taken:
            self._in_hand[submission.receipt] = loop.create_future()
            self._abandoned.discard(submission.receipt)
        return taken

    async def waiting(self, places: Iterable[tuple[str, str | None]]) -> frozenset[tuple[str, str]]:
        """Those of the targets, each with an order key, that have an item queued under it: the next waits behind it.

        Nothing ever waits for the lack of a key.
        """
        asked = [(target, key) for target, key in places if key is not None]
        return self._reader.at_once(partial(tables.waiting, places=asked)) if asked else frozenset()

    async def due(self, now: datetime) -> Queued | None:
        """The item of the queue to try next: the one that has been due for longest, then by order of acceptance.

        Only the first item of an order key is ever due. This takes nothing: one worker asks, tries, and tells
        `attempted` before it asks again.
        """
        return await self._reader.in_thread(partial(tables.due, now=instant(now)))

    async def attempted(
        self,
        item: Queued,
        *,
        delivered: bool = False,
        failed: str | None = None,
        next_at: datetime | None = None,
        dead: str | None = None,
    ) -> None:
        """Store how an attempt went; exactly one of `delivered`, `failed` (with `next_at`) and `dead` is given.

        Shape: `failed` and `dead` say why; where `next_at` is past the item's deadline, it is dead. What is delivered
        loses its payload (the submission keeps its body); what is dead keeps it.
        Errors: ValueError for another combination, NotInHand for an item that was finished before.
        """
        given = delivered, failed is not None, dead is not None
        if sum(given) != 1 or (failed is None) != (next_at is None):
            raise ValueError("give exactly one of delivered, failed with next_at, and dead")
        again = None if next_at is None else instant(next_at)
        why = failed if dead is None else dead
        await self._writer.submit(
            partial(tables.attempted, item=item.id, dead=dead is not None, why=why, next_at=again)
        )

    async def claim_token_id(self, issuer: str, jti: str, expires: float) -> bool:
        """Take a token's id, once for all: whether it was free.

        Units: `expires` in seconds since 1970, as the claim `exp` (RFC 7519, section 4.1.4); kept until then.
        """
        return await self._writer.submit(partial(tables.claim_token_id, issuer=issuer, jti=jti, expires=expires))

    async def count_released(self, principal: str, type_: str, day: str, names: Sequence[str], limit: int) -> bool:
        """Put down what a principal is shown of a type on a day, durable before this returns.

        Shape: `names` are keyed hashes; False where it would be more than the limit, and nothing is put down then.
        """
        return await self._writer.submit(
            partial(tables.count_released, principal=principal, type_=type_, day=day, names=names, limit=limit)
        )

    async def writable(self) -> bool:
        """Whether a write reaches the disk now."""
        try:
            await self._writer.submit(tables.beat)
        except JournalUnavailable:
            return False
        return True
