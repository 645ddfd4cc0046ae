"""`GET /{Type}` and `POST /{Type}/_search`: a partner's search, decided, narrowed, checked again, filtered.

Source: "The way of one search" in `architecture.md` of the design; https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir, query
from gateway.interactions import body, respond
from gateway.interactions.access import check_format, permitted, record, refused, released, served
from gateway.interactions.filling import Page, filled
from gateway.interactions.gateway import Gateway, of
from gateway.interactions.identify import Asking, identify
from gateway.interactions.paging import START, Place, Ticket
from gateway.interactions.refused import Refused, error
from gateway.interactions.scopes import check_access
from gateway.rules import Decision, Facts
from gateway.upstream import FhirServer

PAGE = "_page"
MATCH: Literal["match"] = "match"
FORM = "application/x-www-form-urlencoded"
Pairs = list[tuple[str, str]]


async def search(request: Request) -> Response:
    """Answer a search with a searchset Bundle.

    Errors: Refused, by `http-interface.md` "The facade"; TargetDown, JournalUnavailable.
    """
    gateway = of(request)
    asking = await identify(request, gateway)
    check_format(request)
    resource_type = request.path_params["type"]
    by: set[str] = set()
    try:
        server = served(gateway, resource_type)
        ticket, pairs = await _parameters(request, gateway, asking)
        asked = _parsed(gateway, resource_type, pairs)
        check_access(asking.scopes, "search", resource_type)
        facts = asking.facts(gateway, "search", type=resource_type, query=asked)
        decision = permitted(gateway, facts)
        view = " ".join((gateway.rules.digest, *decision.by))
        place = START if ticket is None else _place(ticket, view)
        page = await _page(gateway, server, facts, decision, asked, place, by)
    except Refused as refusal:
        await refused(request, gateway, asking, "search", f"{resource_type}?", refusal)
        raise
    names = tuple(f"{resource['resourceType']}/{resource['id']}" for resource in page.resources)
    rules = tuple(sorted({*decision.by, *by}))
    request.state.log.update(rules=rules, resources=len(names), outcome="permit")
    await record(gateway, asking, "search", _what(asked), rules=rules, outcome="permit", seen=names)
    base = gateway.settings.public_url
    entries = [(f"{base}/{name}", resource, MATCH) for name, resource in zip(names, page.resources, strict=True)]
    links = {"self": _address(f"{base}/{resource_type}", request, pairs)}
    if page.following is not None:
        token = gateway.paging.token(
            Ticket(asking.caller.name, asking.purpose, resource_type, tuple(pairs), view, page.following)
        )
        links["next"] = f"{base}/{resource_type}?{urlencode({PAGE: token})}"
    return respond.resource(fhir.dump(fhir.searchset(entries, links=links, total=page.total)))


async def _page(
    gateway: Gateway,
    server: FhirServer,
    facts: Facts,
    decision: Decision,
    asked: query.Query,
    place: Place,
    by: set[str],
) -> Page:
    narrowed = _narrowed(gateway, decision, asked)
    if narrowed is None:
        return Page()
    release = partial(released, gateway, facts, decision, by)
    return await filled(server, narrowed, place, release, judged=decision.judged)


async def _parameters(request: Request, gateway: Gateway, asking: Asking) -> tuple[Ticket | None, Pairs]:
    """Parameters of the address and, for POST, of the form together; those of a page are in its token."""
    pairs: Pairs = list(request.query_params.multi_items())
    if request.method == "POST":
        pairs += await _form(request, gateway)
    tokens = [value for name, value in pairs if name == PAGE]
    if not tokens:
        return None, pairs
    if len(pairs) > 1:
        raise Refused(
            "unreadable", error("invalid", f"{PAGE} carries the whole search: send it alone", PAGE, "HTTP-F06")
        )
    ticket = gateway.paging.ticket(tokens[0])
    own = asking.caller.name, asking.purpose, request.path_params["type"]
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
        return parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=200)
    except ValueError as fault:
        raise Refused("unreadable", error(
            "structure", "the form is not URL-encoded UTF-8, or has more than 200 fields", None, "HTTP-F05"
        )) from fault  # fmt: skip


def _no_page() -> Refused:
    words = f"{PAGE} is not a page of a search of this caller, or is too old; search again without it"
    return Refused("unreadable", error("expired", words, PAGE, "HTTP-F07"))


def _place(ticket: Ticket, view: str) -> Place:
    """Place of a ticket, where the rules still decide as they did."""
    if ticket.view != view:
        raise _no_page()
    return ticket.place


def _parsed(gateway: Gateway, resource_type: str, pairs: Pairs) -> query.Query:
    parsed = query.parse(resource_type, pairs, gateway.tables)
    if not isinstance(parsed, query.Query):
        raise Refused("unreadable", *parsed)
    if parsed.count == 0:
        raise Refused("unreadable", error("value", "_count is at least 1 here", "_count", "HTTP-F09"))
    if parsed.summary or parsed.elements:
        raise Refused("unreadable", error(
            "not-supported", "_summary and _elements are not offered here; ask for whole resources", None, "HTTP-F08"
        ))  # fmt: skip
    return replace(parsed, clauses=tuple(_relative(clause, gateway.settings.public_url) for clause in parsed.clauses))


def _relative(clause: query.Clause, own: str) -> query.Clause:
    """A reference to the gateway's own address is one to what is behind it."""
    values = tuple(
        _reference(value, own) if isinstance(value, query.ReferenceValue) and value.url is not None else value
        for value in clause.values
    )
    return replace(clause, values=values)


def _reference(value: query.ReferenceValue, own: str) -> query.ReferenceValue:
    name = (value.url or "").removeprefix(f"{own}/")
    kind, slash, resource_id = name.partition("/")
    if name == value.url or not slash or "/" in resource_id:
        return value
    return replace(value, raw=name, type=kind, id=resource_id, url=None)


def _narrowed(gateway: Gateway, decision: Decision, asked: query.Query) -> query.Query | None:
    """Query as it goes upstream: the rows of the view as parameters, the page size within bounds.

    Shape: None where the rows leave nothing to ask for.
    """
    narrows = {view.narrow for view in decision.views}
    if len(narrows) == 1:
        for name, values in narrows.pop():
            if not values:
                return None
            asked = query.narrow(asked, name, values, gateway.tables)
    count = min(gateway.settings.page_size if asked.count is None else asked.count, gateway.settings.page_limit)
    return replace(asked, count=count, format=None, pretty=None, page=None)


def _address(base: str, request: Request, pairs: Pairs) -> str:
    """Address of this search; one that came as a form keeps its values out of addresses."""
    return f"{base}?{urlencode(pairs)}" if pairs and request.method == "GET" else base


def _what(asked: query.Query) -> str:
    """The search as the audit tells it: names without values."""
    return f"{asked.type}?{'&'.join(clause.name for clause in asked.clauses)}"
