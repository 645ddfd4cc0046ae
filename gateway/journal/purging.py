"""Taking out what has been kept for long enough: a few submissions at a time, never what is in hand or queued.

Nor a dead letter until somebody had the time to see it and to replay it, however old its submission is by then.

First goes what was sent, what was queued of it and what was answered; the key and the answer stay while the key's
window lasts, so that who sends again gets the stored answer. What is left tells that there was such a submission, for
so long that no sender asks any more; then it goes too. The audit is never touched.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.journal.model import instant
from gateway.journal.sought import moment
from gateway.journal.steps import Statement, Steps, among

REMEMBERED = timedelta(days=366)
"""So long a receipt tells that its submission was taken out."""
DEAD_KEPT = timedelta(days=30)
"""So long a dead letter stays at least, from when the time was over that its route gave it."""
AT_ONCE = 100
"""Submissions of one transaction: bounds how long a gateway's own writes wait."""
MOST_BYTES = 4 * 1024 * 1024
"""Bodies of one transaction together, for the same reason."""

# What is in hand has no outcome yet.
_OVER = """FROM submission JOIN outcome ON outcome.submission = submission.id
    WHERE submission.purged IS NULL AND submission.domain = ? AND submission.received < ? AND outcome.state = ?
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.submission = submission.id AND (delivery.state = 'queued'
        OR (delivery.state = 'dead' AND coalesce(delivery.deadline, delivery.since) > ?)))"""

_LASTING = """SELECT submission.id FROM submission
    JOIN submission_key ON submission_key.key = submission.key AND submission_key.receipt = submission.receipt
    WHERE submission_key.expires > ? AND submission.id IN (*)"""
_NO_ANSWER = """UPDATE outcome SET status = NULL, media_type = NULL, answer = NULL, location = NULL
    WHERE submission IN (*)"""


@dataclass(frozen=True, slots=True)
class Over:
    """Submissions of a domain that ended in a state, received before a moment: they need be kept no longer."""

    domain: str
    state: str
    before: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many submissions are to go, and when the first of them came."""

    over: Over
    number: int
    first: str | None


def domains() -> Steps[tuple[str, ...]]:
    """The domains of submissions that are kept."""
    found = yield Statement("SELECT DISTINCT domain FROM submission WHERE purged IS NULL ORDER BY domain")
    return tuple(domain for (domain,) in found)


def counted(over: Over, now: datetime) -> Steps[Count]:
    """What `purge` would take out now; nothing is."""
    ((number, first),) = yield Statement(f"SELECT count(*), min(submission.received) {_OVER}", _values(over, now))
    return Count(over, number, first)


def purge(over: Over, now: datetime, most: int = AT_ONCE) -> Steps[tuple[str, ...]]:
    """Take out the oldest few: their receipts, none where nothing is over any more."""
    oldest = yield Statement(
        f"""SELECT submission.id, submission.receipt, length(submission.body) {_OVER}
        ORDER BY submission.received LIMIT ?""",
        (*_values(over, now), most),
    )
    found = oldest[: _few([size for *_, size in oldest])]
    ids, receipts = tuple(row[0] for row in found), tuple(row[1] for row in found)
    if found:
        at = instant(now)
        yield among("UPDATE submission SET body = ?, purged = ? WHERE id IN (*)", ids, b"", at)
        yield among("UPDATE delivery SET payload = NULL, why = NULL, order_key = NULL WHERE submission IN (*)", ids)
        yield among("DELETE FROM progress WHERE receipt IN (*)", receipts)
        yield from _released(ids, at)
    return receipts


def _few(sizes: Sequence[int]) -> int:
    """How many bodies make a transaction that is short: one at least, and no more than so many bytes."""
    together = itertools.accumulate(sizes)
    return max(1, sum(1 for size in together if size <= MOST_BYTES))


def release(now: datetime, most: int = AT_ONCE) -> Steps[int]:
    """Take out the answers that stayed for their keys, where the window is over: how many of those there were."""
    at = instant(now)
    found = yield Statement(
        """SELECT submission.id FROM submission
        LEFT JOIN submission_key ON submission_key.key = submission.key AND submission_key.receipt = submission.receipt
        WHERE submission.purged IS NOT NULL AND submission.key IS NOT NULL
        AND (submission_key.expires IS NULL OR submission_key.expires <= ?) LIMIT ?""",
        (at, most),
    )
    if found:
        yield from _released(tuple(row[0] for row in found), at)
    return len(found)


def _released(ids: Sequence[int], at: int) -> Steps[None]:
    """Take out answers and keys of submissions that were taken out, but those whose window lasts."""
    lasting = yield among(_LASTING, ids, at)
    kept = {id_ for (id_,) in lasting}
    gone = tuple(one for one in ids if one not in kept)
    if not gone:
        return
    yield among(_NO_ANSWER, gone)
    # by key and receipt: another submission may hold the key by now
    held = yield among("SELECT key, receipt FROM submission WHERE key IS NOT NULL AND id IN (*)", gone)
    for key, receipt in held:
        yield Statement("DELETE FROM submission_key WHERE key = ? AND receipt = ?", (key, receipt))
    yield among("UPDATE submission SET key = NULL WHERE id IN (*)", gone)


def forget(now: datetime, most: int = AT_ONCE) -> Steps[int]:
    """Take out what is left of submissions that were taken out long ago: how many of those there were."""
    found = yield Statement(
        """SELECT id FROM submission WHERE purged IS NOT NULL AND purged < ? AND key IS NULL
        ORDER BY purged LIMIT ?""",
        (instant(now - REMEMBERED), most),
    )
    ids = tuple(row[0] for row in found)
    if ids:
        yield among("DELETE FROM delivery WHERE submission IN (*)", ids)
        yield among("DELETE FROM outcome WHERE submission IN (*)", ids)
        yield among("DELETE FROM submission WHERE id IN (*)", ids)
    return len(ids)


def gone(receipts: Sequence[str]) -> Steps[tuple[str, ...]]:
    """Those of the receipts whose submissions were taken out."""
    found = yield among("SELECT receipt FROM submission WHERE purged IS NOT NULL AND receipt IN (*)", receipts)
    return tuple(receipt for (receipt,) in found)


def _values(over: Over, now: datetime) -> tuple[object, ...]:
    return over.domain, moment(over.before), over.state, instant(now - DEAD_KEPT)
