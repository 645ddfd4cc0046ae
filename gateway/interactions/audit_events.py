"""Rows of the audit as FHIR AuditEvents, for whoever collects them: an event for each patient of a row.

Patients and resources stand there by the keyed hashes that the audit has of them.
Source: https://profiles.ihe.net/ITI/BALP/: a query or read about several patients is told as an event for each.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from gateway.fhir import Resource
from gateway.fhir.audit_event import Access, Named, audit_event
from gateway.interactions.broken_glass import BREAK_GLASS
from gateway.journal.audit_rows import Kept
from gateway.specs import FhirTables

PATIENT = "Patient"
_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_SPACE = uuid.UUID("6b0f6c0e-6f0b-5a55-9d0c-9a3c3f1a7b52")
"""The name space of the events' ids: the same row gives the same ids whenever it is told."""


def events_of(kept: Kept, observer: str, tables: FhirTables) -> Iterator[Resource]:
    """The events of a row. Shape: `observer` is the gateway's public address.

    Errors: ValueError, TypeError for what no gateway wrote.
    """
    access = _access(kept, observer)
    patients = access.patients or (None,)
    for number, patient in enumerate(patients):
        place = f"{kept.link.chain if kept.link else ''} {kept.link.seq if kept.link else kept.id} {number}"
        own = () if patient is None else (patient,)
        yield audit_event(replace(access, id=str(uuid.uuid5(_SPACE, place)), patients=own), tables)


def _access(kept: Kept, observer: str) -> Access:
    row = kept.row
    kind, glass = _TYPE.match(row.what), row.action == BREAK_GLASS
    # the row of a use says in words what was done
    action = row.what.partition(":")[0].split(" ")[0] if glass else row.action
    named = kind[0] if kind is not None and not glass else None
    at = datetime.fromisoformat(row.at)
    return Access(
        id="", recorded=(at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat(), action=action, what=row.what,
        outcome=row.outcome, principal=row.principal, observer=observer, user=row.user, purpose=row.purpose,
        address=row.address, request=row.request, rules=row.rules, agreements=row.agreements, digest=row.digest,
        patients=tuple(Named(one, PATIENT, hashed=True) for one in row.patients),
        seen=tuple(Named(one, named if len(row.seen) == 1 else None, hashed=True) for one in row.seen),
        reason=row.reason,
    )  # fmt: skip
