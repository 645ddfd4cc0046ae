"""`POST /$ingest` with `data-type: Csv`: a file from the request to the answer, and behind it where it is long.

The order: spool, layout, permit, judge, claim, deliver, settle. A file of few rows is judged and delivered while its
sender waits. A longer one is claimed and answered by its receipt's address; then it is judged wholly and delivered
(`csv_behind_answer.py`).
Source: `http-interface.md` of the design.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.requests import Request

from gateway.finding import Finding
from gateway.interactions.acknowledge import answer
from gateway.interactions.csv_behind_answer import work
from gateway.interactions.csv_delivery import Late, deliver_rows
from gateway.interactions.csv_judging import check_rows, judge_rows
from gateway.interactions.csv_settling import (
    answered_to,
    findings_of,
    later,
    location_of,
    refused,
    sender_of,
    settle,
)
from gateway.interactions.csv_submission import File, opened, permitted, submitted
from gateway.interactions.csv_tally import Tally
from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import shown
from gateway.interactions.identify import Asking
from gateway.interactions.refused import Refused, error
from gateway.interactions.submission import Envelope, audit_row, repeated
from gateway.journal import Answer, Busy, Conflict, JournalUnavailable, Repeat, Submission

LONGEST_KEY = 200
PATIENCE = 20.0
TURN = 1.0
"""So long a file waits for an earlier one of its sender before it is put behind its answer."""

log = structlog.get_logger()


async def taken(
    request: Request, gateway: Gateway, asking: Asking, envelope: Envelope
) -> tuple[Answer, dict[str, str]]:
    """Take one file and answer it, with the headers that the answer adds.

    Errors: Refused for a body that can't be kept; all else is an answer.
    """
    receipt = str(uuid.uuid4())
    kept = await gateway.files.keep(request, gateway.settings.file_limit, receipt)
    taking = _Taking(gateway, submitted(gateway, asking, envelope, kept, receipt), request.state.log)
    try:
        return await taking.answered(asking, envelope)
    except JournalUnavailable as fault:
        log.error("journal unavailable", why=str(fault))
        words = "the journal can't be written, so nothing was taken; send the file again later"
        return taking.failed(error("transient", words, None, "JRN-01")), {}
    except Exception as fault:  # noqa: BLE001 - whatever goes wrong, the sender learns that nothing was acknowledged
        taking.seen.update(outcome="fault")
        log.error("fault", receipt=receipt, **trace(fault))
        words = f"the gateway failed on this file; name receipt {receipt} to its operator"
        return taking.failed(error("exception", words)), {}
    except BaseException:
        if taking.claimed:  # else the next start finds out whether it was, and drops the file if not
            gateway.journal.abandon(receipt)
        raise


@dataclass(slots=True)
class _Taking:
    """One file on its way. Shape: `seen` gathers what the request's log line tells."""

    gateway: Gateway
    submission: Submission
    seen: dict[str, Any]
    tally: Tally = field(default_factory=Tally)
    claimed: bool = False

    async def answered(self, asking: Asking, envelope: Envelope) -> tuple[Answer, dict[str, str]]:
        """The answer; a refusal is recorded.

        Errors: JournalUnavailable, OSError.
        """
        gateway, options = self.gateway, envelope.options
        self.seen.update(receipt=self.submission.receipt, domain=self.submission.domain)
        try:
            _check_key(self.submission.control_id)
            file = await asyncio.to_thread(opened, gateway, asking, self.submission, options, envelope.deadline)
            self.submission = file.submission
            self.seen.update(type=file.submission.type)
            if permitted(gateway, file) and not options.dry_run:
                before = await gateway.journal.look(file.submission)
                if isinstance(before, Repeat):
                    return await _standing(gateway, file, before, self.seen), {}
            most = None if options.dry_run else gateway.settings.rows_at_once
            all_judged = await judge_rows(gateway, file, self.tally, most)
            if all_judged:
                check_rows(file, self.tally)
            if options.dry_run:
                return await _rehearsed(gateway, file, self.tally, self.seen), {}
            standing = await _claim(gateway, file, envelope.deadline if all_judged else 0.0)
            if standing is not None:
                return await _standing(gateway, file, standing, self.seen), {}
            self.claimed = True
            if not all_judged:
                return await _deferred(gateway, file, self.seen), {}
            return await _carried_out(gateway, file, self.tally, self.seen), {}
        except Refused as refusal:
            self.seen.update(outcome=refusal.reason, rules=refusal.rules)
            reply = await refused(
                gateway, self.submission, refusal, self.tally, claimed=self.claimed, dry=options.dry_run
            )
            return reply, refusal.headers

    def failed(self, finding: Finding) -> Answer:
        """The answer where the gateway itself fails; a claimed file is taken up again, where it is not sent again."""
        if self.claimed:
            self.gateway.journal.abandon(self.submission.receipt)
        else:
            self.gateway.files.drop(self.submission.receipt)
        return answer(self.gateway, answered_to(self.submission), "down", (finding,))


