"""`GET /$ingest/receipts/{id}`: what became of a submission, for the principal that sent it alone."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.interactions.gateway import of
from gateway.interactions.identify import identify
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import NO_STORE
from gateway.interactions.scopes import check_ingest


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
    return JSONResponse(state, headers=NO_STORE)
