"""The durable log of submissions: what was claimed, what became of it, what is still to be delivered, and the audit."""

from gateway.journal.audit import AuditRow
from gateway.journal.interface import Journal
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
    ReceiptTaken,
    Repeat,
    State,
    Submission,
    TargetState,
)
from gateway.journal.postgres import PostgresJournal
from gateway.journal.postgres_schema import Database
from gateway.journal.sqlite import SqliteJournal
from gateway.journal.token_ids import token_ids

__all__ = [
    "Answer",
    "AuditRow",
    "Busy",
    "Claim",
    "Conflict",
    "Database",
    "Delivery",
    "Fresh",
    "Journal",
    "JournalUnavailable",
    "NotInHand",
    "Outcome",
    "PostgresJournal",
    "Progress",
    "Queued",
    "Receipt",
    "ReceiptTaken",
    "Repeat",
    "SqliteJournal",
    "State",
    "Submission",
    "TargetState",
    "token_ids",
]
