"""`GET /{Type}/{id}/_history`: the versions of a resource, each judged as if it stood.

Source: https://hl7.org/fhir/R4/http.html#history; `facade.md` of the design, "Narrow, then check again"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir
from gateway.interactions import respond
from gateway.interactions.access import absent, loaded, record, refused, released
from gateway.interactions.around import gather
from gateway.interactions.call import Call, Resource, called, permitted, served
from gateway.interactions.limits import limited
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import Reply
from gateway.interactions.scopes import check_access
from gateway.interactions.searchsets import behind
from gateway.interactions.shaping import Pairs, read_shape, shaped
from gateway.upstream import FhirServer

FOUND = 200
MOST_PAGES = 100
TOLD = ("status", "etag", "lastModified")
"""What is passed on of how each version came about; an address of the upstream never is."""


async def history(request: Request) -> Response:
    """Answer with the versions of a resource, newest first, all in one Bundle.

    Errors: Refused: 404 both for what is absent and where this caller may see no version; TargetDown,
    JournalUnavailable.
    """
    call = await called(request)
    path, pairs = request.path_params, list(request.query_params.multi_items())
    return respond.reply(await versions(call, path["type"], path["id"], pairs))


async def versions(call: Call, resource_type: str, resource_id: str, pairs: Pairs) -> Reply:
    """The answer to a request for the history of a resource.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    gateway, name = call.gateway, f"{resource_type}/{resource_id}"
    try:
        server = served(gateway, resource_type)
        check_access(call.asking.scopes, "history", resource_type)
        facts = call.asking.facts(gateway, "history", type=resource_type)
        decision = permitted(gateway, facts)
        asked = read_shape(call, resource_type, pairs)
        entries = await _entries(server, resource_type, resource_id)
    except Refused as refusal:
        await refused(call, "history", resource_type, refusal)
        raise
    by: set[str] = set()
    judged = [(entry, entry.get("resource")) for entry in entries]
    await gather(call, server, [(facts, decision)], [stored for _, stored in judged if stored is not None])
    seen = _seen([
        (entry, None if stored is None else released(call, facts, decision, by, stored), stored is None)
        for entry, stored in judged
    ])  # fmt: skip
    rules = tuple(sorted({*decision.by, *by}))
    await limited(call, "history", resource_type, [shown for _, shown in seen if shown is not None], rules)
    outcome = "permit" if seen else "not-found"
    call.seen.update(rules=rules, outcome=outcome, resources=len(seen))
    await record(call, "history", resource_type, rules=rules, outcome=outcome, seen=(name,))
    if not seen:
        raise absent(resource_type)
    base = gateway.settings.public_url
    bundle = {
        "resourceType": "Bundle",
        "type": "history",
        "total": len(seen),
        "link": [{"relation": "self", "url": f"{base}/{name}/_history"}],
        "entry": [
            {
                "fullUrl": f"{base}/{name}",
                **({} if shown is None else {"resource": shaped(gateway, asked, shown)}),
                "request": {"method": "DELETE" if shown is None else "PUT", "url": name},
                "response": _told(entry, shown),
            }
            for entry, shown in seen
        ],
    }
    return Reply(FOUND, fhir.dump(bundle), pretty=bool(asked.pretty))


Seen = list[tuple[dict[str, Any], Resource | None]]


def _seen(entries: Sequence[tuple[dict[str, Any], Resource | None, bool]]) -> Seen:
    """The versions that are shown, None for a deletion.

    Shape: `entries`, newest first, are with what is shown of each and whether it is a deletion, which shows nothing by
    which it could be judged: it is told to those who see the version before it.
    """
    found: Seen = []
    before = False
    for entry, shown, deletion in reversed(entries):
        before = before if deletion else shown is not None
        if before:
            found.append((entry, shown))
    return found[::-1]


async def _entries(server: FhirServer, resource_type: str, resource_id: str) -> list[dict[str, Any]]:
    """Entries of all pages of a history; none where there is no such resource.

    Errors: TargetDown; Refused for more than can be judged in one answer.
    """
    answer, at = await server.history(resource_type, resource_id), None
    entries: list[dict[str, Any]] = []
    for _ in range(MOST_PAGES):
        if answer.status != FOUND:
            return []
        page = loaded(server, answer)
        entries += page.get("entry", ())
        at = behind(server, page, at)
        if at is None:
            return entries
        answer = await server.page(at)
    words = f"this {resource_type} has more versions than one answer holds; read one by its version"
    raise Refused("unreadable", error("too-costly", words, None, "HTTP-F13"))


def _told(entry: dict[str, Any], shown: dict[str, Any] | None) -> dict[str, Any]:
    """How a version came about, as far as the upstream says; its tag and time are in the version too."""
    meta, response = (shown or {}).get("meta", {}), entry.get("response", {})
    told = {name: response[name] for name in TOLD if name in response}
    own = {"status": "204 No Content" if shown is None else "200 OK"}
    if "versionId" in meta:
        own["etag"] = f'W/"{meta["versionId"]}"'
    if "lastUpdated" in meta:
        own["lastModified"] = meta["lastUpdated"]
    return {**own, **told}