def _check_key(key: str) -> None:
    """Whether a key can be kept and shown.

    Errors: Refused (unreadable).
    """
    if len(key) > LONGEST_KEY or not key.isprintable():
        words = f"Idempotency-Key has more than {LONGEST_KEY} characters, or one that can't be shown"
        raise Refused("unreadable", error("value", words, "Idempotency-Key", "HTTP-H05"))


# --- while the sender waits ----------------------------------------------------------------------------------------


async def _carried_out(gateway: Gateway, file: File, tally: Tally, seen: dict[str, Any]) -> Answer:
    """Deliver a claimed file and settle it; what takes too long goes on behind the answer."""
    receipt = file.submission.receipt
    await gateway.journal.progress(receipt, tally.progress("delivering", deferred=False))
    try:
        async with gateway.order.turns([sender_of(file)], min(file.deadline, asyncio.get_running_loop().time() + TURN)):
            states = await deliver_rows(gateway, file, tally, file.deadline)
            reply = answer(
                gateway, file.sender, "stored", findings_of(gateway, file, tally), location_of(gateway, receipt)
            )
            await settle(gateway, file, tally, reply, "accepted", states)
    except (Late, TimeoutError):
        return await _behind(gateway, file, tally, seen)
    except Refused as refusal:
        if refusal.reason == "busy":
            return await _behind(gateway, file, tally, seen)
        raise
    seen.update(outcome="stored")
    return reply


async def _behind(gateway: Gateway, file: File, tally: Tally, seen: dict[str, Any]) -> Answer:
    """Go on with a claimed file behind its answer."""
    await gateway.journal.progress(file.submission.receipt, tally.progress("delivering", deferred=True))
    gateway.files.start(work(gateway, file, tally, judge=False), file.submission.receipt)
    seen.update(outcome="queued")
    return later(gateway, file.submission.receipt)


async def _deferred(gateway: Gateway, file: File, seen: dict[str, Any]) -> Answer:
    """Answer a long file that was claimed with its receipt; it is judged behind the answer."""
    receipt, tally = file.submission.receipt, Tally()
    await gateway.journal.progress(receipt, tally.progress("judging", deferred=True))
    gateway.files.start(work(gateway, file, tally, judge=True), receipt)
    seen.update(outcome="queued")
    return later(gateway, file.submission.receipt)


async def _claim(gateway: Gateway, file: File, until: float) -> Repeat | Busy | None:
    """Take a file in hand: None where it is, or what stands under its key.

    Errors: Refused: `conflict` where another file was accepted under it, `busy` where one is in hand.
    """
    patience = max(0.0, min(PATIENCE, until - asyncio.get_running_loop().time()))
    claim = await gateway.journal.claim(file.submission, patience, here=True)
    name = file.submission.control_id
    named = f"idempotency-key {shown(name)}" if name else "the same content"
    if isinstance(claim, Conflict):
        raise Refused("conflict", error(
            "duplicate",
            f"{named} was accepted before with another file, under receipt {claim.receipt}; give each file a key of "
            "its own, or have the domain say: same control id accept",
            "Idempotency-Key", "CSV-K01",
        ))  # fmt: skip
    if isinstance(claim, Busy):
        progress = await gateway.journal.find_progress(claim.receipt)
        if not claim.same or progress is None or not progress.deferred:
            words = f"a file with {named} is still in hand; send it again later"
            raise Refused("busy", error("lock-error", words, "Idempotency-Key", "CSV-K02"))
        return claim
    return claim if isinstance(claim, Repeat) else None


async def _standing(gateway: Gateway, file: File, standing: Repeat | Busy, seen: dict[str, Any]) -> Answer:
    """The answer of a file that was taken before; this copy of it is kept no longer."""
    await gateway.journal.audit(repeated(gateway, file.submission, standing.receipt, file.submission.type))
    gateway.files.drop(file.submission.receipt)
    seen.update(outcome="repeat", receipt=standing.receipt)
    if isinstance(standing, Repeat):
        return standing.answer
    return later(gateway, standing.receipt)


async def _rehearsed(gateway: Gateway, file: File, tally: Tally, seen: dict[str, Any]) -> Answer:
    """Answer a dry run: one audit row, and nothing is kept."""
    before = await gateway.journal.look(file.submission)
    if isinstance(before, Conflict):
        words = f"another file was accepted under this key, receipt {before.receipt}; give each file a key of its own"
        raise Refused("conflict", error("duplicate", words, "Idempotency-Key", "CSV-K01"))
    seen.update(outcome="dry-run")
    await gateway.journal.audit(audit_row(gateway, file.submission, file.submission.type, (), "dry-run"))
    gateway.files.drop(file.submission.receipt)
    dry = Finding("information", "informational", "dry run: this would be accepted; nothing was stored")
    return answer(gateway, file.sender, "stored", (dry, *tally.findings))
