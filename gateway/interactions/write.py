"""`POST /{Type}`; `PUT`, `PATCH` and `DELETE` of `/{Type}/{id}` and of `/{Type}?...`: what a client stores or deletes.

The order, for one resource as for a transaction: who may; what stands there; what would stand, judged whole; the audit;
then all of it in one transaction of the upstream (`commit.py`), which holds only while what was judged against still
stands. The gateway gives the ids and applies the patches, so that what is sent is an update under a known id whatever
the client did, or a delete of a version that was looked at.
Source: https://hl7.org/fhir/R4/http.html#create, #update, #patch, #delete; `facade.md` of the design
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir
from gateway.interactions import conditions, respond
from gateway.interactions.access import absent, refused
from gateway.interactions.around import gather
from gateway.interactions.call import Call, Resource, called
from gateway.interactions.commit import LOST_RACE, committed, done_of, record_change
from gateway.interactions.conditional import overlapping, place
from gateway.interactions.deleted import last_seen
from gateway.interactions.headers import ORGANISATION, once, shown
from gateway.interactions.heavy import size_of, worked
from gateway.interactions.judge_write import (
    Authority,
    Change,
    Located,
    authorised,
    check_seen,
    deleted,
    judged,
    may_write,
    relative,
    resource_of,
    standing_view,
    unwritten,
)
from gateway.interactions.limits import limited
from gateway.interactions.referring import check_named, linked, linked_patch
from gateway.interactions.refused import Refused, error
from gateway.interactions.replied import Done, preferred, replied
from gateway.interactions.sent import Action, Sent, asks_alone, check_fit, placed, received, received_patch
from gateway.upstream import FhirServer, Standing

JUDGED_AGAIN = 4


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
    return await _of_id(request, "update")


async def update_where(request: Request) -> Response:
    """Store a resource in the place of the one that a search finds.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    return await _of_search(request, "update")


async def patch(request: Request) -> Response:
    """Change a resource by JSON Patch.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    return await _of_id(request, "patch")


async def patch_where(request: Request) -> Response:
    """Change the resource that a search finds.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    return await _of_search(request, "patch")


async def delete(request: Request) -> Response:
    """Delete a resource.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    return await _of_id(request, "delete")


async def delete_where(request: Request) -> Response:
    """Delete the one resource that a search finds.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    return await _of_search(request, "delete")


async def _of_id(request: Request, action: Action) -> Response:
    call, path = await _called(request), request.path_params
    _no_parameters(request)
    sent = Sent(action, path["type"], {}, path["id"], conditions=conditions.of_headers(request.headers))
    return await _single(call, request, sent)


async def _of_search(request: Request, action: Action) -> Response:
    call = await _called(request)
    wanted = conditions.of_headers(request.headers)
    sent = Sent(action, request.path_params["type"], {}, condition=request.url.query, conditions=wanted)
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
        if sent.action == "patch":
            sent = replace(sent, operations=await received_patch(request, call.gateway))
        elif sent.action != "delete":
            sent = replace(sent, resource=await received(request, call.gateway))
    (done,) = await written(call, [sent])
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
            authorities.append(await worked(size_of(sent.resource), authorised, call, sent))
    server = await _one_server(call, authorities)
    twice = overlapping(sends)
    if twice is not None:
        async with audited(call, twice):
            words = "two entries have the same condition; a transaction writes a resource once only"
            raise Refused("unreadable", error("invalid", words, None, "HTTP-W20"))
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
            standing = [change.resource for change in changes if not change.write and not change.delete]
            if standing:  # what a client did not write itself is shown to it
                await limited(call, sends[0].action, sends[0].type, standing, ())
            for change in changes:
                await record_change(call, change, "permit")
            answer = await committed(call, server, to_write, deadline)
            if answer.status not in LOST_RACE:
                return await done_of(call, server, changes, answer)
    words = "others changed the same resources again and again; send it again"
    lost = Refused("conflict", error("conflict", words, None, "HTTP-W18"))
    for sent in sends:  # what was recorded as permitted was not done
        await refused(call, sent.action, sent.type, lost)
    raise lost


async def _one_server(call: Call, authorities: Sequence[Authority]) -> FhirServer:
    """The server that holds all of it, for only there it takes effect together."""
    server = authorities[0].server
    for authority in authorities:
        if authority.server is not server:
            async with audited(call, authority.sent):
                words = "a transaction stores types that one server holds; send a batch"
                raise Refused("unreadable", error("not-supported", words, None, "HTTP-W19"))
    return server


