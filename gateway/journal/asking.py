"""What gateways ask of submissions and the audit, and how far files have come: written once for both storages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from gateway.journal.audit import AuditRow, restored
from gateway.journal.model import Answer, Delivery, Outcome, Progress, Receipt, Submission, shown
from gateway.journal.steps import Statement, Steps

COLUMNS = (
    'receipt, received, principal, "user", purpose, organisation, domain, data_type, charset, type, control_id, key, '
    'body_hash, body, rules, "window"'
)
"""Those of a submission, as `submissions_of` takes them."""
_SUBMISSION = f"SELECT {COLUMNS} FROM submission WHERE receipt = ?"  # noqa: S608 - of constants alone
_RECEIPT = """SELECT id, receipt, received, principal, organisation, domain, data_type, type, control_id,
    coalesce(state, 'received'), purged, status, media_type, answer, location
    FROM submission LEFT JOIN outcome ON outcome.submission = id WHERE receipt = ?"""
_DELIVERIES = """SELECT target, state, attempts, why, next_at, deadline FROM delivery
    WHERE submission = ? ORDER BY id"""
PROGRESS = """INSERT INTO progress (receipt, phase, deferred, line, rows_read, stored, refused, issues)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (receipt) DO UPDATE SET phase = excluded.phase,
    deferred = excluded.deferred, line = excluded.line, rows_read = excluded.rows_read, stored = excluded.stored,
    refused = excluded.refused, issues = excluded.issues"""
ADVANCED = "UPDATE progress SET line = ?, stored = ?, refused = ? WHERE receipt = ?"
_FIND_PROGRESS = """SELECT phase, deferred, line, rows_read, stored, refused, issues FROM progress
    WHERE receipt = ?"""
_AUDIT_SINCE = """SELECT at, principal, "user", purpose, action, what, rules, outcome, digest, detail FROM audit
    WHERE instant >= ? ORDER BY id"""


def find(receipt: str) -> Steps[Receipt | None]:
    """What is known of a submission."""
    for identity, *head, purged, status, media_type, body, location in (yield Statement(_RECEIPT, (receipt,))):
        answer = None if status is None else Answer(status, media_type, body, location)
        targets = tuple(
            Delivery(target, state, attempts, why, _shown(next_at), _shown(deadline))
            for target, state, attempts, why, next_at, deadline in (yield Statement(_DELIVERIES, (identity,)))
        )
        return Receipt(*[*head, answer, targets, _shown(purged)])
    return None


def _shown(microseconds: int | None) -> str | None:
    return None if microseconds is None else shown(microseconds)


def submission(receipt: str) -> Steps[Submission | None]:
    """What came under a receipt, whatever became of it."""
    found = submissions_of((yield Statement(_SUBMISSION, (receipt,))))
    return found[0] if found else None


def submissions_of(rows: Iterable[Sequence[Any]]) -> tuple[Submission, ...]:
    """Submissions from their columns."""
    return tuple(Submission(*[*head, timedelta(microseconds=window)]) for *head, window in rows)


def rule_ids(outcome: Outcome) -> str:
    """Ids of the rules that decided, as they are looked for: JSON without blanks."""
    return json.dumps(outcome.audit.rules, ensure_ascii=False, separators=(",", ":"))


def progress(receipt: str, told: Progress) -> Steps[None]:
    """Store how far the rows of a file have come."""
    values = told.phase, int(told.deferred), told.line, told.read, told.stored, told.refused, told.issues
    yield Statement(PROGRESS, (receipt, *values))


def advanced(receipt: str, line: int, stored: int, refused: int) -> Steps[None]:
    """Store that a file has come as far as a line."""
    yield Statement(ADVANCED, (line, stored, refused, receipt))


def find_progress(receipt: str) -> Steps[Progress | None]:
    """How far the rows of a file have come, or nothing for what is no file."""
    for phase, deferred, *rest in (yield Statement(_FIND_PROGRESS, (receipt,))):
        return Progress(phase, bool(deferred), *rest)
    return None


def audit_rows(since: int) -> Steps[tuple[AuditRow, ...]]:
    """Audit rows of an instant and after it, in the order in which they were appended."""
    return tuple(restored(row) for row in (yield Statement(_AUDIT_SINCE, (since,))))
