"""`GET /{Type}` and `POST /{Type}/_search`: a partner's search, decided, narrowed, checked again, filtered.

Source: "The way of one search" in `architecture.md` of the design; https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir, query
from gateway.interactions import body, respond
from gateway.interactions.access import record, refused
from gateway.interactions.call import Call, Resource, called, served
from gateway.interactions.chains import Planned, led, planned
from gateway.interactions.filling import Page, counted, filled
from gateway.interactions.gateway import Gateway
from gateway.interactions.including import Coming, coming, included
from gateway.interactions.judging import Permitted, narrowed, releasing
from gateway.interactions.limits import limited
from gateway.interactions.paging import START, Place, Ticket
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import Reply
from gateway.interactions.scopes import check_access
from gateway.interactions.shaping import Pairs, counts_alone, parsed, shaped, usable
from gateway.observing import step
from gateway.upstream import FhirServer, TargetDown

PAGE = "_page"
Mode = Literal["match", "include"]
MATCH: Mode = "match"
INCLUDE: Mode = "include"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200


async def search(request: Request) -> Response:
    """Answer a search with a searchset Bundle.

    Errors: Refused, by `http-interface.md` "The facade"; TargetDown, JournalUnavailable.
    """
    call = await called(request)
    resource_type, posted = request.path_params["type"], request.method == "POST"
    pairs: Pairs = list(request.query_params.multi_items())
    try:
        served(call.gateway, resource_type)
        if posted:
            pairs += await _form(request, call.gateway)
    except Refused as refusal:
        await refused(call, "search", f"{resource_type}?", refusal)
        raise
    return respond.reply(await searched(call, resource_type, pairs, shown=not posted))


async def searched(call: Call, resource_type: str, sent: Pairs, *, shown: bool) -> Reply:
    """The answer to a search.

    Shape: `shown` says whether its values may stand in addresses; those of one that came as a form may not.
    Errors: Refused, TargetDown, JournalUnavailable.
    """
    gateway, by = call.gateway, set[str]()
    action, what = "search", f"{resource_type}?"
    try:
        server = served(gateway, resource_type)
        ticket, pairs = _ticket(call, resource_type, sent)
        asked = parsed(call, resource_type, pairs)
        action, what = "count" if counts_alone(asked) else action, _what(asked)
        check_access(call.asking.scopes, action, resource_type)
        with step("plan"):
            plan, comes = _planned(call, asked, server)
        view = " ".join((gateway.rules.digest, *(rule for one in plan.search.judgings for rule in one.decision.by)))
        async with asyncio.timeout(gateway.settings.answer_within):
            with step("search"):
                page = await _page(call, plan, START if ticket is None else _place(ticket, view), by)
            with step("include"):
                more = await included(call, comes, page.resources, by)
    except Refused as refusal:
        await refused(call, action, what, refusal)
        raise
    except TimeoutError as fault:
        raise TargetDown(server.name, "what this search asks of it takes too long: ask for less") from fault
    every = (*page.resources, *more)
    names = tuple(f"{resource['resourceType']}/{resource['id']}" for resource in every)
    rules = tuple(sorted({*(rule for one in plan.search.judgings for rule in one.decision.by), *by}))
    await limited(call, action, what, every, rules)
    call.seen.update(rules=rules, resources=len(names), outcome="permit")
    with step("audit"):
        await record(call, action, what, rules=rules, outcome="permit", seen=names, about=every)
    base = gateway.settings.public_url
    links = {"self": f"{base}/{resource_type}?{urlencode(pairs)}" if pairs and shown else f"{base}/{resource_type}"}
    if page.following is not None:
        token = gateway.paging.token(
            Ticket(call.asking.caller.name, call.asking.purpose, resource_type, tuple(pairs), view, page.following)
        )
        links["next"] = f"{base}/{resource_type}?{urlencode({PAGE: token})}"
    entries: list[tuple[str, Resource, Mode]] = [
        *((_url(base, one), shaped(gateway, asked, one), MATCH) for one in page.resources),
        *((_url(base, one), shaped(gateway, asked, one, INCLUDE), INCLUDE) for one in more),
    ]
    found = fhir.dump(fhir.searchset(entries, links=links, total=page.total))
    return Reply(200, found, pretty=bool(asked.pretty))


async def matches(call: Call, asked: query.Query, server: FhirServer) -> tuple[Resource, ...]:
    """The first two resources that fit the condition of a write, as far as this caller may see them.

    Errors: Refused where the caller may not search so; TargetDown.
    """
    check_access(call.asking.scopes, "search", asked.type)
    if asked.includes:
        words = "a condition finds one resource, so nothing comes with it: leave out _include and _revinclude"
        raise Refused("unreadable", error("invalid", words, None, "HTTP-F18"))
    plan, _ = _planned(call, replace(asked, count=2, total="none"), server)
    page = await _page(call, plan, START, set())
    return page.resources


def _planned(call: Call, asked: query.Query, server: FhirServer) -> tuple[Planned, tuple[Coming, ...]]:
    """The search with all that it leads to and brings along, each node of which this caller may ask for.

    Errors: Refused, before anything is asked of the upstream, with what this caller may use.
    """
    try:
        plan = planned(call, asked, server, ("search", "count") if counts_alone(asked) else ("search",))
        comes = coming(call, asked, plan.search.judgings)
    except Refused as refusal:
        if refusal.reason != "unreadable" and not asked.links and not asked.includes:
            raise  # it says what is missing
        raise Refused(
            refusal.reason, *refusal.findings, usable(call, asked.type), rules=refusal.rules, status=refusal.status
        ) from refusal
    return plan, () if counts_alone(asked) else comes


async def _page(call: Call, plan: Planned, place: Place, by: set[str]) -> Page:
    """One page, or the number alone. A search that leads nowhere finds nothing."""
    settings = call.gateway.settings
    search: Permitted | None = plan.search
    if place.address is None or plan.asked.total == "accurate":  # what later pages hold was settled with the first
        search = await led(call, plan, by)
    if search is None:
        return Page(total=None if plan.asked.total == "none" else 0)
    sent = narrowed(call.gateway, search.judgings, search.asked)
    if sent is None:
        return Page()
    judging = releasing(call, search.server, search.judgings, by)
    if counts_alone(plan.asked):
        return Page(total=await counted(search.server, sent, judging, limit=settings.page_limit))
    return await filled(search.server, sent, place, judging, limit=settings.page_limit)


def _url(base: str, resource: Resource) -> str:
    return f"{base}/{resource['resourceType']}/{resource['id']}"


def _ticket(call: Call, resource_type: str, pairs: Pairs) -> tuple[Ticket | None, Pairs]:
    """Parameters of a page are in its token."""
    tokens = [value for name, value in pairs if name == PAGE]
    if not tokens:
        return None, pairs
    if len(pairs) > 1:
        raise Refused(
            "unreadable", error("invalid", f"{PAGE} carries the whole search: send it alone", PAGE, "HTTP-F06")
        )
    ticket = call.gateway.paging.ticket(tokens[0])
    own = call.asking.caller.name, call.asking.purpose, resource_type
    if ticket is None or (ticket.caller, ticket.purpose, ticket.resource_type) != own:
        raise _no_page()
    return ticket, list(ticket.pairs)


async def _form(request: Request, gateway: Gateway) -> Pairs:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != FORM:
        raise Refused("media-type", error(
            "not-supported", f"POST _search takes a form: send Content-Type {FORM}", "Content-Type", "HTTP-F04"
        ))  # fmt: skip
    raw = await body.read(request, gateway.settings.body_limit, empty=True)
    try:
        return pairs_of(raw.decode("utf-8"))
    except ValueError as fault:
        raise Refused("unreadable", error(
            "structure", f"the form is not URL-encoded UTF-8, or has more than {MOST_FIELDS} fields", None, "HTTP-F05"
        )) from fault  # fmt: skip


def pairs_of(text: str) -> Pairs:
    """Names and values of a query in an address or a form.

    Errors: ValueError for bytes that are no UTF-8, or too many fields.
    """
    return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)


def _no_page() -> Refused:
    words = f"{PAGE} is not a page of a search of this caller, or is too old; search again without it"
    return Refused("unreadable", error("expired", words, PAGE, "HTTP-F07"))


def _place(ticket: Ticket, view: str) -> Place:
    """Place of a ticket, where the rules still decide as they did."""
    if ticket.view != view:
        raise _no_page()
    return ticket.place


def _what(asked: query.Query) -> str:
    """The search as the audit tells it: names without values, and what comes with it."""
    names = [clause.name for clause in asked.clauses] + [query.full_name(link) for link in asked.links]
    names += [f"{'_revinclude' if one.reverse else '_include'}={one.raw}" for one in asked.includes]
    return f"{asked.type}?{'&'.join(names)}"
