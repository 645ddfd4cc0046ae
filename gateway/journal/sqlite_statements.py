"""Every SQL statement of the SQLite journal, as functions of a connection.

What reads or writes more than one row belongs to one transaction, which `group_commit.py` opens. Instants are stored as
microseconds since 1970 where they are compared, else as the texts that came.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

from gateway.journal.asking import rule_ids, submissions_of
from gateway.journal.audit import AuditRow, stored
from gateway.journal.audit_chain import Chaining
from gateway.journal.model import (
    FURTHEST,
    Answer,
    Attempt,
    Claim,
    Conflict,
    Fresh,
    Held,
    NotInHand,
    Outcome,
    Queued,
    ReceiptTaken,
    Repeat,
    Submission,
    TargetState,
    instant,
    shown,
)

_INSERT_SUBMISSION = """INSERT INTO submission (receipt, received, principal, user, purpose, organisation, domain,
    data_type, charset, type, control_id, key, body_hash, body, rules, window)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_UNFINISHED = """SELECT submission.receipt, received, principal, user, purpose, organisation, domain, data_type,
    charset, type, control_id, submission.key, body_hash, body, rules, window
    FROM in_hand JOIN submission ON submission.id = in_hand.submission
    WHERE ?1 IS NULL OR in_hand.receipt IN (SELECT value FROM json_each(?1)) ORDER BY submission.id"""
_TAKE_IN_HAND = "INSERT INTO in_hand (receipt, submission, key) VALUES (?, ?, ?)"
_LET_GO = "DELETE FROM in_hand WHERE receipt = ? RETURNING submission, key"
_HOLDER = """SELECT submission_key.receipt, body_hash, expires, in_hand.receipt IS NOT NULL
    FROM submission_key LEFT JOIN in_hand ON in_hand.receipt = submission_key.receipt
    WHERE submission_key.key = ?"""
