"""The gateway with no decision at all: whoever has a token is passed on, and what comes back is answered as it came.

All else is the gateway's own: its guard, tokens, limits, exchange with the target, audit row on the disk, log line.
`python -m tests.bench.undecided serve ...` takes what `gateway` takes.

Source of what it is for: "Bars" in `facade.md` of the design, "the same proxy with no decision at all".
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import app
from gateway.__main__ import main
from gateway.interactions.access import record
from gateway.interactions.call import called, served


async def _pass_on(request: Request) -> Response:
    call = await called(request)
    resource_type = request.path_params["type"]
    answer = await served(call.gateway, resource_type).search(resource_type, request.query_params.multi_items())
    await record(call, "search", f"{resource_type}?", rules=(), outcome="permit")
    return Response(answer.body, answer.status, media_type="application/fhir+json")


if __name__ == "__main__":
    app.ROUTES[0] = Route("/{type:resource_type}", _pass_on, methods=["GET"])
    main()
