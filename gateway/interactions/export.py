"""`GET` and `POST /$export`, `/Patient/$export`: what a caller may read, by type, as files of one resource a line.

It is begun by one request, done behind it, and asked for by others: the asynchronous pattern. Each resource goes out as
the rules on this operation and on `read` both release it.
Source: http://hl7.org/fhir/uv/bulkdata/STU2/export.html; https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from gateway import fhir, query
from gateway.documents.operation_paths import NDJSON
from gateway.interactions import respond
from gateway.interactions.access import record, refused
from gateway.interactions.around import gather
from gateway.interactions.call import Call, Resource, Right, called, readable
from gateway.interactions.conditions import http_date
from gateway.interactions.everything import changed_since, since_of, types_of
from gateway.interactions.export_state import Failure, Owner, State
from gateway.interactions.exports import MOST_AT_ONCE, MOST_KEPT, Export, Exports, TooLarge
from gateway.interactions.judging import Judging, narrowed
from gateway.interactions.limits import Tally, limited
from gateway.interactions.operation import Operating, only_known, operating, released_by_both
from gateway.interactions.parameters import Pairs, joined
from gateway.interactions.parameters import asked as asked_of
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import NO_STORE
from gateway.interactions.searchsets import NotTaken, searchsets
from gateway.journal import JournalUnavailable
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
        types, since = _asked(call, request, joined(await asked_of(request, call.gateway), "_type"), within)
    except Refused as refusal:
        await refused(call, ACTION, within or "", refusal)
        raise
    rules = tuple(sorted({rule for one in types for rule in (*one.under.decision.by, *one.right.decision.by)}))
    call.seen.update(rules=rules, outcome="permit")
    await record(call, ACTION, ",".join(one.name for one in types), rules=rules, outcome="permit")
    gateway = call.gateway
    asked = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    state = State(
        "", _owner(call), call.asking.scopes.key, gateway.rules.digest, f"{gateway.settings.public_url}{asked}",
        tuple(one.name for one in types), gateway.clock(),
    )  # fmt: skip
    _check_few(call)  # others may have begun while the audit was written
    try:
        one = _exports(call).begin(state, partial(_written, call, types, since), gateway.clock)
    except OSError as fault:
        words = "the files of an export can't be kept now; begin it again later"
        raise Refused("down", error("transient", words, None, "HTTP-O06")) from fault
    where = f"{gateway.settings.public_url}/${EXPORT}/{one.state.id}"
    return Response(None, ACCEPTED, {**NO_STORE, "Content-Location": where})


async def status(request: Request) -> Response:
    """How far an export is, or where its files are.

    Errors: Refused: 404 for one that there isn't, or that is another's; what ended it.
    """
    call = await called(request)
    one = (await _found(call, request)).state
    base = call.gateway.settings.public_url
    if one.failed is not None:
        headers = _later(one.failed, call.gateway.clock() - (one.done or one.begun))
        raise Refused("failed", *one.failed.findings, status=one.failed.status, headers=headers)
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
    expires = http_date(_exports(call).expires(one).isoformat()) or ""
    return JSONResponse(manifest, 200, {**NO_STORE, "Expires": expires})


async def cancel(request: Request) -> Response:
    """End an export and remove its files.

    Errors: Refused (404).
    """
    call = await called(request)
    one = await _found(call, request)
    _exports(call).remove(one.state.id)
    await record(call, ACTION, "ended", rules=(), outcome="permit", seen=(one.state.id,))
    return Response(None, ACCEPTED, dict(NO_STORE))


async def file(request: Request) -> Response:
    """A file of an export that is done.

    Errors: Refused (404), JournalUnavailable.
    """
    call = await called(request)
    one = await _found(call, request)
    kind = str(request.path_params["name"]).removesuffix(".ndjson")
    state = one.state
    if state.done is None or state.failed is not None or kind not in state.files:
        raise _absent()
    call.seen.update(outcome="permit", resources=state.files[kind])
    await record(call, ACTION, f"{kind}.ndjson", rules=(), outcome="permit", seen=(state.id,))
    return FileResponse(one.path(kind), media_type=NDJSON, headers=dict(NO_STORE))


def _later(failed: Failure, past: timedelta) -> dict[str, str]:
    """The headers that tell of a failure, when to ask again counted from now."""
    wait = failed.headers.get("Retry-After")
    if wait is None:
        return dict(failed.headers)
    return {**failed.headers, "Retry-After": str(max(1, int(wait) - int(past.total_seconds())))}


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
    asking, caller = call.asking, call.asking.caller
    return caller.name, asking.purpose, asking.user, asking.reason is not None, tuple(sorted(caller.roles))


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
    if one.state.digest != call.gateway.rules.digest:
        exports.remove(one.state.id)  # what it holds may be what nobody may see by now
        raise _absent()
    if asking.scopes.names and asking.scopes.key != one.state.scopes:
        raise _absent()
    return one


def _absent() -> Refused:
    words = "there is no such export of this caller, or it has expired or was decided by other rules; begin it again"
    return Refused("unreadable", error("not-found", words, None, "HTTP-O07"), status=404)


def _asked(call: Call, request: Request, pairs: Pairs, within: str | None) -> tuple[tuple[Type, ...], datetime | None]:
    """The types that go out, and from when.

    Errors: Refused.
    """
    sent = dict(pairs)
    types = _types(call, types_of(call, sent.get("_type")), within)
    only_known(pairs, TAKEN)
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
    """Whether the caller may begin another export; of those that failed, the oldest makes room.

    Errors: Refused (429).
    """
    exports, now = _exports(call), call.gateway.clock()
    own = exports.of(call.asking.caller.name, now)
    if sum(1 for one in own if exports.is_under_way(one)) >= MOST_AT_ONCE:
        raise _full(f"{MOST_AT_ONCE} exports of yours are under way; wait for one, or end it by DELETE", ASK_AGAIN)
    if len(own) < MOST_KEPT:
        return
    failed = next((one for one in own if one.failed is not None), None)
    if failed is None:
        first = math.ceil((min(map(exports.expires, own)) - now).total_seconds())
        words = f"{MOST_KEPT} exports of yours are kept here; remove one by DELETE, or wait until the first expires"
        raise _full(words, str(max(1, first)))
    exports.remove(failed.id)


def _full(words: str, later: str) -> Refused:
    return Refused("too-many", error("throttled", words, None, "HTTP-O08"), headers={"Retry-After": later}, status=429)


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


async def _written(call: Call, types: Sequence[Type], since: datetime | None, one: Export) -> Failure | None:
    """Write the files. What ends it early is what whoever asks for it is told.

    Shape: where this caller may see so much a day alone, all of it is judged and counted before any is written: an
    export that is too much gives nothing, and nothing of it counts.
    Errors: OSError; what is a fault.
    """
    try:
        await _counted(call, types, since)
        for kind in types:
            async for page in _pages(call, kind, since):
                await _put(page, kind, one)
            one.state = replace(one.state, finished=one.state.finished + 1)
            await asyncio.to_thread(one.save)
    except Refused as refusal:
        if refusal.reason == "too-many":
            await refused(call, ACTION, ",".join(kind.name for kind in types), refusal)
        return Failure(tuple(refusal.findings), refusal.status, refusal.headers)
    except TargetDown as fault:
        words = f"target {fault.target} is down; begin the export again later"
        return Failure((error("transient", words, None, "TGT-01"),), 503)
    except JournalUnavailable:
        words = "the audit can't be written, so nothing goes out; begin the export again later"
        return Failure((error("transient", words, None, "JRN-01"),), 503)
    except TooLarge:
        words = f"your exports would take more than {call.gateway.settings.export_limit} bytes; remove some by DELETE, "
        words += "or ask for less by _type and _since"
        return Failure((error("too-costly", words, None, "HTTP-O08"),), 413)
    return None


async def _counted(call: Call, types: Sequence[Type], since: datetime | None) -> None:
    """Count all that goes out, where the caller's day is limited. Errors: Refused, TargetDown, JournalUnavailable."""
    tally = Tally(call)
    if tally.limited:
        for kind in types:
            async for page in _pages(call, kind, since):
                tally.add(page.found)
        await tally.count()


