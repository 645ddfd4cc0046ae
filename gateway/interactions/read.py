"""`GET /{Type}/{id}` and `GET /{Type}/{id}/_history/{vid}`: one stored resource, as the caller may see it.

Source: https://hl7.org/fhir/R4/http.html#read, #vread
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir
from gateway.interactions import conditions, respond
from gateway.interactions.access import absent, loaded, record, refused, released
from gateway.interactions.around import gather
from gateway.interactions.call import Call, called, permitted, served
from gateway.interactions.conditions import Conditions
from gateway.interactions.deleted import GONE, last_seen
from gateway.interactions.judge_write import View
from gateway.interactions.limits import limited
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import Reply
from gateway.interactions.scopes import check_access
from gateway.interactions.shaping import Pairs, read_shape, shaped
from gateway.upstream import FhirServer

KEPT = ("etag", "last-modified")
FOUND, NOT_MODIFIED = 200, 304


async def read(request: Request) -> Response:
    """Answer with a resource, or with one version of it.

    Errors: Refused: 404 both for what is absent and for what this caller may not see; TargetDown,
    JournalUnavailable.
    """
    call = await called(request)
    wanted = conditions.of_headers(request.headers)
    path = request.path_params
    pairs = list(request.query_params.multi_items())
    return respond.reply(await fetched(call, path["type"], path["id"], path.get("version"), pairs, wanted))


async def fetched(
    call: Call, resource_type: str, resource_id: str, version: str | None, pairs: Pairs, wanted: Conditions
) -> Reply:
    """The answer to a read, or to that of one version: rules call this `history`.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    gateway, action = call.gateway, "read" if version is None else "history"
    name = f"{resource_type}/{resource_id}"
    try:
        server = served(gateway, resource_type)
        check_access(call.asking.scopes, action, resource_type)
        facts = call.asking.facts(gateway, action, type=resource_type)
        decision = permitted(gateway, facts)
        asked = read_shape(call, resource_type, pairs)
    except Refused as refusal:
        await refused(call, action, resource_type, refusal)
        raise
    answer = await (
        server.read(resource_type, resource_id)
        if version is None
        else server.vread(resource_type, resource_id, version)
    )
    stored = loaded(server, answer) if answer.status == FOUND else None
    by: set[str] = set()
    if stored is not None:
        await gather(call, server, [(facts, decision)], [stored])
    seen = released(call, facts, decision, by, stored) if stored is not None else None
    was = await _was(call, server, View(facts, decision), name, answer.status) if version is None else False
    rules = tuple(sorted({*decision.by, *by}))
    if seen is not None:
        await limited(call, action, resource_type, [seen], rules)
    outcome = "gone" if was else "not-found" if seen is None else "permit"
    call.seen.update(rules=rules, outcome=outcome)
    about = [] if seen is None else [seen]
    await record(call, action, resource_type, rules=rules, outcome=outcome, seen=(name,), about=about)
    if was:
        words = f"this {resource_type} was deleted; its earlier versions are in its history"
        raise Refused("unreadable", error("deleted", words, None, "HTTP-F20"), status=GONE)
    if seen is None:
        raise absent(resource_type)
    headers = {key: value for key in KEPT if (value := answer.headers.get(key))}
    if conditions.unchanged(wanted, headers):
        return Reply(NOT_MODIFIED, None, headers)
    shown = shaped(gateway, asked, seen)
    if shown["resourceType"] == "Bundle":
        shown = server.taken_out(shown)  # one that is stored, with whatever addresses it has
    whole = shown is stored and not server.names_itself(answer.body)
    return Reply(FOUND, answer.body if whole else fhir.dump(shown), headers, pretty=bool(asked.pretty))


async def _was(call: Call, server: FhirServer, view: View, name: str, status: int) -> bool:
    """Whether there was such a resource that this caller could see, and it was deleted."""
    if status != GONE:
        return False
    return await last_seen(call, server, view, *name.split("/")) is not None
