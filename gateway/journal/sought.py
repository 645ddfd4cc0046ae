"""What people look for in a journal, as a condition on its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from gateway.journal.model import DeliveryState, State

RECEIVED = "received"
STATES: tuple[str, ...] = (RECEIVED, *get_args(State))
"""States of submissions; `received` is what is in hand."""
DELIVERY_STATES: tuple[str, ...] = get_args(DeliveryState)
OUTCOMES = (*STATES, *DELIVERY_STATES)
"""What can be looked for as an outcome: a submission's state, or that of one of its targets."""

FROM = "FROM submission LEFT JOIN outcome ON outcome.submission = submission.id"
"""The rows that `condition` is about."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What a submission has to be; None for anything.

    Shape: from `since` on, and before `until`; `organisation` in any case; `type` a message type, layout or resource
    type, or the first part of one (`ADT`); `outcome` one of OUTCOMES; `rule` the id of one that decided; `kept` that
    its body is still there.
    """

    receipt: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    organisation: str | None = None
    domain: str | None = None
    type: str | None = None
    control_id: str | None = None
    outcome: str | None = None
    rule: str | None = None
    kept: bool = False


def condition(sought: Sought) -> tuple[str, tuple[object, ...]]:
    """The condition of a statement whose rows are FROM, and its values."""
    parts = list(_parts(sought))
    return " AND ".join(sql for sql, _ in parts) or "1 = 1", tuple(v for _, values in parts for v in values)


def _parts(sought: Sought) -> Iterator[tuple[str, tuple[object, ...]]]:
    asked = (
        ("submission.receipt = ?", sought.receipt),
        ("submission.received >= ?", None if sought.since is None else moment(sought.since)),
        ("submission.received < ?", None if sought.until is None else moment(sought.until)),
        ("upper(submission.organisation) = ?", None if sought.organisation is None else sought.organisation.upper()),
        ("submission.domain = ?", sought.domain),
        ("submission.control_id = ?", sought.control_id),
        ("replace(outcome.rules, ?, '') <> outcome.rules", None if sought.rule is None else quoted(sought.rule)),
    )
    yield from ((sql, (value,)) for sql, value in asked if value is not None)
    if sought.type is not None:
        first = f"{sought.type}^"
        # no LIKE: what is looked for may hold its signs, and it tells capitals apart in one of the two storages alone
        yield "(submission.type = ? OR substr(submission.type, 1, ?) = ?)", (sought.type, len(first), first)
    if sought.outcome in STATES:
        yield "coalesce(outcome.state, 'received') = ?", (sought.outcome,)
    elif sought.outcome in DELIVERY_STATES:
        # in the text, for there is an index of what is dead and of what is queued
        yield f"submission.id IN (SELECT submission FROM delivery WHERE state = '{sought.outcome}')", ()  # noqa: S608 - one of four words
    if sought.kept:
        yield "submission.purged IS NULL", ()


def quoted(rule: str) -> str:
    """An id as it stands among the ids of an outcome."""
    return json.dumps(rule, ensure_ascii=False)


def moment(at: datetime) -> str:
    """A moment as `received` is stored, so that texts sort as moments do."""
    return at.astimezone(UTC).isoformat()
