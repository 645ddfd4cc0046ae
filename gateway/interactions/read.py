"""`GET /{Type}/{id}`: one stored resource, as the caller may see it.

Source: https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir
from gateway.interactions import respond
from gateway.interactions.access import check_format, permitted, record, refused, released, served
from gateway.interactions.filling import loaded
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
    name = f"{resource_type}/{resource_id}"
    try:
        server = served(gateway, resource_type)
        check_access(asking.scopes, "read", resource_type)
        facts = asking.facts(gateway, "read", type=resource_type)
        decision = permitted(gateway, facts)
    except Refused as refusal:
        await refused(request, gateway, asking, "read", resource_type, refusal)
        raise
    answer = await server.read(resource_type, resource_id)
    stored = loaded(server, answer) if answer.status == FOUND else None
    by: set[str] = set()
    seen = released(gateway, facts, decision, by, stored) if stored is not None else None
    rules = tuple(sorted({*decision.by, *by}))
    outcome = "not-found" if seen is None else "permit"
    request.state.log.update(rules=rules, outcome=outcome)
    await record(gateway, asking, "read", resource_type, rules=rules, outcome=outcome, seen=(name,))
    if seen is None:
        raise Refused("unreadable", error("not-found", f"there is no such {resource_type}"), status=404)
    headers = {key: value for key in KEPT if (value := answer.headers.get(key))}
    if headers.get("etag") and headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(None, NOT_MODIFIED, {**respond.NO_STORE, **headers})
    return respond.resource(answer.body if seen is stored else fhir.dump(seen), headers=headers)
