"""`GET /$export`, `GET /Patient/$export`: what a caller may read, by type, as files of one resource a line.

It is begun by one request, done behind it, and asked for by others: the asynchronous pattern. Each resource goes out as
the rules on this operation and on `read` both release it.
Source: http://hl7.org/fhir/uv/bulkdata/STU2/export.html; https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from gateway import fhir
from gateway.documents.operation_paths import NDJSON
from gateway.interactions import respond
from gateway.interactions.access import record, refused
from gateway.interactions.around import gather
from gateway.interactions.call import Call, Resource, Right, called, readable
from gateway.interactions.conditions import http_date
from gateway.interactions.everything import changed_since, since_of, types_of
from gateway.interactions.exports import MOST_AT_ONCE, Export, Exports, Owner
from gateway.interactions.limits import limited
from gateway.interactions.operation import Operating, only_known, operating, released_by_both
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import NO_STORE
from gateway.interactions.searchsets import NotTaken, searchsets
from gateway.upstream import TargetDown

EXPORT = "export"
ACTION = f"operation {EXPORT}"
PATIENT = "Patient"
TAKEN = ("_since", "_type", "_outputFormat", "_format")
FORMATS = frozenset({NDJSON, "application/ndjson", "ndjson"})
ACCEPTED = 202
ASK_AGAIN = "2"
"""Units: seconds."""


@dataclass(frozen=True, slots=True)
class Type:
    """One type that goes out: by the rules on the operation, and by those on reading."""

    name: str
    under: Operating
    right: Right


async def export(request: Request) -> Response:
    """Begin an export: of all types, or of patients and what is theirs.

    Errors: Refused: 400, 403, 404, 429; JournalUnavailable.
    """
    call = await called(request)
    within = request.path_params.get("type")
    try:
        _check_whole(within)
        types, since = _asked(call, request, within)
    except Refused as refusal:
        await refused(call, ACTION, within or "", refusal)
        raise
    rules = tuple(sorted({rule for one in types for rule in (*one.under.decision.by, *one.right.decision.by)}))
    call.seen.update(rules=rules, outcome="permit")
    await record(call, ACTION, ",".join(one.name for one in types), rules=rules, outcome="permit")
    gateway = call.gateway
    asked = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    address = f"{gateway.settings.public_url}{asked}"

    def made(name: str, folder: Path) -> Export:
        return Export(
            name, _owner(call), call.asking.scopes.key, gateway.rules.digest, address,
            tuple(one.name for one in types), gateway.clock(), folder,
        )  # fmt: skip

    _check_few(call)  # others may have begun while the audit was written
    try:
        one = _exports(call).begin(made, partial(_written, call, types, since), gateway.clock)
    except OSError as fault:
        words = "the files of an export can't be kept now; begin it again later"
        raise Refused("down", error("transient", words, None, "HTTP-O06")) from fault
    where = f"{gateway.settings.public_url}/${EXPORT}/{one.id}"
    return Response(None, ACCEPTED, {**NO_STORE, "Content-Location": where})


async def status(request: Request) -> Response:
    """How far an export is, or where its files are.

    Errors: Refused: 404 for one that there isn't, or that is another's; what ended it.
    """
    call = await called(request)
    one = await _found(call, request)
    base = call.gateway.settings.public_url
    if one.failed is not None:
        raise Refused("failed", *one.failed[0], status=one.failed[1])
    if one.done is None:
        progress = f"{one.finished} of {len(one.types)} types"
        return Response(None, ACCEPTED, {**NO_STORE, "X-Progress": progress, "Retry-After": ASK_AGAIN})
    manifest = {
        "transactionTime": respond.instant(one.begun),
        "request": one.request,
        "requiresAccessToken": True,
        "output": [
            {"type": kind, "url": f"{base}/${EXPORT}/{one.id}/{kind}.ndjson", "count": count}
            for kind, count in sorted(one.files.items())
        ],
        "error": [],
    }
    expires = http_date(one.expires.isoformat()) or ""
    return JSONResponse(manifest, 200, {**NO_STORE, "Expires": expires})


async def cancel(request: Request) -> Response:
    """End an export and remove its files.

    Errors: Refused (404).
    """
    call = await called(request)
    one = await _found(call, request)
    _exports(call).remove(one.id)
    await record(call, ACTION, "ended", rules=(), outcome="permit", seen=(one.id,))
    return Response(None, ACCEPTED, dict(NO_STORE))


async def file(request: Request) -> Response:
    """A file of an export that is done.

    Errors: Refused (404), JournalUnavailable.
    """
    call = await called(request)
    one = await _found(call, request)
    kind = str(request.path_params["name"]).removesuffix(".ndjson")
    if one.done is None or one.failed is not None or kind not in one.files:
        raise _absent()
    call.seen.update(outcome="permit", resources=one.files[kind])
    await record(call, ACTION, f"{kind}.ndjson", rules=(), outcome="permit", seen=(one.id,))
    return FileResponse(one.path(kind), media_type=NDJSON, headers=dict(NO_STORE))


def _check_whole(within: str | None) -> None:
    if within not in {None, PATIENT}:
        words = f"${EXPORT} is for the whole or for Patient here: GET /${EXPORT}, GET /Patient/${EXPORT}"
        raise Refused("unreadable", error("not-supported", words, None, "HTTP-O04"), status=404)


def _exports(call: Call) -> Exports:
    exports = call.gateway.exports
    if exports is None:
        words = "this gateway keeps no exports"
        raise Refused("unreadable", error("not-supported", words, None, "HTTP-O04"), status=404)
    return exports


def _owner(call: Call) -> Owner:
    asking = call.asking
    return asking.caller.name, asking.purpose, asking.user, asking.reason is not None


async def _found(call: Call, request: Request) -> Export:
    """The export of this address; the audit tells who asks for what it may not have.

    Errors: Refused (404), JournalUnavailable.
    """
    try:
        return _own(call, request)
    except Refused as refusal:
        await refused(call, ACTION, "export", refusal)
        raise


def _own(call: Call, request: Request) -> Export:
    """The export of this address, where it is the caller's, and the rules and scopes that decided it still hold.

    Errors: Refused (404), the same for what there isn't, what is another's and what has expired.
    """
    asking, exports = call.asking, _exports(call)
    one = exports.find(str(request.path_params["job"]), _owner(call), call.gateway.clock())
    if one is None:
        raise _absent()
    if one.digest != call.gateway.rules.digest:
        exports.remove(one.id)  # what it holds may be what nobody may see by now
        raise _absent()
    if asking.scopes.names and asking.scopes.key != one.scopes:
        raise _absent()
    return one


def _absent() -> Refused:
    words = "there is no such export of this caller, or it has expired or was decided by other rules; begin it again"
    return Refused("unreadable", error("not-found", words, None, "HTTP-O07"), status=404)


def _asked(call: Call, request: Request, within: str | None) -> tuple[tuple[Type, ...], datetime | None]:
    """The types that go out, and from when.

    Errors: Refused.
    """
    sent = request.query_params
    types = _types(call, types_of(call, sent.get("_type")), within)
    only_known(request, TAKEN)
    since = since_of(sent.get("_since"))
    prefer = [part.strip().lower() for value in request.headers.getlist("prefer") for part in value.split(",")]
    if "respond-async" not in prefer:
        words = "an export takes time: send Prefer: respond-async, and ask the address in Content-Location for it"
        raise Refused("unreadable", error("required", words, "Prefer", "HTTP-O08"))
    if sent.get("_outputFormat", NDJSON).replace(" ", "+") not in FORMATS:
        words = f"files are {NDJSON} alone"
        raise Refused("unreadable", error("not-supported", words, "_outputFormat", "HTTP-O05"))
    _check_few(call)
    return types, since


def _check_few(call: Call) -> None:
    """Whether the caller may begin another export. Errors: Refused (429)."""
    if _exports(call).under_way(call.asking.caller.name) >= MOST_AT_ONCE:
        words = f"{MOST_AT_ONCE} exports of yours are under way; wait for one, or end it by DELETE"
        raise Refused(
            "too-many", error("throttled", words, None, "HTTP-O08"), headers={"Retry-After": ASK_AGAIN}, status=429
        )


def _types(call: Call, named: frozenset[str] | None, within: str | None) -> tuple[Type, ...]:
    """Types that the caller may both export and read.

    Errors: Refused (403) where there is none, or one that it names is not among them.
    """
    gateway = call.gateway
    every = sorted(kind for kind in gateway.rules.served if within is None or _theirs(call, kind))
    found: list[Type] = []
    refusals: list[Refused] = []
    for kind in sorted(named) if named is not None else every:
        try:
            found.append(Type(kind, operating(call, EXPORT, kind), _right(call, kind, every)))
        except Refused as refusal:
            refusals.append(refusal)
    if refusals and (named is not None or not found):
        raise min(refusals, key=lambda refusal: not refusal.rules)
    if not found:
        operating(call, EXPORT, within or PATIENT)
        raise Refused("denied", error("forbidden", "nothing here may be exported", None, "HTTP-O08"))
    return tuple(found)


def _right(call: Call, kind: str, every: Sequence[str]) -> Right:
    """The right to read what goes out. Errors: Refused (403)."""
    right = readable(call, kind) if kind in every else None
    if right is None:
        words = f"{kind} is not among what you may read here"
        raise Refused("denied", error("forbidden", words, "_type", "HTTP-O08"))
    return right


def _theirs(call: Call, kind: str) -> bool:
    return kind == PATIENT or call.gateway.elements.in_patient_compartment(kind)


# --- behind the answer -----------------------------------------------------------------------------------------------


async def _written(call: Call, types: Sequence[Type], since: datetime | None, one: Export) -> None:
    """Write the files. What ends it early is what whoever asks for it is told.

    Errors: OSError.
    """
    try:
        for kind in types:
            await _of_type(call, kind, since, one)
            one.finished += 1
    except Refused as refusal:
        one.failed = refusal.findings, refusal.status
    except TargetDown as fault:
        words = f"target {fault.target} is down; begin the export again later"
        one.failed = (error("transient", words, None, "TGT-01"),), 503


async def _of_type(call: Call, kind: Type, since: datetime | None, one: Export) -> None:
    asked = [("_count", str(call.gateway.settings.page_limit))]
    try:
        async for page in searchsets(kind.right.server, kind.name, asked):
            await _of_page(call, kind, [r for r in page.resources if r["resourceType"] == kind.name], since, one)
    except NotTaken as fault:
        words = f"the FHIR server did not list {kind.name}"
        raise Refused("failed", error("processing", words), status=500) from fault


async def _of_page(call: Call, kind: Type, resources: Sequence[Resource], since: datetime | None, one: Export) -> None:
    """Judge a page, tell the audit, and write it: in this order, so that nothing goes out that the audit lacks."""
    own = replace(call, seen={"request": call.seen["request"]}, around={}, inside=set())
    judgings = [(kind.under.facts, kind.under.decision), (kind.right.facts, kind.right.decision)]
    await gather(own, kind.right.server, judgings, resources)
    by: set[str] = set()
    seen = (released_by_both(own, kind.under, *judgings[1], by, resource) for resource in resources)
    found = [resource for resource in seen if resource is not None and changed_since(resource, since)]
    if not found:
        return
    rules = tuple(sorted(by))
    await limited(own, ACTION, kind.name, found, rules)
    names = [f"{kind.name}/{resource['id']}" for resource in found]
    await record(own, ACTION, kind.name, rules=rules, outcome="permit", seen=names)
    lines = b"".join(fhir.dump(resource) + b"\n" for resource in found)
    await asyncio.to_thread(one.add, kind.name, lines, len(found))
