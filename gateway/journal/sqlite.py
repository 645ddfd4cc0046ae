"""The journal on one SQLite file: what was claimed and how it ended is on disk before anyone is told.

Source: "Journal" in `trust.md` and "Keys" in `http-interface.md` of the design; `interface.py` says what each does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.journal import asking
from gateway.journal import sqlite_schema as schema
from gateway.journal import sqlite_statements as statements
from gateway.journal.audit import AuditRow
from gateway.journal.audit_chain import Chaining
from gateway.journal.group_commit import GroupCommit
from gateway.journal.in_hand import InHand
from gateway.journal.interface import AT_ONCE
from gateway.journal.lock import only_holder
from gateway.journal.model import (
    Attempt,
    Claim,
    Conflict,
    Held,
    JournalUnavailable,
    Outcome,
    Progress,
    Queued,
    Receipt,
    Repeat,
    Submission,
    instant,
    without_claim,
)
from gateway.journal.reading import Reading
from gateway.journal.steps import T, Work, on_sqlite


class SqliteJournal:
    """Journal on one SQLite file, by one gateway: `Journal` says what each method does.

    Shape: `path` is the file, made at the first opening. One process writes a file, which a lock beside it holds.
    """

    def __init__(self, path: Path, chaining: Chaining | None = None) -> None:
        """Make a journal that is not open yet. Shape: `chaining` links its audit rows; None for no chain."""
        self._chaining = chaining
        self._writer = GroupCommit(partial(schema.connect, path))
        self._reader = Reading(partial(schema.connect_to_read, path))
        self._path = path
        self._lock: int | None = None
        self._hand = InHand()

    @property
    def shared(self) -> bool:
        """Whether other gateways may use it at the same time."""
        return False

    async def open(self) -> None:
        """Start, making the file or bringing it up to date; once in a journal's life.

        Errors: JournalUnavailable, closed again; also where another gateway has it open.
        """
        self._lock = only_holder(self._path)
        self._writer.start()
        self._reader.start()
        try:
            await self._writer.submit(statements.beat)
            # Its connections are there from the start, so that receipts can be read when no file can be made any more.
            await self._reader.in_thread(schema.schema_version)
            self._reader.at_once(schema.schema_version)
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

    async def claim(self, submission: Submission, patience: float = 20.0, *, here: bool = False) -> Claim:  # noqa: ARG002 - all is here
        """As `Journal.claim`."""

        def ask(supersedes: str | None) -> asyncio.Future[Claim | Held]:
            return self._writer.submit(partial(statements.claim, submission=submission, supersedes=supersedes))

        return await self._hand.claimed(submission, patience, ask, self.abandon)

    async def look(self, submission: Submission) -> Repeat | Conflict | None:
        """As `Journal.look`."""
        return self._reader.at_once(partial(statements.look, submission=submission))

    def abandon(self, receipt: str) -> None:
        """As `Journal.abandon`."""
        self._hand.give_up(receipt)

    async def settle(self, receipt: str, outcome: Outcome) -> None:
        """As `Journal.settle`."""
        done = self._writer.submit(
            partial(statements.settle, receipt=receipt, outcome=outcome, chaining=self._chaining)
        )
        await self._hand.settling(receipt, done, self.abandon)

    async def record(self, submission: Submission, outcome: Outcome) -> None:
        """As `Journal.record`."""
        await self.announce(submission, without_claim(outcome))

    async def announce(self, submission: Submission, outcome: Outcome) -> None:
        """As `Journal.announce`."""
        await self._writer.submit(
            partial(statements.record, submission=submission, outcome=outcome, chaining=self._chaining)
        )

    async def audit(self, row: AuditRow) -> None:
        """As `Journal.audit`."""
        await self._writer.submit(partial(statements.append_audit, row=row, chaining=self._chaining))

    async def audit_rows(self, since: datetime) -> tuple[AuditRow, ...]:
        """As `Journal.audit_rows`."""
        return await self.read(partial(asking.audit_rows, instant(since)))

    async def find(self, receipt: str) -> Receipt | None:
        """As `Journal.find`."""
        return await self.read(partial(asking.find, receipt))

    async def progress(self, receipt: str, told: Progress) -> None:
        """As `Journal.progress`."""
        await self.change(partial(asking.progress, receipt, told))

    async def advanced(self, receipt: str, line: int, stored: int, refused: int) -> None:
        """As `Journal.advanced`."""
        await self.change(partial(asking.advanced, receipt, line, stored, refused))

    async def find_progress(self, receipt: str) -> Progress | None:
        """As `Journal.find_progress`."""
        return await self.read(partial(asking.find_progress, receipt))

    async def unfinished(self, given_up: timedelta = AT_ONCE) -> tuple[Submission, ...]:
        """As `Journal.unfinished`; all of them."""
        if given_up != AT_ONCE:  # what was not given up here stands from before the start, which asked for all
            return await self._given_up(self._hand.given_up_for(given_up))
        before = set(self._hand.futures)  # what is settled while this reads would be taken for left over
        left = await self._reader.in_thread(statements.unfinished)
        taken = tuple(s for s in left if s.receipt not in before and s.receipt not in self._hand.futures)
        for submission in taken:
            self._hand.take_again(submission.receipt)
        return taken

    async def _given_up(self, receipts: Sequence[str]) -> tuple[Submission, ...]:
        """Take up again what was given up here, but for what another has taken the key of."""
        if not receipts:
            return ()
        for receipt in receipts:
            self._hand.take_again(receipt)  # from now on none takes its key; who began to before is behind us
        taken: tuple[Submission, ...] = ()
        try:
            taken = await self._writer.submit(partial(statements.unfinished, among=receipts))
        except BaseException:
            for receipt in receipts:
                self.abandon(receipt)
            raise
        for receipt in set(receipts) - {one.receipt for one in taken}:
            self._hand.settled(receipt)
        return taken

    async def submission(self, receipt: str) -> Submission | None:
        """As `Journal.submission`."""
        return await self.read(partial(asking.submission, receipt))

    async def waiting(self, places: Iterable[tuple[str, str | None]]) -> frozenset[tuple[str, str]]:
        """As `Journal.waiting`."""
        asked = [(target, key) for target, key in places if key is not None]
        return self._reader.at_once(partial(statements.waiting, places=asked)) if asked else frozenset()

    async def due(self, now: datetime, without: frozenset[str] = frozenset()) -> Queued | None:
        """As `Journal.due`."""
        return await self._reader.in_thread(partial(statements.due, now=instant(now), without=without))

    async def take_turn(self, place: tuple[str, str]) -> None:
        """As `Journal.take_turn`: there is no other gateway to take it from."""

    def give_turn_back(self, place: tuple[str, str]) -> None:
        """As `Journal.give_turn_back`."""

    async def attempted(
        self,
        item: Queued,
        *,
        delivered: bool = False,
        failed: str | None = None,
        next_at: datetime | None = None,
        dead: str | None = None,
    ) -> None:
        """As `Journal.attempted`."""
        went = Attempt.told(delivered=delivered, failed=failed, next_at=next_at, dead=dead)
        await self._writer.submit(partial(statements.attempted, item=item.id, went=went))

    async def claim_token_id(self, issuer: str, jti: str, expires: float) -> bool:
        """As `Journal.claim_token_id`."""
        return await self._writer.submit(partial(statements.claim_token_id, issuer=issuer, jti=jti, expires=expires))

    async def count_released(self, principal: str, type_: str, day: str, names: Sequence[str], limit: int) -> bool:
        """As `Journal.count_released`."""
        return await self._writer.submit(
            partial(statements.count_released, principal=principal, type_=type_, day=day, names=names, limit=limit)
        )

    async def read(self, work: Work[T]) -> T:
        """As `Journal.read`."""
        return await self._reader.in_thread(partial(on_sqlite, work=work))

    async def change(self, work: Work[T]) -> T:
        """As `Journal.change`."""
        return await self._writer.submit(partial(on_sqlite, work=work))

    async def writable(self) -> bool:
        """As `Journal.writable`."""
        try:
            await self._writer.submit(statements.beat)
        except JournalUnavailable:
            return False
        return True
