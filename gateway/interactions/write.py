"""`POST /{Type}`, `PUT /{Type}/{id}`, `PUT /{Type}?...`: a client stores a resource, as far as the rules let it.

The order, for one resource as for a transaction: who may; what stands there; what would stand, judged whole; the audit;
then all of it in one transaction of the upstream, which holds only while what was judged against still stands. The
gateway gives the ids, so that what is sent is an update under a known id whatever the client did.
Source: https://hl7.org/fhir/R4/http.html#create, #update; `facade.md` of the design
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir
from gateway.finding import Finding
from gateway.interactions import conditions, respond
from gateway.interactions.access import Call, Resource, called, loaded, record, refused, shown_of
from gateway.interactions.around import gather
from gateway.interactions.conditions import http_date, version_of
from gateway.interactions.headers import ORGANISATION, once, shown
from gateway.interactions.judge_write import (
    Authority,
    Change,
    Located,
    authorised,
    check_seen,
    judged,
    may_write,
    relative,
    resource_of,
)
from gateway.interactions.limits import limited
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import Reply
from gateway.interactions.scopes import covers
from gateway.interactions.search import matches, pairs_of
from gateway.interactions.sent import Sent, placed, received
from gateway.interactions.shaping import parsed
from gateway.upstream import Answer, FhirServer, Standing, TargetDown

JUDGED_AGAIN = 4
LOST_RACE = frozenset({409, 412})
OK, CREATED, CLIENT_ERROR = 200, 201, 400
RESULTS = frozenset({"_count", "_sort", "_total", "_summary", "_elements", "_page"})


@dataclass(frozen=True, slots=True)
class Done:
    """A write that was made, or that was needless.

    Shape: `version` and `modified` (an instant) are the upstream's, None where it didn't say.
    """

    change: Change
    status: int
    version: str | None
    modified: str | None


async def create(request: Request) -> Response:
    """Store a new resource, unless `If-None-Exist` finds it.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    call = await _called(request)
    wanted = conditions.of_headers(request.headers)
    sent = Sent("create", request.path_params["type"], {}, condition=wanted.if_none_exist, conditions=wanted)
    _no_parameters(request)
    return await _single(call, request, sent)


async def update(request: Request) -> Response:
    """Store a resource under its id.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    call, path = await _called(request), request.path_params
    _no_parameters(request)
    sent = Sent("update", path["type"], {}, path["id"], conditions=conditions.of_headers(request.headers))
    return await _single(call, request, sent)


async def update_where(request: Request) -> Response:
    """Store a resource in the place of the one that a search finds.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    call = await _called(request)
    wanted = conditions.of_headers(request.headers)
    sent = Sent("update", request.path_params["type"], {}, condition=request.url.query, conditions=wanted)
    return await _single(call, request, sent)


async def _called(request: Request) -> Call:
    call = await called(request)
    organisation, fault = once(request.headers, ORGANISATION)
    if fault is not None:
        raise Refused("unreadable", fault)
    return replace(call, organisation=organisation)


def _no_parameters(request: Request) -> None:
    """Whether nothing but `_format` and `_pretty` was sent beside the resource. Errors: Refused (400)."""
    others = sorted(set(request.query_params) - {"_format", "_pretty"})
    if others:
        words = "a write takes no parameter but _format and _pretty"
        raise Refused("unreadable", *(error("not-supported", words, shown(name), "HTTP-W17") for name in others))


async def _single(call: Call, request: Request, sent: Sent) -> Response:
    async with audited(call, sent):
        may_write(call, sent)  # before the body is read
        resource = await received(request, call.gateway)
    (done,) = await written(call, [replace(sent, resource=resource)])
    told = replied(call, done, preferred(request))
    return respond.reply(replace(told, pretty=request.query_params.get("_pretty") == "true"))


