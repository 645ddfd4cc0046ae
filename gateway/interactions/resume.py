"""After a crash: submissions that were claimed and not settled are taken up again, before new ones come in.

Source: "The way of one message" in `architecture.md` of the design: a restart takes up what was left in between.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway.interactions.csv_ingest import drop_strangers, resume_file
from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway
from gateway.interactions.ingest import carry_out, judge, refused
from gateway.interactions.refused import Refused, error
from gateway.interactions.submission import reopened
from gateway.journal import JournalUnavailable

WITHIN = 2.0
log = structlog.get_logger()


async def resume(gateway: Gateway) -> int:
    """Carry out what a stopped process left in hand, in the order of arrival.

    Shape: how many there were. Their senders got no answer; one that sends again gets the answer made here.
    Units: all of them together get 2 s; a target that is slower counts as down.
    Errors: JournalUnavailable, for a gateway that can't write must not start.
    """
    unfinished = await gateway.journal.unfinished()
    deadline = asyncio.get_running_loop().time() + WITHIN
    for submission in unfinished:
        if submission.data_type == "Csv":
            await resume_file(gateway, submission)
            continue
        seen: dict[str, object] = {"receipt": submission.receipt}
        case = reopened(gateway, submission, deadline)
        if case is None:
            log.error("resume", why="its principal or domain is no longer declared", **seen)
            gateway.journal.abandon(submission.receipt)
            continue
        try:
            case.content.check_acceptable(gateway, case.domain)
            await carry_out(gateway, case, judge(gateway, case), seen)
        except Refused as refusal:
            await refused(gateway, case, refusal, seen, claimed=True)
        except JournalUnavailable:
            raise
        except Exception as fault:  # noqa: BLE001 - one message must not keep the gateway from starting
            log.error("resume", **trace(fault), **seen)
            words = error("exception", "the gateway failed on this message when it took it up again")
            await refused(gateway, case, Refused("down", words), seen, claimed=True)
        log.info("resumed", **seen)
    await drop_strangers(gateway)
    return len(unfinished)