_TAKE_KEY = "INSERT OR REPLACE INTO submission_key (key, receipt, body_hash, expires) VALUES (?, ?, ?, ?)"
_FREE_KEY = "DELETE FROM submission_key WHERE key = ? AND receipt = ?"
_INSERT_OUTCOME = """INSERT INTO outcome (submission, state, status, media_type, answer, location, rules)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_GIVEN_UP = "INSERT INTO outcome (submission, state) VALUES (?, 'failed')"
_ANSWER = """SELECT status, media_type, answer, location FROM submission JOIN outcome ON outcome.submission = id
    WHERE receipt = ?"""
_INSERT_DELIVERY = """INSERT INTO delivery
    (submission, target, state, payload, order_key, deadline, why, attempts, since, next_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_WAITING = "SELECT 1 FROM delivery WHERE target = ? AND order_key = ? AND state = 'queued' LIMIT 1"
_ITEM = """SELECT delivery.id, receipt, target, coalesce(payload, body), order_key, attempts, deadline
    FROM delivery JOIN submission ON submission.id = delivery.submission"""
_FIRST = "AND target NOT IN (SELECT value FROM json_each(?)) ORDER BY next_at, delivery.id LIMIT 1"
_DUE = f"{_ITEM} WHERE next_at <= ? {_FIRST}"
_DUE_BY_ANOTHER_CLOCK = f"{_ITEM} WHERE next_at > ? {_FIRST}"
_ATTEMPTED = "SELECT target, order_key, deadline FROM delivery WHERE id = ? AND next_at IS NOT NULL"
_DELIVERED = """UPDATE delivery SET state = 'delivered', attempts = attempts + 1, why = NULL, payload = NULL,
    next_at = NULL WHERE id = ?"""
_DEAD = "UPDATE delivery SET state = 'dead', attempts = attempts + 1, why = ?, next_at = NULL WHERE id = ?"
_AGAIN = "UPDATE delivery SET attempts = attempts + 1, why = ?, next_at = ? WHERE id = ?"
_PROMOTE = """UPDATE delivery SET next_at = since WHERE id =
    (SELECT min(id) FROM delivery WHERE target = ? AND order_key = ? AND state = 'queued')"""
_INSERT_AUDIT = """INSERT INTO audit (chain, seq, key, mac, instant, at, principal, user, purpose, action, what, rules,
    outcome, digest, detail) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"""
# One gateway writes here, so the last row is the last of its chain, or of a chain before it.
_AUDIT_LAST = "SELECT chain, seq, mac FROM audit ORDER BY id DESC LIMIT 1"
# A token's id is kept this long after it expired, so that clocks may differ. Seconds.
_SKEW = 3600


def claim(connection: sqlite3.Connection, submission: Submission, supersedes: str | None) -> Claim | Held:
    """Store a submission with a provisional key, unless another holds the key.

    Shape: `supersedes` is the receipt of a submission that this process gave up; its provisional key is taken over.
    Errors: ReceiptTaken.
    """
    if submission.key is not None:
        received = instant(submission.received)
        holder = connection.execute(_HOLDER, (submission.key,)).fetchone()
        if holder is not None:
            receipt, body_hash, expires, in_hand = holder
            if in_hand:
                if receipt != supersedes:
                    return Held(receipt, same=body_hash == submission.body_hash)
                (given_up, _) = connection.execute(_LET_GO, (receipt,)).fetchone()
                connection.execute(_GIVEN_UP, (given_up,))
            elif received < expires:
                if body_hash != submission.body_hash:
                    return Conflict(receipt)
                return Repeat(Answer(*connection.execute(_ANSWER, (receipt,)).fetchone()), receipt)
        expires = received + submission.window // timedelta(microseconds=1)
        connection.execute(_TAKE_KEY, (submission.key, submission.receipt, submission.body_hash, expires))
    identity = _insert(connection, submission)
    connection.execute(_TAKE_IN_HAND, (submission.receipt, identity, submission.key))
    return Fresh()


def look(connection: sqlite3.Connection, submission: Submission) -> Repeat | Conflict | None:
    """What holds the key of a submission, where it was accepted and its window is not over."""
    holder = connection.execute(_HOLDER, (submission.key,)).fetchone()
    if holder is None:
        return None
    receipt, body_hash, expires, in_hand = holder
    if in_hand or instant(submission.received) >= expires:
        return None
    if body_hash != submission.body_hash:
        return Conflict(receipt)
    return Repeat(Answer(*connection.execute(_ANSWER, (receipt,)).fetchone()), receipt)


def _insert(connection: sqlite3.Connection, s: Submission) -> int | None:
    row = (
        s.receipt, s.received, s.principal, s.user, s.purpose, s.organisation, s.domain, s.data_type,
        s.charset, s.type, s.control_id, s.key, s.body_hash, s.body, s.rules, s.window // timedelta(microseconds=1),
    )  # fmt: skip
    try:
        return connection.execute(_INSERT_SUBMISSION, row).lastrowid
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        raise ReceiptTaken(s.receipt) from error


def settle(connection: sqlite3.Connection, receipt: str, outcome: Outcome, chaining: Chaining | None = None) -> None:
    """Store what became of a claimed submission, and its audit row.

    Errors: NotInHand for a submission that was never claimed, or was settled or superseded before.
    """
    row = connection.execute(_LET_GO, (receipt,)).fetchone()
    if row is None:
        raise NotInHand(f"submission {receipt} is not in hand")
    identity, key = row
    if key is not None and not outcome.accepted:
        connection.execute(_FREE_KEY, (key, receipt))
    _conclude(connection, identity, outcome, chaining)


def _conclude(
    connection: sqlite3.Connection, identity: int | None, outcome: Outcome, chaining: Chaining | None
) -> None:
    answer = outcome.answer
    connection.execute(_INSERT_OUTCOME, (
        identity, outcome.state, answer.status, answer.media_type, answer.body, answer.location,
        rule_ids(outcome),
    ))  # fmt: skip
    since = instant(outcome.audit.at)
    for target in outcome.targets:
        _enter(connection, identity, target, since)
    append_audit(connection, outcome.audit, chaining)


def _enter(connection: sqlite3.Connection, submission: int | None, target: TargetState, since: int) -> None:
    behind = target.order_key is not None and waiting(connection, [(target.target, target.order_key)])
    first = target.state == "queued" and not behind
    deadline = None if target.deadline is None else instant(target.deadline)
    connection.execute(_INSERT_DELIVERY, (
        submission, target.target, target.state, target.payload, target.order_key, deadline, target.why,
        target.attempts, since, since if first else None,
    ))  # fmt: skip


def record(
    connection: sqlite3.Connection, submission: Submission, outcome: Outcome, chaining: Chaining | None = None
) -> None:
    """Store a submission that was judged without a claim, with its outcome and audit row.

    Errors: ReceiptTaken.
    """
    _conclude(connection, _insert(connection, submission), outcome, chaining)


def append_audit(connection: sqlite3.Connection, row: AuditRow, chaining: Chaining | None = None) -> None:
    """Append a row to the audit, behind the last one of its chain; without a chain it has no link."""
    values = (instant(row.at), *stored(row))
    if chaining is None:
        connection.execute(_INSERT_AUDIT, (None, None, None, None, *values))
        return
    last = connection.execute(_AUDIT_LAST).fetchone()
    before = last[1:] if last is not None and last[0] == chaining.chain else None
    connection.execute(_INSERT_AUDIT, (*chaining.link(before, values), *values))


def unfinished(connection: sqlite3.Connection, among: Sequence[str] | None = None) -> tuple[Submission, ...]:
    """Submissions that were claimed and not settled, in the order of their claims; of some receipts alone."""
    return submissions_of(connection.execute(_UNFINISHED, (None if among is None else json.dumps(among),)))


def waiting(connection: sqlite3.Connection, places: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Those of the targets, each with an order key, for which something with that key is queued."""
    return frozenset(place for place in places if connection.execute(_WAITING, place).fetchone() is not None)


def due(connection: sqlite3.Connection, now: int, without: Iterable[str] = ()) -> Queued | None:
    """The item that has been due for longest, among the first of each target's keys and those without a key.

    Shape: `without` are targets whose items are not asked for.
    """
    others, furthest = json.dumps(sorted(without)), now + FURTHEST // timedelta(microseconds=1)
    row = connection.execute(_DUE, (now, others)).fetchone()
    if row is None:
        row = connection.execute(_DUE_BY_ANOTHER_CLOCK, (furthest, others)).fetchone()
    if row is None:
        return None
    *head, deadline = row
    return Queued(*[*head, None if deadline is None else shown(deadline)])


def attempted(connection: sqlite3.Connection, item: int, went: Attempt) -> None:
    """Store how an attempt went.

    Errors: NotInHand for an item that was finished before, or is not the first of its key.
    """
    row = connection.execute(_ATTEMPTED, (item,)).fetchone()
    if row is None:
        raise NotInHand(f"queued item {item} is not in hand")
    target, order_key, deadline = row
    becomes = went.becomes(deadline)
    if becomes == "queued":
        connection.execute(_AGAIN, (went.why, went.next_at, item))
        return
    if becomes == "dead":
        connection.execute(_DEAD, (went.why, item))
    else:
        connection.execute(_DELIVERED, (item,))
    if order_key is not None:
        connection.execute(_PROMOTE, (target, order_key))


def claim_token_id(connection: sqlite3.Connection, issuer: str, jti: str, expires: float) -> bool:
    """Store a token's id unless it is there: whether it was new. Long expired ones are dropped.

    Units: `expires` in seconds since 1970, as the claim `exp` is.
    """
    connection.execute("DELETE FROM token_id WHERE expires < ?", (time.time() - _SKEW,))
    inserted = connection.execute("INSERT OR IGNORE INTO token_id VALUES (?, ?, ?)", (issuer, jti, expires))
    return inserted.rowcount == 1


def count_released(
    connection: sqlite3.Connection, principal: str, type_: str, day: str, names: Sequence[str], limit: int
) -> bool:
    """Put down what a principal is shown of a type on a day, unless it would be more than the limit: whether it is not.

    What was shown before counts once. Days that are over are dropped.
    """
    connection.execute("DELETE FROM released WHERE principal = ? AND type = ? AND day < ?", (principal, type_, day))
    place = (principal, type_, day)
    known = "SELECT name FROM released WHERE principal = ? AND type = ? AND day = ? AND name = ?"
    new = [name for name in dict.fromkeys(names) if connection.execute(known, (*place, name)).fetchone() is None]
    counted = "SELECT count(*) FROM released WHERE principal = ? AND type = ? AND day = ?"
    if connection.execute(counted, place).fetchone()[0] + len(new) > limit:
        return False
    connection.executemany("INSERT INTO released VALUES (?, ?, ?, ?)", [(*place, name) for name in new])
    return True


def beat(connection: sqlite3.Connection) -> None:
    """Write something, to learn whether writing works."""
    connection.execute("INSERT OR REPLACE INTO heartbeat VALUES (1, ?)", (time.time(),))
