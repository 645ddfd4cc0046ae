"""What goes into a journal with its payloads sealed, and what comes out with them opened: value to value.

The receipt and the column tell the payloads of a journal apart: a submission's `body`, its `answer`, what is queued for
a target, and the `issues` of a file's rows. What is looked for (keys, hashes, names, states) stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.journal.model import Answer, Outcome, Progress, Queued, Receipt, Submission, TargetState
from gateway.journal.sealed import Key, KeyMissing, Unsealable, seal, unseal

BODY, ANSWER, ISSUES = "body", "answer", "issues"


def payload_of(target: str) -> str:
    """Name of what is queued for a target."""
    return f"payload for {target}"


def sealed_submission(keys: Sequence[Key], submission: Submission) -> Submission:
    """A submission as it is stored."""
    return replace(submission, body=seal(keys, submission.body, submission.receipt, BODY))


def opened_submission(keys: Sequence[Key], stored: Submission) -> Submission:
    """A submission as it came.

    Errors: Unsealable.
    """
    return replace(stored, body=unseal(keys, stored.body, stored.receipt, BODY))


def sealed_outcome(keys: Sequence[Key], receipt: str, outcome: Outcome) -> Outcome:
    """How a submission ended, as it is stored."""
    told = replace(outcome.answer, body=seal(keys, outcome.answer.body, receipt, ANSWER))
    return replace(outcome, answer=told, targets=tuple(_sealed_target(keys, receipt, one) for one in outcome.targets))


def _sealed_target(keys: Sequence[Key], receipt: str, target: TargetState) -> TargetState:
    if target.payload is None:
        return target
    return replace(target, payload=seal(keys, target.payload, receipt, payload_of(target.target)))


def opened_answer(keys: Sequence[Key], receipt: str, stored: Answer) -> Answer:
    """An answer as its sender got it.

    Errors: Unsealable.
    """
    return replace(stored, body=unseal(keys, stored.body, receipt, ANSWER))


def opened_receipt(keys: Sequence[Key], stored: Receipt) -> Receipt:
    """A receipt with its answer.

    Errors: Unsealable.
    """
    return stored if stored.answer is None else replace(
        stored, answer=opened_answer(keys, stored.receipt, stored.answer)
    )  # fmt: skip


def opened_item(keys: Sequence[Key], stored: Queued) -> Queued:
    """An item of the queue with what is to be delivered: its own payload, or the submission's body.

    Errors: Unsealable.
    """
    try:
        payload = unseal(keys, stored.payload, stored.receipt, payload_of(stored.target))
    except KeyMissing:
        raise
    except Unsealable:
        payload = unseal(keys, stored.payload, stored.receipt, BODY)
    return replace(stored, payload=payload)


def sealed_progress(keys: Sequence[Key], receipt: str, told: Progress) -> Progress:
    """How far a file has come, as it is stored."""
    return replace(told, issues=seal(keys, told.issues, receipt, ISSUES))


def opened_progress(keys: Sequence[Key], receipt: str, stored: Progress) -> Progress:
    """How far a file has come.

    Errors: Unsealable.
    """
    return replace(stored, issues=unseal(keys, stored.issues, receipt, ISSUES))
