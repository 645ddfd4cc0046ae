"""`GET /$ingest/receipts/{id}`: what became of a submission, for the principal that sent it alone."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway import fhir
from gateway.interactions.csv_tally import restored
from gateway.interactions.gateway import of
from gateway.interactions.identify import identify
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import NO_STORE
from gateway.interactions.scopes import check_ingest
from gateway.journal import Progress


async def receipt(request: Request) -> Response:
    """Answer with the state of a submission, target by target.

    Errors: Refused (404) for a receipt that isn't there, or is another principal's.
    """
    gateway = of(request)
    asking = await identify(request, gateway)
    check_ingest(asking.scopes)
    found = await gateway.journal.find(request.path_params["id"])
    if found is None or found.principal != asking.caller.name:
        raise Refused("unreadable", error("not-found", "there is no such receipt of yours"), status=404)
    state = {
        "receipt": found.receipt,
        "received": found.received,
        "domain": found.domain,
        "organisation": found.organisation,
        "dataType": found.data_type,
        "type": found.type,
        "state": found.state,
        "targets": [
            {"target": target.target, "state": target.state, "attempts": target.attempts, "why": target.why}
            for target in found.targets
        ],
    }
    progress = await gateway.journal.find_progress(found.receipt)
    if progress is not None:
        state |= _rows(progress)
    return JSONResponse(state, headers=NO_STORE)


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
