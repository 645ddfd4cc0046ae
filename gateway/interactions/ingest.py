"""`POST /$ingest`: one message from the request to the acknowledgement.

Source: "The way of one message" in `architecture.md` of the design; `http-interface.md`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway import hl7v2
from gateway.finding import Finding, refuses
from gateway.interactions import batch, body, csv_ingest, headers, options
from gateway.interactions.acknowledge import Sender, answer
from gateway.interactions.content import Accepted, Made
from gateway.interactions.deliver import Parcel, deliver
from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway, decided, of, places, within_work
from gateway.interactions.heavy import worked
from gateway.interactions.identify import Asking, identify
from gateway.interactions.refused import Reason, Refused, error, named
from gateway.interactions.scopes import check_ingest
from gateway.interactions.submission import Case, Envelope, audit_row, known_type, opened, repeated
from gateway.journal import (
    Answer,
    AuditRow,
    Busy,
    Conflict,
    JournalUnavailable,
    NotInHand,
    Outcome,
    Repeat,
    TargetState,
)
from gateway.journal.model import State
from gateway.mapping import Context
from gateway.observing import step
from gateway.rules import Decision

PATIENCE = 20.0
MARGIN = 1.0  # what is left of the time to answer for writing the answer down
log = structlog.get_logger()


async def ingest(request: Request) -> Response:
    """Take one submission and answer it.

    Errors: none are raised; each is an answer, by the table of outcomes in `http-interface.md`.
    """
    gateway = of(request)
    deadline = asyncio.get_running_loop().time() + gateway.settings.answer_within - MARGIN
    data_type, domain, organisation = (
        headers.trimmed(request.headers.get(name, ""))
        for name in (headers.DATA_TYPE, headers.DOMAIN, headers.ORGANISATION)
    )
    sender = Sender(data_type, domain, organisation)
    asking: Asking | None = None
    try:
        asking = await identify(request, gateway)
        check_ingest(asking.scopes)
        envelope = _envelope(request, gateway, sender, deadline)
        if sender.data_type == "Csv":
            return _response(*await csv_ingest.taken(request, gateway, asking, envelope))
        settings = gateway.settings
        is_batch = hl7v2.is_batch if sender.data_type == "Hl7v2" else _never
        raw = await body.read_or_spool(request, settings.body_limit, settings.batch_limit, is_batch, settings.data)
    except Refused as refusal:
        return await _turned_away(request, gateway, sender, asking, refusal)
    if not isinstance(raw, bytes):
        return batch.answered(gateway, asking, envelope, raw, settle, request.state.log)
    with step("read"):
        case = await worked(len(raw), opened, gateway, asking, envelope, raw)
    request.state.log.update(receipt=case.submission.receipt, type=known_type(case), domain=case.domain.name)
    return _response(await settle(gateway, case, request.state.log))


def _never(beginning: bytes) -> bool:  # noqa: ARG001 - nothing of this data type is a batch, however it begins
    return False


def _envelope(request: Request, gateway: Gateway, sender: Sender, deadline: float) -> Envelope:
    """Judge headers and options, in the order in which their faults are answered."""
    domains = {name: domain for name, domain in gateway.rules.domains.items() if domain.accepts}
    said = headers.ingest(request.headers, domains, gateway.rules.registry.organisations)
    if said.faults:
        raise Refused("no-domain" if headers.DOMAIN in said.faults else "unreadable", *said.faults.values())
    domain = domains[sender.domain]
    offered = tuple(dict.fromkeys(accept.data_type for accept in domain.accepts))
    if sender.data_type not in offered:
        raise Refused("unreadable", error(
            "not-supported",
            f"domain {domain.name} does not accept data-type {sender.data_type}; it accepts {headers.listed(offered)}",
            headers.DATA_TYPE, "HTTP-H04",
        ))  # fmt: skip
    media = body.media_type(request.headers, sender.data_type)
    key = headers.trimmed(request.headers.get(headers.IDEMPOTENCY_KEY, ""))
    return Envelope(sender, domain, media.charset, options.read(request.query_params), deadline, key)


async def settle(gateway: Gateway, case: Case, seen: dict[str, Any]) -> Answer:
    """Judge a case, carry it out and answer it: steps 3 to 7 of the design.

    Shape: `seen` gathers what the request's log line tells.
    """
    claimed = False
    try:
        size = len(case.submission.body)
        await worked(size, case.content.check_acceptable, gateway, case.domain)
        decision = await worked(size, judge, gateway, case)
        if case.options.dry_run:
            return await _rehearsed(gateway, case, decision, seen)
        patience = case.deadline - asyncio.get_running_loop().time()
        with step("claim"):
            claim = await gateway.journal.claim(case.submission, max(0.0, min(PATIENCE, patience)))
        if isinstance(claim, Repeat):
            seen.update(outcome="repeat", receipt=claim.receipt)
            row = repeated(gateway, case.submission, claim.receipt, known_type(case), decision.by)
            await gateway.journal.audit(row)
            return claim.answer
        check_own(case, claim)
        claimed = True
        return await carry_out(gateway, case, decision, seen)
    except Refused as refusal:
        return await refused(gateway, case, refusal, seen, claimed=claimed)
    except (JournalUnavailable, NotInHand) as fault:
        if claimed:
            gateway.journal.abandon(case.submission.receipt)
        return _unsettled(gateway, case, seen, fault)
    except Exception as fault:  # noqa: BLE001 - an engine stumbles over anything but an acknowledgement
        if claimed:
            gateway.journal.abandon(case.submission.receipt)
        seen.update(outcome="fault")
        log.error("fault", receipt=case.submission.receipt, **trace(fault))
        return answer(gateway, case.sender, "down", (_fault(case),))
    except BaseException:
        if claimed:
            gateway.journal.abandon(case.submission.receipt)
        raise


async def carry_out(gateway: Gateway, case: Case, decision: Decision, seen: dict[str, Any]) -> Answer:
    """Convert, deliver and settle a claimed case: steps 5 to 7 of the design.

    Errors: Refused, JournalUnavailable.
    """
    with step("convert"):
        made, told = await worked(len(case.submission.body), convert, gateway, case)
    parcel = Parcel(
        case.submission.receipt, case.submission.body, made.drafts, made.told,
        case.facts.organisation or "", case.domain.name, {} if made.versions else None,
    )  # fmt: skip
    routes = places(gateway, decision.routes)
    keys = [(routing.target, routing.order_key) for routing in routes]
    async with gateway.order.turns(keys, case.deadline):
        try:
            with step("deliver"):
                states, heard = await deliver(gateway, routes, parcel, case.deadline)
        except Refused as refusal:
            refusal.about = tuple(draft.resource for draft in made.drafts)
            raise
        reason: Reason = "queued" if any(state.state == "queued" for state in states) else "stored"
        location = f"{gateway.settings.public_url}/$ingest/receipts/{case.submission.receipt}"
        receipt = Finding("information", "informational", f"receipt {location}")
        findings = (receipt, *case.content.findings, *decision.findings, *told, *heard)
        reply = case.content.answer(gateway, case.sender, Accepted(reason, findings, location, parcel.written), made)
        seen.update(outcome=reason, rules=decision.by)
        about = (draft.resource for draft in made.drafts)
        audit = audit_row(gateway, case.submission, known_type(case), decision.by, reason, about)
        with step("settle"):
            await gateway.journal.settle(case.submission.receipt, outcome_of("accepted", reply, audit, states))
    return reply


def judge(gateway: Gateway, case: Case) -> Decision:
    """Decide by the rules.

    Errors: Refused: `denied` where nothing permits it or a rule forbids it, `failed` where a check or the lack of a
    route refuses it.
    """
    decision = decided(gateway, case.facts)
    if decision.effect == "deny":
        findings = decision.findings or tuple(decision.wanting)
        raise Refused("denied", *findings, rules=decision.by or named(findings))
    if decision.effect == "refuse":
        raise Refused("failed", *decision.findings, rules=decision.by)
    return decision


def check_own(case: Case, claim: object) -> None:
    """Whether this case has the key.

    Errors: Refused: `conflict` where another body was accepted under it, `busy` where its twin is still in hand.
    """
    name = case.content.key_name()
    if isinstance(claim, Conflict):
        raise Refused("conflict", error(
            "duplicate",
            f"{name.words} was accepted before with another body, under receipt {claim.receipt}; {name.advice}, or "
            "have the domain say: same control id accept",
            name.place, f"{name.code}-K01",
        ))  # fmt: skip
    if isinstance(claim, Busy):
        words = f"the same message, {name.words}, is still in hand; send it again"
        raise Refused("busy", error("lock-error", words, name.place, f"{name.code}-K02"))


def convert(gateway: Gateway, case: Case) -> tuple[Made, tuple[Finding, ...]]:
    """Convert a submission and run the checks `on result`.

    Shape: what was made, and the findings that don't refuse it.
    Errors: Refused (failed).
    """
    context = Context(
        organisation=case.facts.organisation or "",
        domain=case.domain.name,
        received=case.facts.received or case.facts.now,
        receipt=case.submission.receipt,
        rules_digest=gateway.rules.digest,
    )
    made = case.content.convert(gateway, context)
    with within_work(case.facts):
        checked = gateway.rules.check_result(case.facts, [draft.resource for draft in made.drafts])
    if refuses(checked):
        raise Refused("failed", *checked, rules=tuple(dict.fromkeys(f.rule for f in checked if f.rule)))
    return made, (*made.findings, *checked, *(made.loss if case.options.loss_report else ()))


async def _rehearsed(gateway: Gateway, case: Case, decision: Decision, seen: dict[str, Any]) -> Answer:
    """Answer a dry run: everything but the claim, the delivery and the record; one audit row."""
    before = await gateway.journal.look(case.submission)
    check_own(case, before)
    made, told = await worked(len(case.submission.body), convert, gateway, case)
    seen.update(outcome="dry-run", rules=decision.by)
    about = (draft.resource for draft in made.drafts)
    await gateway.journal.audit(audit_row(gateway, case.submission, known_type(case), decision.by, "dry-run", about))
    dry = Finding("information", "informational", "dry run: this would be accepted; nothing was stored")
    findings = (dry, *case.content.findings, *decision.findings, *told)
    return case.content.answer(gateway, case.sender, Accepted("stored", findings), made)


async def refused(gateway: Gateway, case: Case, refusal: Refused, seen: dict[str, Any], *, claimed: bool) -> Answer:
    """Answer a refusal and record it with its payload; a claim is given back."""
    seen.update(outcome=refusal.reason, rules=refusal.rules)
    reply = answer(gateway, case.sender, refusal.reason, refusal.findings)
    audit = audit_row(gateway, case.submission, known_type(case), refusal.deciding, refusal.audited, refusal.about)
    outcome = outcome_of(refusal.state, reply, audit, refusal.states)
    try:
        if case.options.dry_run:
            await gateway.journal.audit(audit)
        elif claimed:
            await gateway.journal.settle(case.submission.receipt, outcome)
        else:
            await gateway.journal.record(case.submission, outcome)
    except (JournalUnavailable, NotInHand) as fault:
        return _unsettled(gateway, case, seen, fault)
    return reply


def outcome_of(state: State, reply: Answer, audit: AuditRow, targets: tuple[TargetState, ...]) -> Outcome:
    """Outcome as the journal keeps it."""
    return Outcome(state=state, accepted=state == "accepted", answer=reply, targets=targets, audit=audit)


def _fault(case: Case) -> Finding:
    return error(
        "exception", f"the gateway failed on this message; name receipt {case.submission.receipt} to its operator"
    )


def _unsettled(gateway: Gateway, case: Case, seen: dict[str, Any], fault: JournalUnavailable | NotInHand) -> Answer:
    """Answer what could not be settled: the journal failed, or another gateway took it up while this one was away."""
    if isinstance(fault, JournalUnavailable):
        return _unwritten(gateway, case.sender, fault)
    seen.update(outcome="busy")
    log.warning("taken up by another gateway", receipt=case.submission.receipt)
    words = "another gateway took this message up meanwhile; send it again to get its answer"
    return answer(gateway, case.sender, "busy", (error("lock-error", words, None, "JRN-02"),))


def _unwritten(gateway: Gateway, sender: Sender, fault: JournalUnavailable) -> Answer:
    log.error("journal unavailable", why=str(fault))
    return answer(gateway, sender, "down", (error(
        "transient", "the journal can't be written, so nothing was taken; send the message again later", None, "JRN-01"
    ),))  # fmt: skip


async def _turned_away(
    request: Request, gateway: Gateway, sender: Sender, asking: Asking | None, refusal: Refused
) -> Response:
    """Answer a request whose body was not read, once the client could finish sending it."""
    request.state.log.update(outcome=refusal.reason, rules=refusal.rules)
    may_stay = await body.drain(request)
    reply = answer(gateway, sender, refusal.reason, refusal.findings)
    if asking is not None:
        row = AuditRow(
            at=gateway.clock().isoformat(), principal=asking.caller.name, user=asking.user, purpose=asking.purpose,
            action="ingest", what=f"{headers.shown(sender.domain)} {headers.shown(sender.organisation)}, body not read",
            rules=refusal.rules, outcome=refusal.reason, digest=gateway.rules.digest,
        )  # fmt: skip
        try:
            await gateway.journal.audit(row)
        except JournalUnavailable as fault:
            reply = _unwritten(gateway, sender, fault)
    return _response(reply, {**refusal.headers, **({} if may_stay else {"Connection": "close"})})


def _response(reply: Answer, extra: dict[str, str] | None = None) -> Response:
    sent = {"Cache-Control": "no-store", "Content-Type": reply.media_type, **(extra or {})}
    if reply.location is not None:
        sent["Location"] = reply.location
    if reply.status == 503:  # noqa: PLR2004 - HTTP's Service Unavailable, which always says when to come back
        sent.setdefault("Retry-After", "10")
    return Response(reply.body, reply.status, sent)
