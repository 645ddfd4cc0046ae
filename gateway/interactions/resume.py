"""After a crash: submissions that were claimed and not settled are taken up again, before new ones come in.

Source: "The way of one message" in `architecture.md` of the design: a restart takes up what was left in between.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway.interactions.gateway import Gateway
from gateway.interactions.ingest import carry_out, judge, refused
from gateway.interactions.refused import Refused
from gateway.interactions.submission import check_acceptable, reopened

log = structlog.get_logger()


async def resume(gateway: Gateway) -> int:
    """Carry out what a stopped process left in hand, in the order of arrival.

    Shape: how many there were. Their senders got no answer; one that sends again gets the answer made here.
    Errors: JournalUnavailable, for a gateway that can't write must not start.
    """
    unfinished = await gateway.journal.unfinished()
    for submission in unfinished:
        seen: dict[str, object] = {"receipt": submission.receipt}
        deadline = asyncio.get_running_loop().time() + gateway.settings.answer_within
        case = reopened(gateway, submission, deadline)
        if case is None:
            log.error("resume", why="its principal or domain is no longer declared", **seen)
            gateway.journal.abandon(submission.receipt)
            continue
        try:
            check_acceptable(case)
            await carry_out(gateway, case, judge(gateway, case), seen)
        except Refused as refusal:
            await refused(gateway, case, refusal, seen, claimed=True)
        log.info("resumed", **seen)
    return len(unfinished)
