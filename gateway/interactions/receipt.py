"""`GET /$ingest/receipts/{id}`: what became of a submission, for the principal that sent it alone."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway import fhir
from gateway.interactions.at_the_door import row_of
from gateway.interactions.csv_tally import restored
from gateway.interactions.gateway import of
from gateway.interactions.identify import identify
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import NO_STORE
from gateway.interactions.scopes import check_ingest
from gateway.journal import Answer, Delivery, Progress

RECEIPT = "receipt"


async def receipt(request: Request) -> Response:
    """Answer with the state of a submission, target by target.

    Errors: Refused: 404 for a receipt that isn't there, or is another principal's, 410 once retention took it out.
    """
    gateway = of(request)
    asking = await identify(request, gateway)
    check_ingest(asking.scopes)
    found = await gateway.journal.find(request.path_params["id"])
    theirs = found is not None and found.principal == asking.caller.name
    what, outcome = ("no receipt of theirs", "not-found")
    if found is not None and theirs:
        what, outcome = f"receipt {found.receipt}", "permit"
    await gateway.journal.audit(row_of(request, gateway, RECEIPT, what, outcome, asking.caller.name))
    if found is None or not theirs:
        raise Refused("unreadable", error("not-found", "there is no such receipt of yours"), status=404)
    if found.purged is not None:
        words = (
            f"this submission was {found.state} and is kept no longer: it was taken out on {found.purged[:10]}, by the "
            f"retention of {found.domain}"
        )
        raise Refused("unreadable", error("not-found", words, None, "HTTP-R01"), status=410)
    state = {
        "receipt": found.receipt,
        "received": found.received,
        "domain": found.domain,
        "organisation": found.organisation,
        "dataType": found.data_type,
        "type": found.type,
        "controlId": found.control_id,
        "state": found.state,
        "answer": None if found.answer is None else _answer(found.answer),
        "targets": [_target(target) for target in found.targets],
    }
    progress = await gateway.journal.find_progress(found.receipt)
    if progress is not None:
        state |= _rows(progress)
    return JSONResponse(state, headers=NO_STORE)


def _target(target: Delivery) -> dict[str, Any]:
    """What became of it at one target, and when that is tried again."""
    return {
        "target": target.target,
        "state": target.state,
        "attempts": target.attempts,
        "why": target.why,
        "nextAt": target.next_at,
        "until": target.deadline if target.state == "queued" else None,
    }


def _answer(told: Answer) -> dict[str, Any]:
    """What the sender was answered, for one that did not hear it: why it was refused stands there."""
    return {"status": told.status, "mediaType": told.media_type, "body": told.body.decode("utf-8", "replace")}


def _rows(progress: Progress) -> dict[str, Any]:
    """What became of the rows of a file: what is done with it now, the counts, and the issues of faulty rows."""
    tally = restored(progress)
    issues = [
        {
            "severity": f.severity,
            "code": f.code,
            "place": f.expression,
            "rule": f.rule,
            "diagnostics": fhir.clean(f.diagnostics),
        }
        for f in tally.issues
    ]
    return {
        "phase": progress.phase,
        "rows": {"read": tally.read, "stored": tally.stored, "refused": tally.refused},
        "issues": issues,
        "moreIssues": tally.more,
    }
