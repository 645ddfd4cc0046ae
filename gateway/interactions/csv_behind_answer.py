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
from gateway.interactions.tries import MOST
from gateway.journal import JournalUnavailable, NotInHand, Submission
from gateway.journal.sealed import Unsealable

RESTED = 900.0
"""Units: seconds without a write after which nobody is taking a file any more: slow senders are cut off long before."""
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
        await _failed(gateway, submission, tally, fault)
        return
    if file is None:
        tries, why = gateway.tries.failed(submission.receipt), "its principal or domain is no longer declared"
        log.error("resume", why=why, receipt=submission.receipt, tries=tries)
        gateway.journal.abandon(submission.receipt)
        return
    gateway.files.start(work(gateway, file, tally, judge=judge), submission.receipt)


async def drop_strangers(gateway: Gateway) -> None:
    """Drop files that a stopped process had not claimed yet: nobody was told that they were taken.

    Shape: where other workers may be taking files, those alone that have rested for as long as no taking does.
    """
    rested = 0.0 if gateway.worker is None else RESTED
    for receipt in gateway.files.receipts():
        if gateway.files.rested(receipt, rested) and await gateway.journal.find(receipt) is None:
            gateway.files.drop(receipt)


async def work(gateway: Gateway, file: File, tally: Tally, *, judge: bool) -> None:
    """Judge a file wholly, deliver it, settle it; the receipt tells how it goes.

    One that fails is taken up again later (`resume.py`), and is settled as failed where that went on for too long.
    """
    receipt = file.submission.receipt
    try:
        outcome = await _worked(gateway, file, tally, judge=judge)
        log.info("file", receipt=receipt, outcome=outcome, read=tally.read, stored=tally.stored, refused=tally.refused)
        gateway.tries.over(receipt)
    except asyncio.CancelledError:
        gateway.journal.abandon(receipt)
        raise
    except (JournalUnavailable, NotInHand) as fault:  # which is no fault of the file
        log.error("file", receipt=receipt, **trace(fault))
        gateway.journal.abandon(receipt)
    except Exception as fault:  # noqa: BLE001 - one file must not stop the others
        await _failed(gateway, file.submission, tally, fault)


async def _failed(gateway: Gateway, submission: Submission, tally: Tally, fault: Exception) -> None:
    """Give up a file that the gateway failed on, to be taken up again; settle it where it failed too often."""
    receipt = submission.receipt
    tries = gateway.tries.failed(receipt)
    log.error("file", receipt=receipt, tries=tries, **trace(fault))
    if tries < MOST:
        gateway.journal.abandon(receipt)
        return
    words = error(
        "exception",
        f"the gateway failed on this file {tries} times and works on it no more; rows stored {tally.stored}: name "
        f"receipt {receipt} to its operator, then send the file again",
    )
    tally.tell((words,))
    try:
        await refused(gateway, submission, Refused("down", words, unsure=tally.stored > 0), tally, claimed=True)
    except (JournalUnavailable, NotInHand) as unsettled:
        log.error("file", receipt=receipt, **trace(unsettled))
        gateway.journal.abandon(receipt)
        return
    gateway.tries.over(receipt)


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
