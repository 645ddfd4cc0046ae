"""What a journal holds, for people who look: lines of a list, whole entries, counts. Nothing is written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.journal.model import Answer, Delivery, Submission, shown
from gateway.journal.sealed import Key, unseal
from gateway.journal.sought import FROM, Sought, condition
from gateway.journal.steps import Statement, Steps, among

_LINE = """submission.id, submission.receipt, submission.received, submission.principal, submission.organisation,
    submission.domain, submission.data_type, submission.type, submission.control_id,
    coalesce(outcome.state, 'received'), coalesce(outcome.rules, '[]'), submission.purged"""
_WHOLE = """submission.id, submission.receipt, submission.received, submission.principal, submission."user",
    submission.purpose, submission.organisation, submission.domain, submission.data_type, submission.charset,
    submission.type, submission.control_id, submission.key, submission.body_hash, submission.body, submission.rules,
    submission."window", coalesce(outcome.state, 'received'), coalesce(outcome.rules, '[]'), outcome.status,
    outcome.media_type, outcome.answer, outcome.location, submission.purged"""


@dataclass(frozen=True, slots=True)
class Line:
    """One submission of a list.

    Shape: `id` grows in the order of arrival; `rules` are the ids of those that decided; `targets` each with its state;
    `purged` is when its body was taken out.
    """

    id: int
    receipt: str
    received: str
    principal: str
    organisation: str
    domain: str
    data_type: str
    type: str
    control_id: str
    state: str
    rules: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]
    purged: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One submission with all that is kept of it. Shape: as `Line`; `answer` is None where none is kept."""

    id: int
    submission: Submission
    state: str
    rules: tuple[str, ...]
    answer: Answer | None
    targets: tuple[Delivery, ...]
    purged: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for one target, or is dead there.

    Shape: `oldest` is since when its oldest item is there, `receipt` whose that is.
    """

    target: str
    state: str
    count: int
    oldest: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of submissions.

    Shape: `submissions` by domain, type and state; `rules` by id and state; `purged` of them have no body any more.
    """

    submissions: tuple[tuple[str, str, str, int], ...]
    rules: tuple[tuple[str, str, int], ...]
    purged: int
    queues: tuple[Queue, ...]

    @property
    def count(self) -> int:
        """All of them."""
        return sum(number for *_, number in self.submissions)


def lines(sought: Sought, most: int, before: str | None = None) -> Steps[tuple[Line, ...]]:
    """The latest submissions, newest first. Shape: `before` is the receipt of the last one that was seen."""
    where, values = condition(sought)
    if before is not None:
        where += " AND submission.id < (SELECT id FROM submission WHERE receipt = ?)"
        values += (before,)
    found = yield Statement(
        f"SELECT {_LINE} {FROM} WHERE {where} ORDER BY submission.id DESC LIMIT ?",
        (*values, most),
    )
    targets: dict[int, list[tuple[str, str]]] = {}
    if found:
        deliveries = yield among(
            "SELECT submission, target, state FROM delivery WHERE submission IN (*) ORDER BY id",
            tuple(row[0] for row in found),
        )
        for submission, target, state in deliveries:
            targets.setdefault(submission, []).append((target, state))
    return tuple(
        Line(*[*head, tuple(json.loads(rules)), tuple(targets.get(head[0], ())), _shown(purged)])
        for *head, rules, purged in found
    )


def entries(sought: Sought, most: int, after: int, keys: Sequence[Key]) -> Steps[tuple[Entry, ...]]:
    """The next submissions in order of arrival, whole. Shape: `after` is the id of the last one that was seen, or 0.

    Errors: Unsealable.
    """
    where, values = condition(sought)
    found = yield Statement(
        f"SELECT {_WHOLE} {FROM} WHERE {where} AND submission.id > ? ORDER BY submission.id LIMIT ?",
        (*values, after, most),
    )
    made = []
    for row in found:
        deliveries = yield Statement(
            """SELECT target, state, attempts, why, next_at, deadline FROM delivery
            WHERE submission = ? ORDER BY id""",
            (row[0],),
        )
        made.append(_entry(row, deliveries, keys))
    return tuple(made)


def _entry(row: tuple[Any, ...], deliveries: Sequence[tuple[Any, ...]], keys: Sequence[Key]) -> Entry:
    id_, receipt, *head, body, digest, window, state, rules, status, media_type, answer, location, purged = row
    came = unseal(keys, bytes(body), receipt, "body")
    submission = Submission(*[receipt, *head, came, digest, timedelta(microseconds=window)])
    told = None
    if status is not None:
        told = Answer(status, media_type, unseal(keys, bytes(answer), receipt, "answer"), location)
    targets = tuple(
        Delivery(target, state_, attempts, why, _shown(next_at), _shown(deadline))
        for target, state_, attempts, why, next_at, deadline in deliveries
    )
    return Entry(id_, submission, state, tuple(json.loads(rules)), told, targets, _shown(purged))


def count(sought: Sought) -> Steps[int]:
    """How many submissions there are."""
    where, values = condition(sought)
    found = yield Statement(f"SELECT count(*) {FROM} WHERE {where}", values)
    return int(found[0][0])


def stats(sought: Sought) -> Steps[Stats]:
    """Counts by domain, type, outcome and rule, and the queue."""
    where, values = condition(sought)
    state = "coalesce(outcome.state, 'received')"
    kinds = yield Statement(
        f"""SELECT submission.domain, submission.type, {state}, count(*), count(submission.purged) {FROM}
        WHERE {where} GROUP BY submission.domain, submission.type, {state} ORDER BY 1, 2, 3""",
        values,
    )
    ruled = yield Statement(
        f"SELECT outcome.rules, outcome.state, count(*) {FROM} WHERE {where} GROUP BY outcome.rules, outcome.state",
        values,
    )
    by_rule: Counter[tuple[str, str]] = Counter()
    for rules, ended, number in ruled:
        for rule in json.loads(rules or "[]"):
            by_rule[rule, ended] += number
    queues: list[Queue] = []
    for waits in ("queued", "dead"):
        found = yield Statement(
            f"""SELECT delivery.target, count(*), min(delivery.id) FROM delivery
            WHERE delivery.state = '{waits}' AND delivery.submission IN (SELECT submission.id {FROM} WHERE {where})
            GROUP BY delivery.target ORDER BY 1""",  # noqa: S608 - our own words
            values,
        )
        for target, number, oldest in found:
            ((since, receipt),) = yield Statement(
                """SELECT delivery.since, submission.receipt FROM delivery
                JOIN submission ON submission.id = delivery.submission WHERE delivery.id = ?""",
                (oldest,),
            )
            queues.append(Queue(target, waits, number, shown(since), receipt))
    return Stats(
        tuple((domain, type_, ended, number) for domain, type_, ended, number, _ in kinds),
        tuple((rule, ended, number) for (rule, ended), number in sorted(by_rule.items())),
        sum(row[4] for row in kinds),
        tuple(queues),
    )


def _shown(microseconds: int | None) -> str | None:
    return None if microseconds is None else shown(microseconds)
