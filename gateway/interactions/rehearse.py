"""How a stored submission would be judged by these rules: the steps of its ingest, without claim, delivery or record.

Source: "The way of one message" in `architecture.md` of the design, steps 2, 3 and 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.interactions import csv_submission
from gateway.interactions.csv_judging import check_rows, judge_rows
from gateway.interactions.csv_tally import Tally
from gateway.interactions.gateway import Gateway
from gateway.interactions.ingest import convert, judge
from gateway.interactions.refused import Refused
from gateway.interactions.submission import reopened
from gateway.journal import Submission
from gateway.journal.model import State

UNDECLARED = "its principal or domain is not declared"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a submission is judged.

    Shape: `rules` are the ids of those that decided, as the journal keeps them; `targets` where it would go, None where
    that is not known without delivering; `words` what its sender would be told.
    """

    state: State
    rules: tuple[str, ...]
    targets: frozenset[str] | None
    words: tuple[str, ...] = ()


async def rehearse(gateway: Gateway, submission: Submission) -> Verdict:
    """Judge a submission as on the day when it came.

    Errors: OSError for a file that is not there any more; what ingest itself would fail on.
    """
    received = datetime.fromisoformat(submission.received)
    gateway = replace(gateway, clock=lambda: received)
    try:
        if submission.data_type == "Csv":
            return await _file(gateway, submission)
        return _case(gateway, submission)
    except Refused as refusal:
        words = tuple(finding.diagnostics for finding in refusal.findings)
        return Verdict(refusal.state, refusal.deciding, None, words)


def _case(gateway: Gateway, submission: Submission) -> Verdict:
    """A message, resource or Bundle. Errors: Refused."""
    case = reopened(gateway, submission, math.inf)
    if case is None:
        return Verdict("denied", (), None, (UNDECLARED,))
    case.content.check_acceptable(gateway, case.domain)
    decision = judge(gateway, case)
    convert(gateway, case)
    return Verdict("accepted", decision.by, frozenset(routing.target for routing in decision.routes))


async def _file(gateway: Gateway, submission: Submission) -> Verdict:
    """A file, row by row. Errors: Refused, OSError."""
    file = csv_submission.reopened(gateway, submission, math.inf)
    if file is None:
        return Verdict("denied", (), None, (UNDECLARED,))
    csv_submission.permitted(gateway, file)
    tally = Tally()
    await judge_rows(gateway, file, tally, None)
    check_rows(file, tally)
    return Verdict("accepted", (), None)
