"""How a CSV file ends: its answer, its counts, and the record of both in the journal."""

from __future__ import annotations

from gateway import fhir
from gateway.finding import Finding
from gateway.interactions.acknowledge import Sender, answer
from gateway.interactions.csv_submission import File
from gateway.interactions.csv_tally import Tally
from gateway.interactions.gateway import Gateway
from gateway.interactions.refused import Refused
from gateway.interactions.respond import FHIR_JSON, instant
from gateway.interactions.submission import audit_row
from gateway.journal import Answer, Outcome, Progress, Submission, TargetState
from gateway.journal.model import State


def sender_of(file: File) -> tuple[str, str]:
    """Files of one sender are taken one after the other, in the order in which they came."""
    return "files", f"{file.submission.domain} {file.submission.organisation.upper()}"


def location_of(gateway: Gateway, receipt: str) -> str:
    """Address of a receipt."""
    return f"{gateway.settings.public_url}/$ingest/receipts/{receipt}"


def findings_of(gateway: Gateway, file: File, tally: Tally) -> tuple[Finding, ...]:
    """What is told of a file that was delivered while its sender waits: its receipt, then what its rows have."""
    receipt = Finding("information", "informational", f"receipt {location_of(gateway, file.submission.receipt)}")
    return receipt, *tally.findings


def later(gateway: Gateway, receipt: str) -> Answer:
    """The answer that a file is taken up: always the same for one receipt."""
    location = location_of(gateway, receipt)
    words = f"the file is in hand; what becomes of its rows is told at {location}"
    outcome = fhir.operation_outcome(
        (Finding("information", "informational", words),), id=receipt, last_updated=instant(gateway.clock())
    )
    del outcome["meta"]  # so that it is the same whenever it is told
    return Answer(202, FHIR_JSON, fhir.dump(outcome), location)


def answered_to(submission: Submission) -> Sender:
    """Whom a file is answered that could not be read as far as its layout."""
    return Sender("Csv", submission.domain, submission.organisation)


async def settle(
    gateway: Gateway, file: File, tally: Tally, reply: Answer, state: State, states: tuple[TargetState, ...]
) -> None:
    """Record a file that was delivered, with its counts and the answer that stands under its key.

    Errors: JournalUnavailable.
    """
    progress = await _done(gateway, file.submission.receipt, tally)
    audit = audit_row(gateway, file.submission, file.submission.type, (), "queued" if progress.deferred else "stored")
    await gateway.journal.settle(
        file.submission.receipt, Outcome(state=state, accepted=True, answer=reply, targets=states, audit=audit)
    )


async def _done(gateway: Gateway, receipt: str, tally: Tally) -> Progress:
    """Store the counts at the end of a file."""
    before = await gateway.journal.find_progress(receipt)
    progress = tally.progress("done", deferred=before is not None and before.deferred)
    await gateway.journal.progress(receipt, progress)
    return progress


async def refused(
    gateway: Gateway, submission: Submission, refusal: Refused, tally: Tally, *, claimed: bool, dry: bool = False
) -> Answer:
    """Answer a refusal and record it; the file stays on the disk with the record, and a claim is given back.

    Errors: JournalUnavailable.
    """
    reply = answer(gateway, answered_to(submission), refusal.reason, refusal.findings)
    audit = audit_row(gateway, submission, submission.type or "other", refusal.deciding, refusal.audited, refusal.about)
    outcome = Outcome(state=refusal.state, accepted=False, answer=reply, targets=refusal.states, audit=audit)
    if not tally.issues:
        tally.tell(refusal.findings)
    if dry:
        await gateway.journal.audit(audit)
        gateway.files.drop(submission.receipt)
        return reply
    await _done(gateway, submission.receipt, tally)
    if claimed:
        await gateway.journal.settle(submission.receipt, outcome)
    else:
        await gateway.journal.record(submission, outcome)
    return reply
