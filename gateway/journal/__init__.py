"""The durable log of submissions: what was claimed, what became of it, what is still to be delivered, and the audit."""

from gateway.journal.audit import AuditRow
from gateway.journal.looking import look_up
from gateway.journal.model import (
    Answer,
    Busy,
    Claim,
    Conflict,
    Delivery,
    Fresh,
    JournalUnavailable,
    NotInHand,
    Outcome,
    Progress,
    Queued,
    Receipt,
    Repeat,
    State,
    Submission,
    TargetState,
)
from gateway.journal.sqlite import Journal

__all__ = [
    "Answer",
    "AuditRow",
    "Busy",
    "Claim",
    "Conflict",
    "Delivery",
    "Fresh",
    "Journal",
    "JournalUnavailable",
    "NotInHand",
    "Outcome",
    "Progress",
    "Queued",
    "Receipt",
    "Repeat",
    "State",
    "Submission",
    "TargetState",
    "look_up",
]