async def _judged(call: Call, server: FhirServer, authorities: Sequence[Authority]) -> list[Change]:
    call.inside.clear()  # what the scopes' queries found may be another version now
    found: list[str | None] = []
    ids: list[str] = []
    for authority in authorities:
        async with audited(call, authority.sent):
            one, id_ = await place(call, authority)
        found.append(one)
        ids.append(id_)
    names = [(authority.sent.type, id_) for authority, id_ in zip(authorities, ids, strict=True)]
    gone: set[tuple[str, str]] = set()
    chosen = any(id_ == _chosen(authority.sent) for authority, id_ in zip(authorities, ids, strict=True))
    standing = await server.read_many(names, gone if chosen else None)
    links = {
        authority.sent.full_url: f"{kind}/{id_}"
        for authority, (kind, id_) in zip(authorities, names, strict=True)
        if authority.sent.full_url is not None and authority.sent.action != "delete"
    }
    stands = [resource_of(server, one) for one in standing.values()]
    # those of one type and action are judged alike, and there may be hundreds
    judgings = {(f.action, f.type): (f, d) for authority in authorities for f, d in authority.judgings()}
    await gather(call, server, judgings.values(), stands)
    changes: list[Change] = []
    for authority, name, match in zip(authorities, names, found, strict=True):
        async with audited(call, authority.sent):
            if names.count(name) > 1:
                words = "a transaction writes a resource once only"
                raise Refused("unreadable", error("invalid", words, "/".join(name), "HTTP-W20"))
            needless = authority.sent.action == "create" and match is not None
            where = Located(name[1], standing.get(name), needless)
            if name in gone:
                changes.append(await _anew(call, authority, where, links))
            else:
                changes.append(await _change(call, authority, where, match, links))
    return changes


async def _change(
    call: Call, authority: Authority, where: Located, match: str | None, links: Mapping[str, str]
) -> Change:
    """One write, judged against what stands.

    Shape: `match` is the id that fits the condition of the write, None where none does or there is no condition.
    Errors: Refused, TargetDown.
    """
    sent, server = authority.sent, authority.server
    if sent.condition is not None and match is None and where.standing is not None:
        _check_own_id(call, authority, where.standing)
    match sent.action:
        case "delete" if where.standing is None and sent.condition is not None:
            nothing = {"resourceType": sent.type, "id": where.id}
            return Change(authority, nothing, None, write=False, rules=())
        case "delete":
            return deleted(call, authority, where)
        case "patch":
            resource = _patched(call, authority, where, links)
            check_fit(replace(sent, id=where.id, resource=resource), call.gateway)
            if where.standing is not None and asks_alone(sent.operations):
                return unwritten(call, authority, where.standing)
        case _:
            resource = linked(sent.resource, links)
    resource = relative(call, server, resource)
    check_named(call, resource, None if where.standing is None else resource_of(server, where.standing))
    await gather(call, server, authority.judgings(), [resource])
    return judged(call, authority, where, resource)


def _chosen(sent: Sent) -> str | None:
    """The id that the client names, where it does."""
    return sent.resource.get("id") if sent.id is None else sent.id


async def _anew(call: Call, authority: Authority, where: Located, links: Mapping[str, str]) -> Change:
    """One write under an id whose resource was deleted.

    Errors: Refused: 404 where the caller could not see that: a version that doesn't begin at 1 would tell.
    """
    sent = authority.sent
    before = None
    if authority.read is not None:
        before = await last_seen(call, authority.server, authority.read, sent.type, where.id)
    if before is None:
        raise absent(sent.type)
    if sent.action == "delete":
        return Change(authority, before, None, write=False, rules=())
    return await _change(call, authority, where, None, links)


def _patched(call: Call, authority: Authority, where: Located, links: Mapping[str, str]) -> Resource:
    """What a patch makes of what stands, once it is sure that the caller sees all of that: a patch can ask.

    Errors: Refused: 404, 403, 412, 428 before the patch is looked at; 409 where it doesn't fit.
    """
    standing_view(call, authority, where)
    if where.standing is None:  # said before; what is below needs it
        raise absent(authority.sent.type)
    stands = resource_of(authority.server, where.standing)
    try:
        made = fhir.patched(stands, linked_patch(authority.sent.operations, links))
    except fhir.PatchError as fault:
        words = f"the patch does not fit the {authority.sent.type}, {fault.place}: {fault.words}"
        raise Refused("conflict", error("conflict", words, None, "HTTP-W35")) from fault
    told_anew = made.get("text") != stands.get("text")
    if not told_anew and "text" in made and made != stands:
        # nobody looked whether it still says what the rest does
        made = {name: value for name, value in made.items() if name != "text"}
    return made


def _check_own_id(call: Call, authority: Authority, standing: Standing) -> None:
    """A conditional update that found nothing, of a resource whose own id something stands under.

    Errors: Refused: 409, and 404 where the caller may not see what stands.
    """
    check_seen(call, authority, standing)
    raise Refused("conflict", error(
        "conflict", f"no {authority.sent.type} fits the condition, and the id of this one is taken", None, "HTTP-W12"
    ))  # fmt: skip
