"""Dead letters: what a target never took, why, and how it is put into the queue again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.journal.model import instant, shown
from gateway.journal.sought import FROM, Sought, condition
from gateway.journal.steps import Statement, Steps

AGAIN = timedelta(hours=72)
"""How long an item is tried again that its route gave no time."""
AT_ONCE = 200
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One item that a target never took.

    Shape: `id` grows in the order of acceptance; `since` is when it was queued; `kept` is whether what is to be
    delivered is still there.
    """

    id: int
    receipt: str
    domain: str
    type: str
    control_id: str
    target: str
    attempts: int
    why: str
    since: str
    kept: bool


def dead_letters(sought: Sought, most: int, after: int = 0, target: str | None = None) -> Steps[tuple[DeadLetter, ...]]:
    """Dead letters in order of acceptance. Shape: `after` is the id of the last one that was seen."""
    where, values = condition(sought)
    if target is not None:
        where, values = f"{where} AND delivery.target = ?", (*values, target)
    found = yield Statement(
        f"""SELECT delivery.id, submission.receipt, submission.domain, submission.type, submission.control_id,
        delivery.target, delivery.attempts, coalesce(delivery.why, ''), delivery.since, submission.purged
        {FROM} JOIN delivery ON delivery.submission = submission.id
        WHERE delivery.state = 'dead' AND {where} AND delivery.id > ? ORDER BY delivery.id LIMIT ?""",
        (*values, after, most),
    )
    return tuple(DeadLetter(*[*head, shown(since), purged is None]) for *head, since, purged in found)


def again(letter: DeadLetter, now: datetime, *, in_front: bool) -> Steps[bool]:
    """Queue a dead letter again, to be tried from now on for as long as its route gave it: whether it still was dead.

    Shape: it keeps its place among those with its order key, by acceptance. One that is at the head of them and may be
    under way just now is left there, unless `in_front` says that nothing can be under way.
    """
    found = yield Statement(
        "SELECT target, order_key, since, deadline FROM delivery WHERE id = ? AND state = 'dead'", (letter.id,)
    )
    if not found:
        return False
    ((target, order_key, since, deadline),) = found
    at = instant(now)
    held = AGAIN // _MICROSECOND if deadline is None else max(deadline - since, 0)
    next_at: int | None = at
    demoted: list[int] = []
    if order_key is not None:
        heads = yield Statement(
            """SELECT id FROM delivery
            WHERE target = ? AND order_key = ? AND state = 'queued' AND next_at IS NOT NULL""",
            (target, order_key),
            alone=(target, order_key),  # or the head, delivered just now, makes nothing due after it
        )
        demoted = [head for (head,) in heads if head > letter.id] if in_front else []
        if heads and not demoted:
            next_at = None
    queued = yield Statement(
        """UPDATE delivery SET state = 'queued', attempts = 0, since = ?, deadline = ?, next_at = ?
        WHERE id = ? AND state = 'dead' RETURNING id""",  # another may have queued it meanwhile, and it was delivered
        (at, at + held, next_at, letter.id),
    )
    for head in demoted if queued else ():
        yield Statement("UPDATE delivery SET next_at = NULL WHERE id = ?", (head,))
    return bool(queued)
