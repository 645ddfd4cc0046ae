"""What tests put into a journal: invented submissions, outcomes, queued items and audit rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.journal import Answer, AuditRow, Outcome, Submission, TargetState

DAY = timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def submission(receipt: str, key: str | None = "K", body: bytes = b"MSH|1", at: datetime = NOON) -> Submission:
    return Submission(
        receipt=receipt, received=at.isoformat(), principal="demo-engine", user=None, purpose="TREAT",
        organisation="R0D", domain="emergency-care", data_type="Hl7v2", charset="utf-8", type="ADT^A01",
        control_id="8457239", key=key, body_hash=body.hex(), body=body, rules="d1", window=7 * DAY,
    )  # fmt: skip


def audit_row(at: datetime = NOON, what: str = "emergency-care ADT^A01", outcome: str = "permit") -> AuditRow:
    return AuditRow(at.isoformat(), "demo-engine", None, "TREAT", "send", what, ("EC-P1", "EC-R1"), outcome, "d1")


def answer(receipt: str) -> Answer:
    return Answer(200, "text/plain; charset=utf-8", f"MSA|AA|{receipt}\r".encode(), f"/$ingest/receipts/{receipt}")


def accepted(receipt: str, *targets: TargetState, at: datetime = NOON) -> Outcome:
    return Outcome("accepted", accepted=True, answer=answer(receipt), targets=targets, audit=audit_row(at))


def refused() -> Outcome:
    bad = Answer(422, "text/plain; charset=utf-8", b"MSA|AE\r", None)
    target = TargetState("store", "rejected", None, None, None, "no")
    return Outcome("refused", accepted=False, answer=bad, targets=(target,), audit=audit_row())


def queued(
    target: str = "store", key: str | None = None, deadline: datetime | None = None, payload: bytes | None = b"p"
) -> TargetState:
    return TargetState(target, "queued", payload, key, deadline.isoformat() if deadline else None, "down", 1)