@asynccontextmanager
async def audited(call: Call, sent: Sent) -> AsyncIterator[None]:
    """Write the audit row of what is refused inside, and name the place in a Bundle."""
    try:
        yield
    except Refused as refusal:
        await refused(call, sent.action, sent.type, refusal)
        if not sent.place:
            raise
        raise Refused(
            refusal.reason, *placed(sent, refusal.findings), headers=refusal.headers, rules=refusal.rules,
            status=refusal.status,
        ) from refusal  # fmt: skip


async def written(call: Call, sends: Sequence[Sent]) -> tuple[Done, ...]:
    """Make all writes, or none.

    Errors: Refused, for the first that may not be made; TargetDown where nothing was sent; JournalUnavailable.
    """
    gateway = call.gateway
    deadline = asyncio.get_running_loop().time() + gateway.settings.answer_within
    authorities = []
    for sent in sends:
        async with audited(call, sent):
            authorities.append(authorised(call, sent))
    server = await _one_server(call, authorities)
    await _check_conditions(call, authorities)
    # of two that are made on one condition the second has to see the first; of many to one id none has to try and try
    turns = [
        (server.name, f"{sent.type}/{sent.id}" if sent.condition is None else f"{sent.type}?")
        for sent in sends
        if sent.condition is not None or sent.id is not None
    ]
    async with gateway.order.turns(turns, deadline):
        for _ in range(JUDGED_AGAIN):
            changes = await _judged(call, server, authorities)
            to_write = [change for change in changes if change.write]
            standing = [change.resource for change in changes if not change.write]
            if standing:  # what a client did not write itself is shown to it
                await limited(call, sends[0].action, sends[0].type, standing, ())
            for change in changes:
                await _record(call, change, "permit")
            answer = await _committed(call, server, to_write, deadline)
            if answer.status not in LOST_RACE:
                return await _told(call, server, changes, answer)
    words = "others changed the same resources again and again; send it again"
    raise Refused("conflict", error("conflict", words, None, "HTTP-W18"))


async def _one_server(call: Call, authorities: Sequence[Authority]) -> FhirServer:
    """The server that holds all of it, for only there it takes effect together."""
    server = authorities[0].server
    for authority in authorities:
        if authority.server is not server:
            async with audited(call, authority.sent):
                words = "a transaction stores types that one server holds; send a batch"
                raise Refused("unreadable", error("not-supported", words, None, "HTTP-W19"))
    return server


async def _check_conditions(call: Call, authorities: Sequence[Authority]) -> None:
    """Whether each condition stands once: neither of two would see what the other makes.

    Errors: Refused (400).
    Source: https://hl7.org/fhir/R4/http.html#transaction, resolved identities must not overlap.
    """
    before: set[tuple[str, str]] = set()
    for authority in authorities:
        sent = authority.sent
        if sent.condition is None:
            continue
        condition = sent.type, _criteria(sent)
        if condition in before:
            async with audited(call, sent):
                words = "two entries have the same condition; a transaction writes a resource once only"
                raise Refused("unreadable", error("invalid", words, None, "HTTP-W20"))
        before.add(condition)


def _criteria(sent: Sent) -> str:
    """The condition of a write as a query alone: a client may send it with the type before it."""
    return (sent.condition or "").removeprefix(sent.type).removeprefix("?")


async def _judged(call: Call, server: FhirServer, authorities: Sequence[Authority]) -> list[Change]:
    found: list[str | None] = []
    ids: list[str] = []
    for authority in authorities:
        async with audited(call, authority.sent):
            one, id_ = await _place(call, authority)
        found.append(one)
        ids.append(id_)
    names = [(authority.sent.type, id_) for authority, id_ in zip(authorities, ids, strict=True)]
    standing = await server.read_many(names)
    links = {
        authority.sent.full_url: f"{kind}/{id_}"
        for authority, (kind, id_) in zip(authorities, names, strict=True)
        if authority.sent.full_url is not None
    }
    stands = [resource_of(server, one) for one in standing.values()]
    changes: list[Change] = []
    for authority, name, match in zip(authorities, names, found, strict=True):
        async with audited(call, authority.sent):
            if names.count(name) > 1:
                words = "a transaction writes a resource once only"
                raise Refused("unreadable", error("invalid", words, "/".join(name), "HTTP-W20"))
            needless = authority.sent.action == "create" and match is not None
            where = Located(name[1], standing.get(name), needless)
            if authority.sent.condition is not None and match is None and where.standing is not None:
                await gather(call, server, authority.judgings(), stands)
                _check_own_id(call, authority, where.standing)
            resource = relative(call, linked(authority.sent.resource, links))
            await gather(call, server, authority.judgings(), [resource, *stands])
            changes.append(judged(call, authority, where, resource))
    return changes


