"""Audit rows: every decision, permitted or not."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import orjson


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what as whom, by which rules, and how it ended.

    Shape: `principal` is who was authenticated, `user` and `purpose` what it asserted (None: nothing), `action` the
    rules' word (`ingest`, `search`, `read`), `what` a type, domain or receipt but never a patient's id in the clear,
    `rules` the ids of the rules that decided, `outcome` their effect, `digest` that of the rule set in force.
    `seen` are keyed hashes of the resources (`Patient/1`) that were shown, written or asked for by id, `patients` those
    of the patients whom they are about, `known` pairs of a patient's hash and that of its number where its id is
    another; `agreements` are those that the rules cite, `erred` rules that could not be decided; `reason` is why glass
    was broken; `request` is the request's id in the log, `address` where it came from.
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
    seen: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    known: tuple[tuple[str, str], ...] = ()
    agreements: tuple[str, ...] = ()
    erred: tuple[str, ...] = ()
    reason: str | None = None
    request: str | None = None
    address: str | None = None


_DETAIL = tuple(field.name for field in fields(AuditRow))[9:]
"""What is kept together in one column, where there is any of it."""
_MANY = frozenset({"seen", "patients", "agreements", "erred"})

Stored: TypeAlias = tuple[str, str, str | None, str | None, str, str, str, str, str, str]


def _text(value: object) -> str:
    """Compact JSON."""
    return orjson.dumps(value).decode()


def stored(row: AuditRow) -> Stored:
    """Row as the values of its columns, in the order of its fields; all from `seen` on is one of them."""
    detail = {name: value for name in _DETAIL if (value := getattr(row, name))}
    return (
        row.at, row.principal, row.user, row.purpose, row.action, row.what, _text(row.rules), row.outcome,
        row.digest, _text(detail) if detail else "{}",
    )  # fmt: skip


def restored(values: Stored) -> AuditRow:
    """Row from the values of its columns.

    Errors: ValueError, TypeError for columns that no gateway wrote.
    """
    at, principal, user, purpose, action, what, rules, outcome, digest, detail = values
    more: dict[str, Any] = json.loads(detail)
    more |= {name: tuple(value) for name, value in more.items() if name in _MANY}
    if "known" in more:
        more["known"] = tuple((patient, number) for patient, number in more["known"])
    return AuditRow(at, principal, user, purpose, action, what, tuple(json.loads(rules)), outcome, digest, **more)
