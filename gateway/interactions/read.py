"""`GET /{Type}/{id}`: one stored resource, as the caller may see it.

Source: https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir
from gateway.interactions import respond
from gateway.interactions.access import check_format, permitted, record, released, served
from gateway.interactions.gateway import of
from gateway.interactions.identify import identify
from gateway.interactions.refused import Refused, error
from gateway.interactions.scopes import check_access

KEPT = ("etag", "last-modified")
FOUND, NOT_MODIFIED = 200, 304


async def read(request: Request) -> Response:
    """Answer with a resource.

    Errors: Refused: 404 both for what is absent and for what this caller may not see; TargetDown,
    JournalUnavailable.
    """
    gateway = of(request)
    asking = await identify(request, gateway)
    check_format(request)
    resource_type, resource_id = request.path_params["type"], request.path_params["id"]
    server = served(gateway, resource_type)
    facts = asking.facts(gateway, "read", type=resource_type)
    name = f"{resource_type}/{resource_id}"
    try:
        check_access(asking.scopes, "read", resource_type)
        decision = permitted(gateway, facts)
    except Refused as refusal:
        await record(gateway, asking, "read", resource_type, rules=refusal.rules, outcome="denied", seen=(name,))
        raise
    answer = await server.read(resource_type, resource_id)
    stored = fhir.load(answer.body) if answer.status == FOUND else None
    seen = released(gateway, facts, decision, stored) if stored is not None else None
    request.state.log.update(rules=decision.by, outcome="permit" if seen else "not-found")
    outcome = "permit" if seen is not None else "not-found"
    await record(gateway, asking, "read", resource_type, rules=decision.by, outcome=outcome, seen=(name,))
    if seen is None:
        raise Refused("unreadable", error("not-found", f"there is no such {resource_type}"), status=404)
    headers = {key: value for key in KEPT if (value := answer.headers.get(key))}
    if headers.get("etag") and headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(None, NOT_MODIFIED, {**respond.NO_STORE, **headers})
    return respond.resource(answer.body if seen is stored else fhir.dump(seen), headers=headers)