def _check_own_id(call: Call, authority: Authority, standing: Standing) -> None:
    """A conditional update that found nothing, of a resource whose own id something stands under.

    Errors: Refused: 409, and 404 where the caller may not see what stands.
    """
    check_seen(call, authority, standing)
    raise Refused("conflict", error(
        "conflict", f"no {authority.sent.type} fits the condition, and the id of this one is taken", None, "HTTP-W12"
    ))  # fmt: skip


async def _place(call: Call, authority: Authority) -> tuple[str | None, str]:
    """The id that fits the condition of a write, if any, and the one that it goes to.

    Errors: Refused: 412 where several fit or nothing was asked, 400 and 403 for a search that may not be made.
    """
    sent = authority.sent
    if sent.condition is None:
        return None, sent.id or str(uuid.uuid4())
    try:
        pairs = pairs_of(_criteria(sent))
    except ValueError as fault:
        raise Refused("unreadable", error("invalid", "the condition can not be read", None, "HTTP-W21")) from fault
    criteria = [(name, value) for name, value in pairs if name not in {"_format", "_pretty"}]
    if not criteria or RESULTS & {name for name, _ in criteria}:
        words = "a condition has search parameters, at least one, and none that only shapes an answer"
        raise Refused("unreadable", error("required", words, None, "HTTP-W22"), status=412)
    asked = parsed(call, sent.type, criteria)
    fitting = await matches(call, asked, authority.server)
    if len(fitting) > 1:
        words = f"more than one {sent.type} fits the condition; make it narrower"
        raise Refused("unreadable", error("multiple-matches", words, None, "HTTP-W23"), status=412)
    own = sent.resource.get("id") if sent.action == "update" else None
    if not fitting:
        return None, own or str(uuid.uuid4())
    match = str(fitting[0]["id"])
    if own is not None and own != match:
        words = f"the {sent.type} that fits the condition has another id than the one that was sent"
        raise Refused("unreadable", error("invalid", words, f"{sent.type}.id", "HTTP-W24"))
    return match, match


def linked(resource: Resource, links: Mapping[str, str]) -> Resource:
    """A resource whose references to other entries name what these are stored as.

    Errors: Refused (400) for one to no entry.
    """

    def follow(reference: str) -> str:
        if reference in links:
            return links[reference]
        if reference.startswith(("urn:uuid:", "urn:oid:")):
            words = f"{shown(reference)} is the fullUrl of no entry that is sent with it"
            raise Refused("unreadable", error("invalid", words, None, "HTTP-W25"))
        if "?" in reference:
            words = "references by search are not taken; name the resource by its id"
            raise Refused("unreadable", error("not-supported", words, None, "HTTP-W26"))
        return reference

    return fhir.with_references(resource, follow)


async def _committed(call: Call, server: FhirServer, changes: Sequence[Change], deadline: float) -> Answer:
    """The upstream's answer to all changes; one that is never asked for twice.

    Errors: Refused (504) where it isn't known whether they were made.
    """
    if not changes:
        return Answer(OK, {}, b"")
    entries = [fhir.entry_put(one.resource, one.etag, only_new=one.etag is None) for one in changes]
    try:
        async with asyncio.timeout_at(deadline):
            return await server.transact(fhir.dump(fhir.transaction(entries)))
    except (TargetDown, TimeoutError) as fault:
        why = fault.why if isinstance(fault, TargetDown) else "it did not answer in time"
        for change in changes:
            await _record(call, change, "unknown")
        words = f"target {server.name}: {why}; whether this was stored is not known: look before you send it again"
        raise Refused("down", error("timeout", words, None, "TGT-02"), status=504) from fault


