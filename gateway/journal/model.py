"""What goes into the journal and what it answers.

Instants are ISO 8601 texts with their offset (one without is taken for UTC), as the gateway's own answers show them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from gateway.journal.audit import AuditRow
from gateway.stated import Stated

State = Literal["accepted", "refused", "denied", "failed"]
DeliveryState = Literal["delivered", "queued", "dead", "rejected"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

FURTHEST = timedelta(minutes=10)
"""Nothing is put off for longer: what is due later than that was put off by a clock that was set back since."""


class JournalUnavailable(Stated):
    """The journal could not be written or read: nothing was acknowledged, and the next operation tries afresh."""


class NotInHand(LookupError):  # noqa: N818 - names what is wrong, as KeyError does
    """The submission or the queued item is not there, or was finished before."""


class ReceiptTaken(ValueError):  # noqa: N818 - names what is wrong, as NotInHand does
    """A submission is stored under this receipt already."""

    def __init__(self, receipt: str) -> None:
        """Say which."""
        super().__init__(f"a submission is stored under receipt {receipt} already")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender got, kept byte for byte.

    Shape: `location` is the receipt's address where there is one.
    """

    status: int
    media_type: str
    body: bytes
    location: str | None


@dataclass(frozen=True, slots=True)
class Submission:
    """One body that a principal sent, with what was known of it before it was converted.

    Shape: `key` is unique among accepted submissions of its `window` (None: no key); the caller builds it, with the
    body's hash in it where the domain accepts another body under one control id. `charset` is the one that HTTP gave
    (None: none), so that the body can be read again after a crash; `rules` is the rule set's digest.
    Units: `window` counts from `received`.
    """

    receipt: str
    received: str
    principal: str
    user: str | None
    purpose: str | None
    organisation: str
    domain: str
    data_type: str
    charset: str | None
    type: str
    control_id: str
    key: str | None
    body_hash: str
    body: bytes
    rules: str
    window: timedelta


@dataclass(frozen=True, slots=True)
class Fresh:
    """The submission is the caller's to convert and deliver, then to settle."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same body was accepted under this key: its answer, byte for byte, and its receipt."""

    answer: Answer
    receipt: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another body was accepted under this key: its receipt."""

    receipt: str


@dataclass(frozen=True, slots=True)
class Busy:
    """A submission with this key was still in hand when patience ended.

    Shape: its receipt, and whether it has the same body.
    """

    receipt: str
    same: bool


Claim: TypeAlias = Fresh | Repeat | Conflict | Busy


@dataclass(frozen=True, slots=True)
class Held:
    """A submission with this key is in hand (between the journal's own parts alone)."""

    receipt: str
    same: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rows of a file have come.

    Shape: `deferred` says that its sender was told to look at the receipt; `line` is the last one delivered; `issues`
    are those of its faulty rows, in JSON. Units: `read`, `stored` and `refused` in rows.
    """

    phase: Literal["judging", "delivering", "done"]
    deferred: bool
    line: int
    read: int
    stored: int
    refused: int
    issues: bytes


@dataclass(frozen=True, slots=True)
class TargetState:
    """What became of a submission at one target.

    Shape: `payload` is what the queue is to deliver (None: the submission's own body); queued items with one
    `order_key` reach a target in the order in which they were accepted, those without one in any order; past
    `deadline` a queued item is dead; `why` is for people; `attempts` counts those made before it was queued.
    """

    target: str
    state: DeliveryState
    payload: bytes | None
    order_key: str | None
    deadline: str | None
    why: str | None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a submission ended.

    Shape: `accepted` says whether it keeps its key, and is true of the state `accepted` alone.
    Errors: ValueError where the two disagree.
    """

    state: State
    accepted: bool
    answer: Answer
    targets: tuple[TargetState, ...]
    audit: AuditRow

    def __post_init__(self) -> None:
        """Hold the state and the flag together."""
        if self.accepted != (self.state == "accepted"):
            raise ValueError(f"an outcome `{self.state}` can't have accepted={self.accepted}")


def without_claim(outcome: Outcome) -> Outcome:
    """The outcome of a submission that took no key.

    Errors: ValueError for an accepted one.
    """
    if outcome.accepted:
        raise ValueError("what is accepted is claimed and settled, not recorded")
    return outcome


@dataclass(frozen=True, slots=True)
class Delivery:
    """One target's line of a receipt.

    Shape: `next_at` is when a queued item is tried again (None: it waits behind an earlier one of its key, or is not
    queued).
    """

    target: str
    state: DeliveryState
    attempts: int
    why: str | None
    next_at: str | None
    deadline: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender may read about its submission.

    Shape: `state` is `received` while it is in hand; `answer` is None until it is settled, and once it was taken out
    after its key; `purged` is when the body was taken out, by the retention of its domain.
    """

    receipt: str
    received: str
    principal: str
    organisation: str
    domain: str
    data_type: str
    type: str
    control_id: str
    state: Literal["received"] | State
    answer: Answer | None
    targets: tuple[Delivery, ...]
    purged: str | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """One item of the queue that is due.

    Shape: `attempts` counts those made so far; `id` grows in the order of acceptance.
    """

    id: int
    receipt: str
    target: str
    payload: bytes
    order_key: str | None
    attempts: int
    deadline: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt at an item of the queue went.

    Shape: `dead`, or to be tried again at `next_at`, either with `why`; else it was delivered.
    Units: `next_at` as `instant` has it.
    """

    dead: bool
    why: str | None
    next_at: int | None

    @classmethod
    def told(cls, *, delivered: bool, failed: str | None, next_at: datetime | None, dead: str | None) -> Attempt:
        """Make it of what `Journal.attempted` is given.

        Errors: ValueError for another combination than exactly one of `delivered`, `failed` with `next_at`, and `dead`.
        """
        given = delivered, failed is not None, dead is not None
        if sum(given) != 1 or (failed is None) != (next_at is None):
            raise ValueError("give exactly one of delivered, failed with next_at, and dead")
        again = None if next_at is None else instant(next_at)
        return cls(dead is not None, failed if dead is None else dead, again)

    def becomes(self, deadline: int | None) -> Literal["delivered", "queued", "dead"]:
        """State of the item from then on: it is dead where it would be tried again past its deadline."""
        if self.next_at is not None and (deadline is None or self.next_at <= deadline):
            return "queued"
        return "dead" if self.dead or self.next_at is not None else "delivered"


def instant(moment: str | datetime) -> int:
    """Moment as a number that sorts and adds.

    Units: microseconds since 1970-01-01T00:00Z.
    Errors: ValueError for a text that is no ISO 8601 date-time.
    """
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return ((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def shown(microseconds: int) -> str:
    """Number of `instant` as ISO 8601 text in UTC."""
    return (_EPOCH + microseconds * _MICROSECOND).isoformat()
