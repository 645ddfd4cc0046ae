"""A journal whose payloads are sealed on their way in and opened on their way out, whatever storage stands below."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

import structlog

from gateway.journal import sealing
from gateway.journal.audit import AuditRow
from gateway.journal.interface import AT_ONCE, Journal
from gateway.journal.key_check import checked
from gateway.journal.model import (
    Claim,
    Conflict,
    JournalUnavailable,
    Outcome,
    Progress,
    Queued,
    Receipt,
    Repeat,
    Submission,
)
from gateway.journal.sealed import Key, KeyMissing, Unsealable
from gateway.journal.steps import Work

T = TypeVar("T")
DAMAGED = "what is to be delivered can't be opened"
KEY_AGAIN = timedelta(seconds=30)
"""So long an item rests whose key is missing here, while a gateway that has the key may try it."""
log = structlog.get_logger()


def _later(item: Queued, now: datetime) -> datetime:
    """When an item is due again whose key is missing; at the end of its time it is tried once more."""
    deadline = None if item.deadline is None else datetime.fromisoformat(item.deadline)
    later = now + KEY_AGAIN
    return later if deadline is None or deadline <= now else min(later, deadline)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Unsealable as fault:
        raise JournalUnavailable(str(fault)) from fault


class SealedJournal:
    """A journal in front of another.

    Shape: `keys`, newest first; with none, payloads are stored as they are, and a journal that holds sealed ones is not
    opened. See `Journal` for all else.
    Errors: JournalUnavailable also for a payload that was changed on the disk, or that another gateway sealed with a
    key that is not given here.
    """

    def __init__(self, journal: Journal, keys: Sequence[Key]) -> None:
        """Make a journal that is not open yet."""
        self._journal = journal
        self._keys = tuple(keys)

    @property
    def shared(self) -> bool:
        """Whether other gateways may use it at the same time."""
        return self._journal.shared

    async def open(self) -> None:
        """Open the journal below, and see that every key is there that its payloads need.

        Errors: JournalUnavailable; Unsealable where a key is missing; closed again then.
        """
        await self._journal.open()
        try:
            await self._journal.change(lambda: checked(self._keys))
        except BaseException:
            await self._journal.close()
            raise

    async def close(self) -> None:
        """Close the journal below."""
        await self._journal.close()

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    # --- submissions ---------------------------------------------------------------------------------------------

    async def claim(self, submission: Submission, patience: float = 20.0, *, here: bool = False) -> Claim:
        """Take a submission in hand; a stored answer comes out opened."""
        stored = sealing.sealed_submission(self._keys, submission)
        claim = await self._journal.claim(stored, patience, here=here)
        return self._opened(claim) if isinstance(claim, Repeat) else claim

    async def look(self, submission: Submission) -> Repeat | Conflict | None:
        """What a claim would meet; nothing is taken."""
        met = await self._journal.look(submission)
        return self._opened(met) if isinstance(met, Repeat) else met

    def _opened(self, repeat: Repeat) -> Repeat:
        with _told():
            return Repeat(sealing.opened_answer(self._keys, repeat.receipt, repeat.answer), repeat.receipt)

    def abandon(self, receipt: str) -> None:
        """Give up a submission in hand without settling it."""
        self._journal.abandon(receipt)

    async def settle(self, receipt: str, outcome: Outcome) -> None:
        """Store how a submission in hand ended."""
        await self._journal.settle(receipt, sealing.sealed_outcome(self._keys, receipt, outcome))

    async def record(self, submission: Submission, outcome: Outcome) -> None:
        """Store a submission that takes no key, with its outcome."""
        await self._journal.record(*self._sealed(submission, outcome))

    async def announce(self, submission: Submission, outcome: Outcome) -> None:
        """Store what the gateway itself sends to targets."""
        await self._journal.announce(*self._sealed(submission, outcome))

    def _sealed(self, submission: Submission, outcome: Outcome) -> tuple[Submission, Outcome]:
        stored = sealing.sealed_outcome(self._keys, submission.receipt, outcome)
        return sealing.sealed_submission(self._keys, submission), stored

    async def unfinished(self, given_up: timedelta = AT_ONCE) -> tuple[Submission, ...]:
        """Submissions claimed and not settled that nobody has in hand; what can't be opened is told and left there."""
        closed: list[str] = []  # in hand until the others behind it were seen
        try:
            while left := await self._journal.unfinished(given_up):
                opened = tuple(self._openable(left, closed))
                if opened:
                    return opened
            return ()
        finally:
            for receipt in closed:
                self._journal.abandon(receipt)

    def _openable(self, left: Sequence[Submission], closed: list[str]) -> Iterator[Submission]:
        for one in left:
            try:
                yield sealing.opened_submission(self._keys, one)
            except Unsealable as fault:
                log.error("resume", receipt=one.receipt, why=str(fault))
                closed.append(one.receipt)

    async def find(self, receipt: str) -> Receipt | None:
        """What is known of a submission, or nothing."""
        found = await self._journal.find(receipt)
        with _told():
            return None if found is None else sealing.opened_receipt(self._keys, found)

    async def submission(self, receipt: str) -> Submission | None:
        """What came under a receipt, or nothing."""
        found = await self._journal.submission(receipt)
        with _told():
            return None if found is None else sealing.opened_submission(self._keys, found)

    async def progress(self, receipt: str, told: Progress) -> None:
        """Store how far the rows of a file have come."""
        await self._journal.progress(receipt, sealing.sealed_progress(self._keys, receipt, told))

    async def advanced(self, receipt: str, line: int, stored: int, refused: int) -> None:
        """Store that the rows of a file were delivered up to a line."""
        await self._journal.advanced(receipt, line, stored, refused)

    async def find_progress(self, receipt: str) -> Progress | None:
        """How far the rows of a file have come, or nothing for what is no file."""
        found = await self._journal.find_progress(receipt)
        with _told():
            return None if found is None else sealing.opened_progress(self._keys, receipt, found)

    # --- queue and order -----------------------------------------------------------------------------------------

    async def waiting(self, places: Iterable[tuple[str, str | None]]) -> frozenset[tuple[str, str]]:
        """Those of the targets, each with an order key, that have an item queued under it."""
        return await self._journal.waiting(places)

    async def due(self, now: datetime, without: frozenset[str] = frozenset()) -> Queued | None:
        """The item of the queue to try next; one that can't be opened holds up no other.

        It is dead where it was changed; where its key is missing it is due again later, for a gateway that has the key.
        """
        while True:
            item = await self._journal.due(now, without)
            if item is None:
                return None
            try:
                return sealing.opened_item(self._keys, item)
            except KeyMissing as fault:
                log.error("queue", receipt=item.receipt, target=item.target, why=str(fault))
                await self._journal.attempted(item, failed=str(fault), next_at=_later(item, now))
            except Unsealable:
                await self._journal.attempted(item, dead=DAMAGED)

    async def attempted(
        self,
        item: Queued,
        *,
        delivered: bool = False,
        failed: str | None = None,
        next_at: datetime | None = None,
        dead: str | None = None,
    ) -> None:
        """Store how an attempt went."""
        await self._journal.attempted(item, delivered=delivered, failed=failed, next_at=next_at, dead=dead)

    async def take_turn(self, place: tuple[str, str]) -> None:
        """Take the turn of a target and order key from all other gateways."""
        await self._journal.take_turn(place)

    def give_turn_back(self, place: tuple[str, str]) -> None:
        """Give a turn back."""
        self._journal.give_turn_back(place)

    # --- audit, tokens, limits, and the tools --------------------------------------------------------------------

    async def audit(self, row: AuditRow) -> None:
        """Append an audit row."""
        await self._journal.audit(row)

    async def audit_rows(self, since: datetime) -> tuple[AuditRow, ...]:
        """Audit rows of an instant and after it."""
        return await self._journal.audit_rows(since)

    async def claim_token_id(self, issuer: str, jti: str, expires: float) -> bool:
        """Take a token's id, once for all gateways: whether it was free."""
        return await self._journal.claim_token_id(issuer, jti, expires)

    async def count_released(self, principal: str, type_: str, day: str, names: Sequence[str], limit: int) -> bool:
        """Put down what a principal is shown of a type on a day."""
        return await self._journal.count_released(principal, type_, day, names, limit)

    async def writable(self) -> bool:
        """Whether a write reaches the disk now."""
        return await self._journal.writable()

    async def read(self, work: Work[T]) -> T:
        """What work that only reads comes to; payloads are opened by the work itself."""
        return await self._journal.read(work)

    async def change(self, work: Work[T]) -> T:
        """What work comes to in one transaction that writes, durable before this returns."""
        return await self._journal.change(work)
