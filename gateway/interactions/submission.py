"""A body becomes a case: its content as its data type reads it, the facts that rules read, and what the journal keeps.

Source: `http-interface.md` of the design, "Keys" and the table of headers.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.fhir import Resource
from gateway.interactions import fhir_submission, hl7v2_submission
from gateway.interactions.acknowledge import Sender
from gateway.interactions.content import Content, Reader
from gateway.interactions.gateway import Gateway, agreements_of, keyed_hash
from gateway.interactions.identify import Asking
from gateway.interactions.options import Options
from gateway.interactions.patients import patients_by
from gateway.journal import AuditRow, Submission
from gateway.language.work import Work
from gateway.rules import Facts
from gateway.rules.declared import Domain

READERS: Mapping[str, Reader] = {"Hl7v2": hl7v2_submission.read, "Fhir": fhir_submission.read}
"""How the body of each data type is read."""


@dataclass(frozen=True, slots=True)
class Case:
    """A submission that was read, with what is needed to judge it.

    Units: `deadline` on the event loop's clock.
    """

    submission: Submission
    sender: Sender
    facts: Facts
    domain: Domain
    content: Content
    options: Options
    deadline: float


@dataclass(frozen=True, slots=True)
class Envelope:
    """What came around a body: headers, options, and when the answer is due.

    Shape: `idempotency_key` is empty where none was sent.
    """

    sender: Sender
    domain: Domain
    charset: str | None
    options: Options
    deadline: float
    idempotency_key: str = ""


def entered(
    gateway: Gateway, asking: Asking, envelope: Envelope, receipt: str,
    *, control_id: str, key: tuple[str, ...], digest: str, body: bytes,
) -> Submission:  # fmt: skip
    """What the journal keeps of a submission, whatever its data type; its type is not known yet.

    Shape: `key` is the sender's own; the body's hash joins it where the sender's control ids don't tell apart.
    """
    sender, domain = envelope.sender, envelope.domain
    reused = domain.same_control_id == "accept"
    return Submission(
        receipt=receipt,
        received=gateway.clock().isoformat(),
        principal=asking.caller.name,
        user=asking.user,
        purpose=asking.purpose,
        organisation=sender.organisation,
        domain=domain.name,
        data_type=sender.data_type,
        charset=envelope.charset,
        type="",
        control_id=control_id,
        key=json.dumps([sender.organisation.upper(), domain.name, *key, *([digest] if reused else [])]),
        body_hash=digest,
        body=body,
        rules=gateway.rules.digest,
        window=domain.window,
    )


def opened(gateway: Gateway, asking: Asking, envelope: Envelope, raw: bytes) -> Case:
    """Read a new body into a case under a receipt of its own."""
    sender = envelope.sender
    content = READERS[sender.data_type](gateway, raw, envelope.charset, envelope.idempotency_key)
    digest = hashlib.sha256(raw).hexdigest()
    submission = entered(
        gateway, asking, envelope, str(uuid.uuid4()),
        control_id=content.control_id, key=content.key(digest), digest=digest, body=raw,
    )  # fmt: skip
    submission = replace(submission, type=content.type)
    facts = _facts(gateway, asking, submission, content, datetime.fromisoformat(submission.received))
    return Case(
        submission, content.sender(sender), facts, envelope.domain, content, envelope.options, envelope.deadline
    )  # fmt: skip


def reopened(gateway: Gateway, submission: Submission, deadline: float) -> Case | None:
    """Read a case again from what the journal kept of it.

    Shape: None where the rules no longer declare its principal or its domain.
    """
    caller, domain = gateway.rules.caller(submission.principal), gateway.rules.domains.get(submission.domain)
    if caller is None or domain is None:
        return None
    content = READERS[submission.data_type](gateway, submission.body, submission.charset, submission.control_id)
    asking = Asking(caller, submission.purpose, submission.user)
    received = datetime.fromisoformat(submission.received)
    facts = _facts(gateway, asking, submission, content, received)
    sender = content.sender(Sender(submission.data_type, submission.domain, submission.organisation))
    return Case(submission, sender, facts, domain, content, Options(), deadline)


def _facts(gateway: Gateway, asking: Asking, submission: Submission, content: Content, received: datetime) -> Facts:
    return asking.facts(
        gateway,
        "ingest",
        domain=submission.domain,
        organisation=submission.organisation.upper(),
        data_type=submission.data_type,
        type=content.type or None,
        received=received,
        work=Work(),
        **content.facts(),
    )


def audit_row(
    gateway: Gateway, submission: Submission, shown_type: str, rules: tuple[str, ...], outcome: str,
    about: Iterable[Resource] = (),
) -> AuditRow:  # fmt: skip
    """What the audit keeps of a decision about a submission.

    Shape: `about` is what was made of it, by which the patients are known; they stand there as keyed hashes.
    """
    told, patients, known = patients_by(gateway.elements), dict[str, None](), dict[tuple[str, str], None]()
    for one in about:
        patients |= dict.fromkeys(told.of(one))
        known |= dict.fromkeys(told.known(one))
    return AuditRow(
        at=gateway.clock().isoformat(),
        principal=submission.principal,
        user=submission.user,
        purpose=submission.purpose,
        action="ingest",
        what=f"{submission.domain} {submission.organisation} {submission.data_type} {shown_type} "
        f"receipt {submission.receipt}",
        rules=rules,
        outcome=outcome,
        digest=gateway.rules.digest,
        patients=tuple(keyed_hash(gateway, name) for name in patients),
        known=tuple((keyed_hash(gateway, name), keyed_hash(gateway, number)) for name, number in known),
        agreements=agreements_of(gateway, rules),
    )


def repeated(
    gateway: Gateway, submission: Submission, receipt: str, shown_type: str, rules: tuple[str, ...] = ()
) -> AuditRow:
    """What the audit keeps of a submission that was there before: its sender got what is kept under that receipt."""
    return audit_row(gateway, replace(submission, receipt=receipt), shown_type, rules, "repeat")


def known_type(case: Case) -> str:
    """Type of a message as logs and the audit may hold it: one that its domain accepts, for others hold any text."""
    accepted = {name for accept in case.domain.accepts for name in accept.types}
    return case.submission.type if case.submission.type in accepted else "other"
