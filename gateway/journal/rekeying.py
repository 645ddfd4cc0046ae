"""Sealing everything with the newest key, a few payloads at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.journal.sealed import Key, seal, sealed_with, unseal
from gateway.journal.sealing import ANSWER, BODY, ISSUES, payload_of
from gateway.journal.steps import Statement, Steps

AT_ONCE = 10
"""Payloads of one transaction: each may be as large as a body may be."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of payloads. Shape: `rows` asks for id, receipt, target (or none) and payload of the next few."""

    rows: str
    update: str
    named: str | None


COLUMNS: tuple[_Column, ...] = (
    _Column(
        """SELECT id, receipt, NULL, body FROM submission WHERE id > ? AND purged IS NULL ORDER BY id LIMIT ?""",
        "UPDATE submission SET body = ? WHERE id = ?",
        BODY,
    ),
    _Column(
        """SELECT outcome.submission, submission.receipt, NULL, outcome.answer FROM outcome
        JOIN submission ON submission.id = outcome.submission
        WHERE outcome.submission > ? AND outcome.answer IS NOT NULL ORDER BY outcome.submission LIMIT ?""",
        "UPDATE outcome SET answer = ? WHERE submission = ?",
        ANSWER,
    ),
    _Column(
        """SELECT delivery.id, submission.receipt, delivery.target, delivery.payload FROM delivery
        JOIN submission ON submission.id = delivery.submission
        WHERE delivery.id > ? AND delivery.payload IS NOT NULL ORDER BY delivery.id LIMIT ?""",
        "UPDATE delivery SET payload = ? WHERE id = ?",
        None,
    ),
    _Column(
        """SELECT submission.id, progress.receipt, NULL, progress.issues FROM progress
        JOIN submission ON submission.receipt = progress.receipt
        WHERE submission.id > ? ORDER BY submission.id LIMIT ?""",
        "UPDATE progress SET issues = ? WHERE receipt = (SELECT receipt FROM submission WHERE id = ?)",
        ISSUES,
    ),
)
"""Every column that holds payloads."""


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """A few payloads that were looked at. Shape: `last` is the id of the last, None where there was none."""

    last: int | None
    changed: int


def rekey(column: _Column, keys: Sequence[Key], after: int, most: int = AT_ONCE) -> Steps[Rekeyed]:
    """Seal the next few payloads of a column with the first key, those that are not.

    Errors: Unsealable.
    """
    found = yield Statement(column.rows, (after, most))
    changed = 0
    for id_, receipt, target, stored in found:
        if sealed_with(bytes(stored)) == keys[0].id:
            continue
        named = payload_of(target) if column.named is None else column.named
        payload = unseal(keys, bytes(stored), receipt, named)
        yield Statement(column.update, (seal(keys, payload, receipt, named), id_))
        changed += 1
    return Rekeyed(found[-1][0] if found else None, changed)


def begun(keys: Sequence[Key]) -> Steps[None]:
    """Note that payloads are sealed with the first key from now on."""
    yield Statement("INSERT INTO sealing (key) VALUES (?) ON CONFLICT (key) DO NOTHING", (keys[0].name,))


def ended(keys: Sequence[Key]) -> Steps[None]:
    """Note that the first key is the only one that is needed."""
    yield Statement("DELETE FROM sealing WHERE key <> ?", (keys[0].name,))
