"""A long CSV file behind its answer: judged wholly, delivered, settled; and taken up again after a stop."""

from __future__ import annotations

import asyncio

import structlog

from gateway.interactions.csv_delivery import deliver_rows
from gateway.interactions.csv_judging import check_rows, judge_rows
from gateway.interactions.csv_settling import later, refused, sender_of, settle
from gateway.interactions.csv_submission import File, reopened
from gateway.interactions.csv_tally import Tally, restored
from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway
from gateway.interactions.refused import Refused, error
from gateway.journal import Submission
from gateway.journal.sealed import Unsealable

log = structlog.get_logger()


async def resume_file(gateway: Gateway, submission: Submission) -> None:
    """Take up a file that a stopped process left in hand, where it stopped.

    One that was done, with no row delivered, may have been refused: it is judged again.
    """
    progress = await gateway.journal.find_progress(submission.receipt)
    judge = progress is None or progress.phase == "judging" or (progress.phase == "done" and not progress.line)
    tally = Tally() if progress is None or judge else restored(progress)
    try:
        file = reopened(gateway, submission, asyncio.get_running_loop().time())
    except Refused as refusal:
        await refused(gateway, submission, refusal, tally, claimed=True)
        return
    except (FileNotFoundError, Unsealable) as fault:
        log.error("resume", receipt=submission.receipt, **trace(fault))
        words = error("exception", "the file is not on the disk any more; send it again")
        await refused(gateway, submission, Refused("down", words), tally, claimed=True)
        return
    except OSError as fault:  # which may pass
        log.error("resume", receipt=submission.receipt, **trace(fault))
        gateway.journal.abandon(submission.receipt)
        return
    if file is None:
        log.error("resume", why="its principal or domain is no longer declared", receipt=submission.receipt)
        gateway.journal.abandon(submission.receipt)
        return
    gateway.files.start(work(gateway, file, tally, judge=judge), submission.receipt)


async def drop_strangers(gateway: Gateway) -> None:
    """Drop files that a stopped process had not claimed yet: nobody was told that they were taken."""
    for receipt in gateway.files.receipts():
        if await gateway.journal.find(receipt) is None:
            gateway.files.drop(receipt)


async def work(gateway: Gateway, file: File, tally: Tally, *, judge: bool) -> None:
    """Judge a file wholly, deliver it, settle it; the receipt tells how it goes."""
    receipt = file.submission.receipt
    try:
        outcome = await _worked(gateway, file, tally, judge=judge)
        log.info("file", receipt=receipt, outcome=outcome, read=tally.read, stored=tally.stored, refused=tally.refused)
    except asyncio.CancelledError:
        gateway.journal.abandon(receipt)
        raise
    except Exception as fault:  # noqa: BLE001 - one file must not stop the others; it is taken up again (`resume.py`)
        log.error("file", receipt=receipt, **trace(fault))
        gateway.journal.abandon(receipt)


async def _worked(gateway: Gateway, file: File, tally: Tally, *, judge: bool) -> str:
    """The same: what it ended with."""
    receipt = file.submission.receipt
    try:
        async with gateway.order.turns([sender_of(file)]):
            if judge:
                await judge_rows(gateway, file, tally, None)
                check_rows(file, tally)
                await gateway.journal.progress(receipt, tally.progress("delivering", deferred=True))
            states = await deliver_rows(gateway, file, tally, None)
            await settle(gateway, file, tally, later(gateway, receipt), "accepted", states)
    except Refused as refusal:
        await refused(gateway, file.submission, refusal, tally, claimed=True)
        return refusal.reason
    return "stored"
