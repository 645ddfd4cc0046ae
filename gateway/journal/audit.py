"""Audit rows: every decision, permitted or not."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what as whom, by which rules, and how it ended.

    Shape: `principal` is who was authenticated, `user` and `purpose` what it asserted (None: nothing), `action` the
    rules' word (`ingest`, `search`, `read`), `what` a type, domain or receipt but never a patient's id in the clear,
    `rules` the ids of the rules that decided, `outcome` their effect, `digest` that of the rule set in force.
    Units: `at` is an ISO 8601 instant with its offset; without one it is taken for UTC.
    """

    at: str
    principal: str
    user: str | None
    purpose: str | None
    action: str
    what: str
    rules: tuple[str, ...]
    outcome: str
    digest: str


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
Stored = tuple[str, str, str | None, str | None, str, str, str, str, str]


def stored(row: AuditRow) -> Stored:
    """Row as the values of its columns, in the order of its fields."""
    rules = _ENCODER.encode(row.rules)
    return row.at, row.principal, row.user, row.purpose, row.action, row.what, rules, row.outcome, row.digest


def restored(values: Stored) -> AuditRow:
    """Row from the values of its columns."""
    at, principal, user, purpose, action, what, rules, outcome, digest = values
    return AuditRow(at, principal, user, purpose, action, what, tuple(json.loads(rules)), outcome, digest)
