"""A body becomes a case: the message, the facts that rules read, and what the journal keeps.

Source: `http-interface.md` of the design, "Keys" and the table of headers.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime

from gateway import hl7v2
from gateway.finding import refuses
from gateway.interactions.acknowledge import Sender
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import listed, shown
from gateway.interactions.identify import Asking
from gateway.interactions.options import Options
from gateway.interactions.refused import Refused, error
from gateway.journal import Submission
from gateway.rules import Facts
from gateway.rules.declared import Domain

LONGEST_CONTROL_ID = 199  # HL7 v2.5.1 chapter 2.A.74: the longest ST


@dataclass(frozen=True, slots=True)
class Case:
    """A submission that was read, with what is needed to judge it.

    Units: `deadline` on the event loop's clock.
    """

    submission: Submission
    sender: Sender
    facts: Facts
    domain: Domain
    message: hl7v2.Message
    options: Options
    deadline: float


@dataclass(frozen=True, slots=True)
class Envelope:
    """What came around a body: headers, options, and when the answer is due."""

    sender: Sender
    domain: Domain
    charset: str | None
    options: Options
    deadline: float


def opened(gateway: Gateway, asking: Asking, envelope: Envelope, raw: bytes) -> Case:
    """Read a new body into a case under a receipt of its own."""
    now = gateway.clock()
    sender, domain = envelope.sender, envelope.domain
    message = hl7v2.read(raw, envelope.charset)
    organisation = sender.organisation.upper()
    digest = hashlib.sha256(raw).hexdigest()
    submission = Submission(
        receipt=str(uuid.uuid4()),
        received=now.isoformat(),
        principal=asking.caller.name,
        user=asking.user,
        purpose=asking.purpose,
        organisation=sender.organisation,
        domain=domain.name,
        data_type=sender.data_type,
        charset=envelope.charset,
        type=message.type or "",
        control_id=message.control_id or "",
        key=_key(organisation, domain, message, digest),
        body_hash=digest,
        body=raw,
        rules=gateway.rules.digest,
        window=domain.window,
    )
    facts = _facts(gateway, asking, submission, message, now)
    return Case(
        submission, replace(sender, message=message), facts, domain, message, envelope.options, envelope.deadline
    )


def reopened(gateway: Gateway, submission: Submission, deadline: float) -> Case | None:
    """Read a case again from what the journal kept of it.

    Shape: None where the rules no longer declare its principal or its domain.
    """
    caller, domain = gateway.rules.caller(submission.principal), gateway.rules.domains.get(submission.domain)
    if caller is None or domain is None:
        return None
    message = hl7v2.read(submission.body, submission.charset)
    asking = Asking(caller, submission.purpose, submission.user)
    received = datetime.fromisoformat(submission.received)
    facts = _facts(gateway, asking, submission, message, received)
    sender = Sender(submission.data_type, submission.domain, submission.organisation, message)
    return Case(submission, sender, facts, domain, message, Options(), deadline)


def _facts(
    gateway: Gateway, asking: Asking, submission: Submission, message: hl7v2.Message, received: datetime
) -> Facts:
    return asking.facts(
        gateway,
        "ingest",
        domain=submission.domain,
        organisation=submission.organisation.upper(),
        data_type=submission.data_type,
        message=message,
        type=message.type,
        received=received,
    )


def _key(organisation: str, domain: Domain, message: hl7v2.Message, digest: str) -> str:
    """Key that acceptance takes; the body's hash joins it where the sender's control ids don't tell apart."""
    sending = [message.text("MSH", field, part) or "" for field in (3, 4) for part in (1, 2, 3)]
    parts = [organisation, domain.name, *sending, message.control_id or digest]
    if domain.same_control_id == "accept":
        parts.append(digest)
    return json.dumps(parts)


def known_type(case: Case) -> str:
    """Type of a message as logs and the audit may hold it: one that its domain accepts, for others hold any text."""
    accepted = {name for accept in case.domain.accepts for name in accept.types}
    return case.submission.type if case.submission.type in accepted else "other"


def check_acceptable(case: Case, versions: tuple[str, ...]) -> None:
    """Whether the message can be read and is of a type and version that its domain accepts.

    Shape: `versions` are all of HL7's, oldest first.
    Errors: Refused (unreadable), with the reader's findings or the accepted values.
    """
    message = case.message
    if refuses(message.findings):
        raise Refused("unreadable", *message.findings)
    if len(case.submission.control_id) > LONGEST_CONTROL_ID:
        raise Refused("unreadable", error(
            "too-long", f"MSH-10 has more than {LONGEST_CONTROL_ID} characters", "MSH-10", "HL7-A03"
        ))  # fmt: skip
    offers = [accept for accept in case.domain.accepts if accept.data_type == case.submission.data_type]
    types = tuple(sorted({name for accept in offers for name in accept.types}))
    fitting = [accept for accept in offers if message.type in accept.types]
    if not fitting:
        raise Refused("unreadable", error(
            "not-supported",
            f"domain {case.domain.name} does not accept message type {shown(message.type or 'none')}; "
            f"it accepts {listed(tuple(name.replace('^', ' ') for name in types))}",
            "MSH-9", "HL7-A01",
        ))  # fmt: skip
    if not any(_within(message.version, accept.versions, versions) for accept in fitting):
        ranges = ", ".join(f"{accept.versions[0]} to {accept.versions[1]}" for accept in fitting if accept.versions)
        raise Refused("unreadable", error(
            "not-supported",
            f"domain {case.domain.name} does not accept HL7 version {shown(message.version or 'none')}; "
            f"it accepts {ranges}",
            "MSH-12", "HL7-A02",
        ))  # fmt: skip


def _within(version: str | None, accepted: tuple[str, str] | None, known: tuple[str, ...]) -> bool:
    """Whether a version is one of HL7's, as HL7 writes it, and between the two that are accepted."""
    if version not in known or accepted is None:
        return version in known
    low, high = (known.index(one) for one in accepted)
    return low <= known.index(version) <= high
