"""`GET /{Type}` and `POST /{Type}/_search`: a partner's search, decided, narrowed, checked again, filtered.

Source: "The way of one search" in `architecture.md` of the design; https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir, query
from gateway.interactions import body, respond
from gateway.interactions.access import Call, Resource, called, permitted, record, refused, released, served
from gateway.interactions.around import gather
from gateway.interactions.filling import Page, Releasing, counted, filled
from gateway.interactions.gateway import Gateway
from gateway.interactions.limits import limited
from gateway.interactions.paging import START, Place, Ticket
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import Reply
from gateway.interactions.scopes import check_access
from gateway.interactions.shaping import Pairs, counts_alone, parsed, shaped
from gateway.rules import Decision, Facts
from gateway.upstream import FhirServer

PAGE = "_page"
MATCH: Literal["match"] = "match"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200


@dataclass(frozen=True, slots=True)
class Judging:
    """A search that is permitted: by which action, and how the rules decided."""

    facts: Facts
    decision: Decision


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
    action = "search"
    try:
        server = served(gateway, resource_type)
        ticket, pairs = _ticket(call, resource_type, sent)
        asked = parsed(call, resource_type, pairs)
        action = "count" if counts_alone(asked) else action
        check_access(call.asking.scopes, action, resource_type)
        judgings = _judged(call, asked)
        view = " ".join((gateway.rules.digest, *(rule for one in judgings for rule in one.decision.by)))
        page = await _page(call, server, judgings, asked, START if ticket is None else _place(ticket, view), by)
    except Refused as refusal:
        await refused(call, action, f"{resource_type}?", refusal)
        raise
    names = tuple(f"{resource['resourceType']}/{resource['id']}" for resource in page.resources)
    rules = tuple(sorted({*(rule for one in judgings for rule in one.decision.by), *by}))
    await limited(call, action, _what(asked), page.resources, rules)
    call.seen.update(rules=rules, resources=len(names), outcome="permit")
    await record(call, action, _what(asked), rules=rules, outcome="permit", seen=names)
    base = gateway.settings.public_url
    links = {"self": f"{base}/{resource_type}?{urlencode(pairs)}" if pairs and shown else f"{base}/{resource_type}"}
    if page.following is not None:
        token = gateway.paging.token(
            Ticket(call.asking.caller.name, call.asking.purpose, resource_type, tuple(pairs), view, page.following)
        )
        links["next"] = f"{base}/{resource_type}?{urlencode({PAGE: token})}"
    entries = [
        (f"{base}/{name}", shaped(gateway, asked, resource), MATCH)
        for name, resource in zip(names, page.resources, strict=True)
    ]
    found = fhir.dump(fhir.searchset(entries, links=links, total=page.total))
    return Reply(200, found, pretty=bool(asked.pretty))


async def matches(call: Call, asked: query.Query, server: FhirServer) -> tuple[Resource, ...]:
    """The first two resources that fit the condition of a write, as far as this caller may see them.

    Errors: Refused where the caller may not search so; TargetDown.
    """
    check_access(call.asking.scopes, "search", asked.type)
    wanted = replace(asked, count=2, total="none")
    page = await _page(call, server, _judged(call, wanted), wanted, START, set())
    return page.resources


def _judged(call: Call, asked: query.Query) -> tuple[Judging, ...]:
    """How the rules permit a search; what only counts may be counted by whoever may see it too.

    Errors: Refused where no action permits it.
    """
    found: list[Judging] = []
    refusals: list[Refused] = []
    for action in ("search", "count") if counts_alone(asked) else ("search",):
        facts = call.asking.facts(call.gateway, action, type=asked.type, query=asked)
        try:
            found.append(Judging(facts, permitted(call.gateway, facts)))
        except Refused as refusal:
            refusals.append(refusal)
    if not found:
        # a parameter that nobody may use for the one may be what the other takes
        raise min(refusals, key=lambda refusal: refusal.reason != "denied")
    return tuple(found)


async def _page(
    call: Call, server: FhirServer, judgings: Sequence[Judging], asked: query.Query, place: Place, by: set[str]
) -> Page:
    settings = call.gateway.settings
    narrowed = _narrowed(call.gateway, judgings, asked)
    if narrowed is None:
        return Page()

    def release(resource: Resource) -> Resource | None:
        seen = (released(call, one.facts, one.decision, by, resource) for one in judgings)
        return next((resource for resource in seen if resource is not None), None)

    async def ready(resources: Sequence[Resource]) -> None:
        await gather(call, server, [(one.facts, one.decision) for one in judgings], resources)

    judged = any(one.decision.judged for one in judgings)
    releasing = Releasing(ready, release, judged=judged)
    if counts_alone(asked):
        return Page(total=await counted(server, narrowed, releasing, limit=settings.page_limit))
    return await filled(server, narrowed, place, releasing, limit=settings.page_limit)


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


def _narrowed(gateway: Gateway, judgings: Sequence[Judging], asked: query.Query) -> query.Query | None:
    """Query as it goes upstream: the rows of the view as parameters, the page size within bounds, whole resources.

    Shape: None where the rows leave nothing to ask for.
    """
    narrows = {view.narrow for one in judgings for view in one.decision.views}
    if len(narrows) == 1:
        for name, values in narrows.pop():
            if not values:
                return None
            asked = query.narrow(asked, name, values, gateway.tables)
    count = min(gateway.settings.page_size if asked.count is None else asked.count, gateway.settings.page_limit)
    return replace(asked, count=count, format=None, pretty=None, page=None, summary=None, elements=())


def _what(asked: query.Query) -> str:
    """The search as the audit tells it: names without values."""
    return f"{asked.type}?{'&'.join(clause.name for clause in asked.clauses)}"
