"""An anchor of the audit, told to a target: an AuditEvent that the journal queues as it does all else."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timedelta

from gateway import fhir
from gateway.fhir.audit_event import Sealed, anchor_event
from gateway.interactions.broken_glass import ACCEPTED, EVENT, packed
from gateway.journal import Answer, AuditRow, Journal, Outcome, Submission, TargetState
from gateway.journal.audit_anchors import Anchor, line
from gateway.specs import FhirTables

ANCHOR = "anchor"
ITSELF = "gateway"
"""The principal of what the gateway does of itself."""
HOLD = timedelta(days=30)


async def tell(journal: Journal, target: str, observer: str, one: Anchor, tables: FhirTables) -> int:
    """Queue an anchor for a target, with a row of the audit: how many rows that were.

    Shape: `observer` is the gateway's public address.

    Errors: JournalUnavailable.
    """
    id_ = str(uuid.uuid4())
    event = fhir.dump(anchor_event(Sealed(id_, one.at, one.chain, one.seq, line(one)), observer, tables))
    row = AuditRow(one.at, ITSELF, None, None, ANCHOR, f"{target} row {one.seq}", (), "queued", "")
    until = (datetime.fromisoformat(one.at) + HOLD).isoformat()
    outcome = Outcome(
        "accepted", accepted=True, answer=Answer(ACCEPTED, "application/fhir+json", b"", None),
        targets=(TargetState(target, "queued", packed(event), None, until, None),), audit=row,
    )  # fmt: skip
    submission = Submission(
        receipt=id_, received=one.at, principal=ITSELF, user=None, purpose=None, organisation="", domain="",
        data_type=EVENT, charset=None, type=EVENT, control_id="", key=None,
        body_hash=hashlib.sha256(event).hexdigest(), body=event, rules="", window=timedelta(0),
    )  # fmt: skip
    await journal.announce(submission, outcome)
    return 1
