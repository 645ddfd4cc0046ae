"""A use of broken glass: a row of the audit of its own, and an AuditEvent for whoever the rules say is told.

The event is in the journal before the answer leaves, and delivered as whatever is queued: who broke the glass does not
wait for its target.
Source: `rules-language.md` of the design, meaning 13; https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from gateway import fhir
from gateway.fhir.audit_event import Access, Named, audit_event
from gateway.interactions.call import Call, Resource
from gateway.interactions.gateway import Gateway, keyed_hash
from gateway.interactions.patients import number_name
from gateway.journal import Answer, AuditRow, Outcome, Submission, TargetState
from gateway.rules import Facts, Routing

BREAK_GLASS = "break-glass"
"""The audit's word for a use of broken glass."""
EVENT = "AuditEvent"
ACCEPTED = 202
_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_NUMBER = re.compile(r"(?<!\d)\d{3}([ -]?)\d{3}\1\d{4}(?!\d)")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request showed or wrote: the resources as they are stored, their patients' names and their own."""

    resources: tuple[Resource, ...]
    patients: tuple[str, ...]
    names: tuple[str, ...]


async def broken(call: Call, row: AuditRow, shown: Shown) -> None:
    """Write the row of a use, and queue the event for the targets that are told of it, in one transaction.

    Shape: `row` is that of the access itself. Errors: JournalUnavailable.
    """
    gateway, reason = call.gateway, call.asking.reason or ""
    told = unnumbered(gateway, reason)
    own = replace(row, action=BREAK_GLASS, what=f"{row.action} {row.what}: {told}", reason=told)
    routings = gateway.rules.notices(_facts(call, row), shown.resources, call.around)
    if not routings:
        await gateway.journal.audit(own)
        return
    event = fhir.dump(audit_event(_access(gateway, row, reason, shown), gateway.tables))
    outcome = Outcome(
        "accepted", accepted=True, answer=Answer(ACCEPTED, "application/fhir+json", b"", None),
        targets=tuple(_queued(gateway, routing, event) for routing in routings), audit=own,
    )  # fmt: skip
    await gateway.journal.announce(_kept(call, own, routings, event), outcome)


def unnumbered(gateway: Gateway, text: str) -> str:
    """A text of a client with keyed hashes in place of whatever may be a patient's number."""
    return _NUMBER.sub(lambda found: f"[{keyed_hash(gateway, number_name(_digits(found[0])))}]", text)


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))


def _facts(call: Call, row: AuditRow) -> Facts:
    """Facts of the request, of the type that it asked for."""
    kind = _TYPE.match(row.what)
    return call.asking.facts(call.gateway, row.action, type=None if kind is None else kind[0])


def _access(gateway: Gateway, row: AuditRow, reason: str, shown: Shown) -> Access:
    return Access(
        id=str(uuid.uuid4()), recorded=row.at, action=row.action, what=row.what, outcome=row.outcome,
        principal=row.principal, observer=gateway.settings.public_url, user=row.user, purpose=row.purpose,
        address=row.address, request=row.request, rules=row.rules, agreements=row.agreements, digest=row.digest,
        patients=tuple(map(Named, shown.patients)), seen=tuple(map(Named, shown.names)), reason=reason,
    )  # fmt: skip


def _queued(gateway: Gateway, routing: Routing, event: bytes) -> TargetState:
    """What is to be tried at one target. Shape: routes `on break-glass` always queue, so there is a time."""
    until = gateway.clock() + (routing.hold or timedelta(0))
    return TargetState(routing.target, "queued", packed(event), None, until.isoformat(), None)


def packed(event: bytes) -> bytes:
    """An event as the queue keeps it, and `deliver.unpacked` takes it."""
    return b'{"event": ' + event + b"}"


def _kept(call: Call, row: AuditRow, routings: Sequence[Routing], event: bytes) -> Submission:
    """The event as the journal keeps what came in, so that it is listed, shown and purged as all else."""
    gateway, caller = call.gateway, call.asking.caller
    domains = {route.id: domain.name for domain in gateway.rules.domains.values() for route in domain.routes}
    return Submission(
        receipt=str(uuid.uuid4()), received=row.at, principal=row.principal, user=row.user, purpose=row.purpose,
        organisation=min(caller.connects_as, default=""), domain=domains[routings[0].rule], data_type=EVENT,
        charset=None, type=EVENT, control_id="", key=None, body_hash=hashlib.sha256(event).hexdigest(), body=event,
        rules=gateway.rules.digest, window=timedelta(0),
    )  # fmt: skip