@dataclass(frozen=True, slots=True)
class Released:
    """What goes out of a page. Shape: `call` is the page's own, by which it is told to the audit."""

    call: Call
    found: tuple[Resource, ...]
    rules: tuple[str, ...]


async def _pages(call: Call, kind: Type, since: datetime | None) -> AsyncIterator[Released]:
    """What goes out of a type, page by page, asked for as far as rows can be asked for.

    Errors: Refused, TargetDown.
    """
    judgings = (Judging(kind.under.facts, kind.under.decision), Judging(kind.right.facts, kind.right.decision))
    asked: query.Query | None = query.Query(kind.name, count=call.gateway.settings.page_limit, total="none")
    for judging in judgings:  # each of the two has to release it, so each narrows what the other does
        asked = None if asked is None else narrowed(call.gateway, (judging,), asked)
    if asked is None:
        return
    try:
        async for page in searchsets(kind.right.server, kind.name, query.render(asked)):
            yield await _released(call, kind, [r for r in page.resources if r["resourceType"] == kind.name], since)
    except NotTaken as fault:
        words = f"the FHIR server did not list {kind.name}"
        raise Refused("failed", error("processing", words), status=500) from fault


async def _released(call: Call, kind: Type, resources: Sequence[Resource], since: datetime | None) -> Released:
    """What both the operation and the right to read release of a page."""
    seen_so_far = {"request": call.seen["request"]}
    own = replace(call, seen=seen_so_far, around={}, inside=set(), sought=set(), hidden={}, whole={})
    judgings = [(kind.under.facts, kind.under.decision), (kind.right.facts, kind.right.decision)]
    await gather(own, kind.right.server, judgings, resources)
    by: set[str] = set()
    seen = (released_by_both(own, kind.under, *judgings[1], by, resource) for resource in resources)
    found = tuple(resource for resource in seen if resource is not None and changed_since(resource, since))
    return Released(own, found, tuple(sorted(by)))


async def _put(page: Released, kind: Type, one: Export) -> None:
    """Tell the audit, and write: in this order, so that nothing goes out that the audit lacks.

    Shape: what was counted before counts no more; what is new since then does.
    """
    call, found = page.call, page.found
    if not found:
        return
    await limited(call, ACTION, kind.name, found, page.rules)
    names = [f"{kind.name}/{resource['id']}" for resource in found]
    await record(call, ACTION, kind.name, rules=page.rules, outcome="permit", seen=names, about=found)
    lines = b"".join(fhir.dump(resource) + b"\n" for resource in found)
    exports, caller = _exports(call), call.asking.caller.name
    others = sum(own.size for own in exports.of(caller, call.gateway.clock()) if own.id != one.state.id)
    room = call.gateway.settings.export_limit - others - one.state.size
    await asyncio.to_thread(one.add, kind.name, lines, len(found), room)