async def _told(call: Call, server: FhirServer, changes: Sequence[Change], answer: Answer) -> tuple[Done, ...]:
    """What became of each change.

    Errors: Refused (422) where the upstream refused them. Its own words may tell of what the caller may not see.
    """
    if answer.status >= CLIENT_ERROR:
        for change in changes:
            await _record(call, change, "refused")
        words = f"the FHIR server did not take this: it answered {answer.status}"
        raise Refused("failed", error("processing", words, None, "TGT-03"))
    entries = iter(loaded(server, answer).get("entry", ()) if answer.body else ())
    done = [_done(change, next(entries, {}) if change.write else None) for change in changes]
    rules = tuple(sorted({rule for change in changes for rule in change.rules}))
    call.seen.update(rules=rules, outcome="permit", resources=len(done))
    return tuple(done)


def _done(change: Change, entry: Mapping[str, Any] | None) -> Done:
    if entry is None:
        meta = change.resource.get("meta", {})
        return Done(change, OK, meta.get("versionId"), meta.get("lastUpdated"))
    response = entry.get("response", {})
    tag = response.get("etag")
    version = version_of(str(tag)) if tag else None
    return Done(change, CREATED if change.etag is None else OK, version, response.get("lastModified"))


async def _record(call: Call, change: Change, outcome: str) -> None:
    sent = change.authority.sent
    await record(call, sent.action, sent.type, rules=change.rules, outcome=outcome, seen=(change.name,))


# --- what is answered ----------------------------------------------------------------------------------------------


def preferred(request: Request) -> str | None:
    """What the client wants back of a write: `minimal`, `representation`, `OperationOutcome`, or None.

    Source: https://hl7.org/fhir/R4/http.html#ops; RFC 7240.
    """
    for header in request.headers.getlist("prefer"):
        for part in header.replace(";", ",").split(","):
            name, _, value = part.strip().partition("=")
            if name.strip().lower() == "return":
                return value.strip().strip('"')
    return None


def replied(call: Call, done: Done, wanted: str | None) -> Reply:
    """The answer to one write: the resource, as far as the caller may read it, unless it wants another."""
    base, change = call.gateway.settings.public_url, done.change
    headers: dict[str, str] = {}
    if done.version is not None:
        headers["ETag"] = f'W/"{done.version}"'
        if done.status == CREATED or not change.write:
            headers["Location"] = f"{base}/{change.name}/_history/{done.version}"
    elif done.status == CREATED:
        headers["Location"] = f"{base}/{change.name}"
    if done.modified is not None and (modified := http_date(done.modified)) is not None:
        headers["Last-Modified"] = modified
    if wanted == "minimal":
        return Reply(done.status, None, headers)
    if wanted == "OperationOutcome":
        stored = Finding("information", "informational", "stored" if change.write else "it was there already")
        told = respond.outcome_body((stored, *change.findings), call.gateway.clock())
        return Reply(done.status, told, headers)
    shown_one = _representation(call, done)
    return Reply(done.status, None if shown_one is None else fhir.dump(shown_one), headers)


def _representation(call: Call, done: Done) -> Resource | None:
    """The stored version as this caller may read it."""
    read, resource = done.change.authority.read, done.change.resource
    seen = None if read is None else read.release(call, resource)
    if seen is None or not seen.released or not covers(call.asking.scopes, "read", resource["resourceType"]):
        return None
    known = {"versionId": done.version, "lastUpdated": done.modified}
    meta = {**{name: value for name, value in known.items() if value is not None}, **resource.get("meta", {})}
    whole = {**resource, "meta": meta}
    return shown_of(call, whole, seen.hide)
