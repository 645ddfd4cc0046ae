"""Submissions of a journal as they are printed: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from gateway.journal.browsing import Entry, Line, Stats
from gateway.journal.model import Delivery
from gateway.journal.purging import Count
from gateway.journal.replaying import DeadLetter

LINE = ("received", "receipt", "organisation", "domain", "type", "control id", "outcome", "targets", "rules")
COLUMNS = (
    "receipt", "received", "principal", "organisation", "domain", "dataType", "type", "controlId", "state", "rules",
    "targets", "purged",
)  # fmt: skip


def line(one: Line) -> dict[str, Any]:
    """A submission of a list, for programs."""
    return {
        "receipt": one.receipt,
        "received": one.received,
        "principal": one.principal,
        "organisation": one.organisation,
        "domain": one.domain,
        "dataType": one.data_type,
        "type": one.type,
        "controlId": one.control_id,
        "state": one.state,
        "rules": list(one.rules),
        "targets": [{"target": target, "state": state} for target, state in one.targets],
        "purged": one.purged,
    }


def entry(one: Entry, *, body: bytes | None) -> dict[str, Any]:
    """A submission with all that is kept of it, for programs. Shape: `body` is None where it is not to be shown."""
    sent, told = one.submission, one.answer
    shown = {
        "receipt": sent.receipt,
        "received": sent.received,
        "principal": sent.principal,
        "user": sent.user,
        "purpose": sent.purpose,
        "organisation": sent.organisation,
        "domain": sent.domain,
        "dataType": sent.data_type,
        "charset": sent.charset,
        "type": sent.type,
        "controlId": sent.control_id,
        "bodyHash": sent.body_hash,
        "ruleSet": sent.rules,
        "state": one.state,
        "rules": list(one.rules),
        "answer": None
        if told is None
        else {"status": told.status, "mediaType": told.media_type, "location": told.location, **content(told.body)},
        "targets": [delivery(target) for target in one.targets],
        "purged": one.purged,
    }
    return shown if body is None else {**shown, "body": None if one.purged else content(body)}


def content(payload: bytes) -> dict[str, str]:
    """A payload as text where it is UTF-8, else in base64: the same bytes either way."""
    try:
        return {"text": payload.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(payload).decode()}


def delivery(one: Delivery) -> dict[str, Any]:
    """A target's line, for programs."""
    return {
        "target": one.target,
        "state": one.state,
        "attempts": one.attempts,
        "why": one.why,
        "nextAt": one.next_at,
        "deadline": one.deadline,
    }


def stats(counts: Stats) -> dict[str, Any]:
    """Counts, for programs."""
    return {
        "submissions": counts.count,
        "withoutBody": counts.purged,
        "byDomain": [
            {"domain": domain, "type": type_, "state": state, "count": number}
            for domain, type_, state, number in counts.submissions
        ],
        "byRule": [{"rule": rule, "state": state, "count": number} for rule, state, number in counts.rules],
        "queue": [
            {"target": q.target, "state": q.state, "count": q.count, "oldest": q.oldest, "receipt": q.receipt}
            for q in counts.queues
        ],
    }


def letter(one: DeadLetter) -> dict[str, Any]:
    """A dead letter, for programs."""
    return {
        "receipt": one.receipt,
        "domain": one.domain,
        "type": one.type,
        "controlId": one.control_id,
        "target": one.target,
        "attempts": one.attempts,
        "why": one.why,
        "since": one.since,
        "kept": one.kept,
    }


def counted(one: Count) -> dict[str, Any]:
    """What would be taken out, for programs."""
    over = one.over
    return {
        "domain": over.domain,
        "state": over.state,
        "before": over.before.isoformat(),
        "count": one.number,
        "oldest": one.first,
    }


def as_json(values: object) -> str:
    """JSON for programs and for eyes."""
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def as_csv(rows: Iterable[Line]) -> str:
    """A list for spreadsheets, with a header line. Source: RFC 4180."""
    sink = io.StringIO()
    writer = csv.DictWriter(sink, COLUMNS)
    writer.writeheader()
    for one in rows:
        targets = " ".join(f"{target}:{state}" for target, state in one.targets)
        told = {**line(one), "rules": " ".join(one.rules), "targets": targets}
        writer.writerow({name: _cell(value) for name, value in told.items()})
    return sink.getvalue()


def _cell(value: object) -> object:
    """A value that no spreadsheet takes for a formula: senders choose some of what is shown."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table for people."""
    shown = Table(show_edge=False, pad_edge=False)
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(*map(printable, row))
    return shown


def printable(text: str) -> str:
    """A text without what would steer a terminal: senders choose some of what is shown."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def cells(one: Line) -> tuple[str, ...]:
    """A submission as a row of a list for people."""
    state = one.state if one.purged is None else f"{one.state}, purged"
    targets = ", ".join(f"{target} {state_}" for target, state_ in one.targets)
    return (
        one.received[:19].replace("T", " "), one.receipt, one.organisation, one.domain, one.type or one.data_type,
        one.control_id, state, targets, " ".join(one.rules),
    )  # fmt: skip


def facts(one: Entry) -> tuple[tuple[str, str], ...]:
    """What is known of a submission, for people: a word and what it is."""
    sent = one.submission
    known = (
        ("receipt", sent.receipt),
        ("received", sent.received),
        ("sent by", f"{sent.principal} as {sent.organisation}"),
        ("for user", sent.user),
        ("purpose", sent.purpose),
        ("domain", sent.domain),
        ("what", f"{sent.data_type} {sent.type}".strip()),
        ("control id", sent.control_id or "none"),
        ("body", "taken out " + one.purged if one.purged else f"{len(sent.body)} bytes, SHA-256 {sent.body_hash}"),
        ("outcome", one.state),
        ("rules", ", ".join(one.rules) or "none named"),
        ("rule set", sent.rules),
        ("answer", "none kept" if one.answer is None else f"{one.answer.status} {one.answer.media_type}"),
    )
    return tuple((word, value) for word, value in known if value is not None)
