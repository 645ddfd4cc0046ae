"""After a crash: submissions that were claimed and not settled are taken up again, before new ones come in.

What was given up while the gateway runs, since the journal could not be written for a moment, is taken up a little
later; where several gateways share a journal, so is what another left. What fails each time rests longer and longer
(`tries.py`).

Source: "The way of one message" in `architecture.md` of the design: a restart takes up what was left in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from gateway.interactions.csv_behind_answer import drop_strangers, resume_file
from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway
from gateway.interactions.ingest import carry_out, judge, refused
from gateway.interactions.refused import Refused, error
from gateway.interactions.submission import reopened
from gateway.journal import JournalUnavailable, NotInHand, Submission
from gateway.journal.interface import AT_ONCE

WITHIN = 2.0
EVERY = 3.0
GIVEN_UP = timedelta(seconds=30)
"""What a gateway gave up is left alone for so long: its sender, who was told so, may send it again. What fails when it
is taken up rests as long the first time, then twice as long each time."""
log = structlog.get_logger()


async def resume(gateway: Gateway) -> int:
    """Carry out what a stopped process left in hand, in the order of arrival.

    Shape: how many there were. Their senders got no answer; one that sends again gets the answer made here.
    Units: all of them together get 2 s; a target that is slower counts as down.
    Errors: JournalUnavailable, for a gateway that can't write must not start.
    """
    taken = await _take_up(gateway, AT_ONCE, asyncio.get_running_loop().time() + WITHIN)
    await drop_strangers(gateway)
    return taken


async def take_up_for_good(current: Callable[[], Gateway]) -> None:
    """Take up, for as long as the gateway runs, what it or another gateway on its journal gave up, or another left."""
    while True:
        await asyncio.sleep(EVERY)
        gateway = current()
        try:
            await _take_up(gateway, GIVEN_UP, asyncio.get_running_loop().time() + gateway.settings.answer_within)
        except JournalUnavailable as fault:
            log.error("resume", why=str(fault))


async def _take_up(gateway: Gateway, given_up: timedelta, deadline: float) -> int:
    """Carry out what is nobody's: how many there were.

    Errors: JournalUnavailable; what was not carried out is given up then.
    """
    seen: set[str] = set()
    while taken := await gateway.journal.unfinished(given_up):
        before = len(seen)
        for place, submission in enumerate(taken):
            try:
                # it was given up just now, or failed when it was taken up before
                if submission.receipt in seen or gateway.tries.rests(submission.receipt, given_up.total_seconds()):
                    gateway.journal.abandon(submission.receipt)
                else:
                    seen.add(submission.receipt)
                    await _carried_out(gateway, submission, deadline)
            except NotInHand:
                log.warning("resume", receipt=submission.receipt, why="another gateway took it up")
            except (JournalUnavailable, asyncio.CancelledError):
                for left in taken[place:]:
                    gateway.journal.abandon(left.receipt)
                raise
            except Exception as fault:  # noqa: BLE001 - one must keep neither the others back, nor the gateway from starting
                tries = gateway.tries.failed(submission.receipt)
                log.error("resume", receipt=submission.receipt, tries=tries, **trace(fault))
                gateway.journal.abandon(submission.receipt)
        if len(seen) == before:
            break
    return len(seen)


async def _carried_out(gateway: Gateway, submission: Submission, deadline: float) -> None:
    """Carry out one submission, or give it up where its sender or domain is gone.

    Errors: JournalUnavailable, NotInHand.
    """
    if submission.data_type == "Csv":
        await resume_file(gateway, submission)
        return
    seen: dict[str, object] = {"receipt": submission.receipt}
    case = reopened(gateway, submission, deadline)
    if case is None:
        tries = gateway.tries.failed(submission.receipt)
        log.error("resume", why="its principal or domain is no longer declared", tries=tries, **seen)
        gateway.journal.abandon(submission.receipt)
        return
    try:
        case.content.check_acceptable(gateway, case.domain)
        await carry_out(gateway, case, judge(gateway, case), seen)
    except Refused as refusal:
        await refused(gateway, case, refusal, seen, claimed=True)
    except (JournalUnavailable, NotInHand):
        raise
    except Exception as fault:  # noqa: BLE001 - one message must not keep the gateway from starting
        log.error("resume", **trace(fault), **seen)
        words = error("exception", "the gateway failed on this message when it took it up again")
        await refused(gateway, case, Refused("down", words), seen, claimed=True)
    log.info("resumed", **seen)
