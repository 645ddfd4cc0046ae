"""What a journal offers, on SQLite (`sqlite.py`) and on PostgreSQL (`postgres.py`) alike.

Source: "Journal" in `trust.md` and "Keys" in `http-interface.md` of the design.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from gateway.journal.audit import AuditRow
from gateway.journal.model import Claim, Conflict, Outcome, Progress, Queued, Receipt, Repeat, Submission
from gateway.journal.steps import T, Work

AT_ONCE = timedelta(0)


class Journal(Protocol):
    """Durable log of submissions, their deliveries, the queue and the audit.

    Shape: all calls of one journal come from one event loop. Between `claim` and `settle` a submission is "in hand".
    Where several gateways share a journal (`shared`), what one has in hand is no other's until that one is gone.
    Errors: every method raises JournalUnavailable where the storage fails, or before `open`; what failed is not
    acknowledged, and the next call tries the storage afresh.
    """

    @property
    def shared(self) -> bool:
        """Whether other gateways may use it at the same time."""

    async def open(self) -> None:
        """Start, making the storage or bringing it up to date; once in a journal's life.

        Errors: JournalUnavailable, closed again; also where another gateway has the data folder.
        """

    async def close(self) -> None:
        """Finish what was handed over, and stop; what is still in hand is nobody's from then on."""

    # --- submissions ---------------------------------------------------------------------------------------------

    async def claim(self, submission: Submission, patience: float = 20.0, *, here: bool = False) -> Claim:
        """Take a submission in hand, with its key provisionally, durable before this returns.

        Shape: Fresh: the caller is to settle it, or to `abandon` it; Repeat, Conflict: its key belongs to an accepted
        one; Busy: another with this key was in hand for all of `patience`. `here` says that its content stands in this
        gateway's data folder, so that no other gateway can take it up.
        Units: `patience` in seconds.
        Errors: ValueError for a receipt that is in hand, ReceiptTaken for one that is stored.
        """

    async def look(self, submission: Submission) -> Repeat | Conflict | None:
        """What a claim would meet at an accepted submission under the same key; nothing is taken."""

    def abandon(self, receipt: str) -> None:
        """Give up a submission in hand without settling it.

        It stays stored: the next claim of its key takes the key over, and `unfinished` shows it again. A settling
        that failed because of the storage does this of itself.
        """

    async def settle(self, receipt: str, outcome: Outcome) -> None:
        """Store how a submission in hand ended, its deliveries and its audit row; its key stays if it was accepted.

        Durable before this returns, and done even where the caller is cancelled.
        Errors: NotInHand for one that was never claimed, was settled or superseded before, or that another gateway took
        up since this one gave no sign of life.
        """

    async def record(self, submission: Submission, outcome: Outcome) -> None:
        """Store a denied, refused or unreadable submission with its payload, outcome and audit row; it takes no key.

        Errors: ValueError for an accepted outcome, ReceiptTaken for a receipt that is stored.
        """

    async def announce(self, submission: Submission, outcome: Outcome) -> None:
        """Store what the gateway itself sends to targets, with its deliveries and audit row; it takes no key.

        Errors: ReceiptTaken for a receipt that is stored.
        """

    async def unfinished(self, given_up: timedelta = AT_ONCE) -> tuple[Submission, ...]:
        """Submissions claimed and not settled that nobody has in hand, in the order of their claims.

        Shape: they are in the caller's hand from now on, to be settled or abandoned: after a crash, the gateway's. Some
        of them at a time where there are many; whoever wants all asks until there are none. Of those that a gateway
        gave up, only such as were given up so long ago.
        """

    async def find(self, receipt: str) -> Receipt | None:
        """What is known of a submission, or nothing."""

    async def submission(self, receipt: str) -> Submission | None:
        """What came under a receipt, whatever became of it, or nothing."""

    async def progress(self, receipt: str, told: Progress) -> None:
        """Store how far the rows of a file have come, durable before this returns."""

    async def advanced(self, receipt: str, line: int, stored: int, refused: int) -> None:
        """Store that the rows of a file were delivered up to a line; its progress is stored before."""

    async def find_progress(self, receipt: str) -> Progress | None:
        """How far the rows of a file have come, or nothing for what is no file."""

    # --- queue and order -----------------------------------------------------------------------------------------

    async def waiting(self, places: Iterable[tuple[str, str | None]]) -> frozenset[tuple[str, str]]:
        """Those of the targets, each with an order key, that have an item queued under it: the next waits behind it.

        Nothing ever waits for the lack of a key.
        """

    async def due(self, now: datetime, without: frozenset[str] = frozenset()) -> Queued | None:
        """The item of the queue to try next: the one that has been due for longest, then by order of acceptance.

        Only the first item of an order key is ever due, and none that another gateway tries. Shape: `without` are
        targets whose items are not asked for. One worker of a gateway asks, tries, and tells `attempted` before it asks
        for that target again: until then it is given the same.
        """

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

    async def take_turn(self, place: tuple[str, str]) -> None:
        """Take the turn of a target and order key from all other gateways; within one, `interactions/order.py` does.

        It waits for as long as another has it; whoever waits bounds the time.
        """

    def give_turn_back(self, place: tuple[str, str]) -> None:
        """Give a turn back, so that another gateway may take it."""

    # --- audit, tokens, limits -----------------------------------------------------------------------------------

    async def audit(self, row: AuditRow) -> None:
        """Append an audit row, durable before this returns."""

    async def audit_rows(self, since: datetime) -> tuple[AuditRow, ...]:
        """Audit rows of an instant and after it, in the order in which they were appended."""

    async def claim_token_id(self, issuer: str, jti: str, expires: float) -> bool:
        """Take a token's id, once for all gateways: whether it was free.

        Units: `expires` in seconds since 1970, as the claim `exp` (RFC 7519, section 4.1.4); kept until then.
        """

    async def count_released(self, principal: str, type_: str, day: str, names: Sequence[str], limit: int) -> bool:
        """Put down what a principal is shown of a type on a day, by any gateway, durable before this returns.

        Shape: `names` are keyed hashes; False where it would be more than the limit, and nothing is put down then.
        """

    # --- work of tools, written once for both storages -------------------------------------------------------------

    async def read(self, work: Work[T]) -> T:
        """What work comes to that only reads."""

    async def change(self, work: Work[T]) -> T:
        """What work comes to that writes: one transaction, durable before this returns. It may be run twice."""

    async def writable(self) -> bool:
        """Whether a write reaches the disk now."""
