"""`GET /{Type}` and `POST /{Type}/_search`: a partner's search, decided, narrowed, checked again, filtered.

Source: "The way of one search" in `architecture.md` of the design; https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir, query
from gateway.interactions import body, respond
from gateway.interactions.access import check_format, permitted, record, released, served
from gateway.interactions.gateway import Gateway, of
from gateway.interactions.identify import Asking, identify
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
    server = served(gateway, resource_type)
    token, pairs = await _parameters(request, gateway)
    asked = _parsed(gateway, resource_type, pairs)
    facts = _facts(gateway, asking, resource_type, asked)
    try:
        check_access(asking.scopes, "search", resource_type)
        decision = permitted(gateway, facts)
        address = _page(gateway, asking, resource_type, pairs, token)
    except Refused as refusal:
        request.state.log.update(rules=refusal.rules)
        await record(gateway, asking, "search", _what(asked), rules=refusal.rules, outcome="denied")
        raise
    bundle, upstream_next = await _fetched(server, _narrowed(gateway, decision, asked), address)
    resources = _released(gateway, facts, decision, bundle)
    total = _total(decision, bundle, resources, whole=upstream_next is None and address is None)
    links = _links(gateway, asking, resource_type, pairs, token, upstream_next)
    request.state.log.update(rules=decision.by, resources=len(resources), outcome="permit")
    names = tuple(f"{resource['resourceType']}/{resource['id']}" for resource in resources)
    await record(gateway, asking, "search", _what(asked), rules=decision.by, outcome="permit", seen=names)
    base = gateway.settings.public_url
    entries = [(f"{base}/{name}", resource, MATCH) for name, resource in zip(names, resources, strict=True)]
    return respond.resource(fhir.dump(fhir.searchset(entries, links=links, total=total)))


async def _parameters(request: Request, gateway: Gateway) -> tuple[str | None, Pairs]:
    """Parameters of the address and, for POST, of the form together; the paging token apart."""
    pairs: Pairs = list(request.query_params.multi_items())
    if request.method == "POST":
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != FORM:
            raise Refused("media-type", error(
                "not-supported", f"POST _search takes a form: send Content-Type {FORM}", "Content-Type", "HTTP-F04"
            ))  # fmt: skip
        raw = await body.read(request, gateway.settings.body_limit, empty=True)
        try:
            pairs += parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=200)
        except ValueError as fault:
            raise Refused("unreadable", error(
                "structure", "the form is not URL-encoded UTF-8, or has more than 200 fields", None, "HTTP-F05"
            )) from fault  # fmt: skip
    tokens = [value for name, value in pairs if name == PAGE]
    if len(tokens) > 1:
        raise Refused("unreadable", error("invalid", f"{PAGE} was sent more than once", PAGE, "HTTP-F06"))
    return (tokens[0] if tokens else None), [pair for pair in pairs if pair[0] != PAGE]


def _parsed(gateway: Gateway, resource_type: str, pairs: Pairs) -> query.Query:
    parsed = query.parse(resource_type, pairs, gateway.tables)
    if not isinstance(parsed, query.Query):
        raise Refused("unreadable", *parsed)
    if parsed.summary or parsed.elements:
        raise Refused("unreadable", error(
            "not-supported", "_summary and _elements are not offered here; ask for whole resources", None, "HTTP-F08"
        ))  # fmt: skip
    return parsed


def _facts(gateway: Gateway, asking: Asking, resource_type: str, asked: query.Query) -> Facts:
    return asking.facts(gateway, "search", type=resource_type, query=asked)


def _page(gateway: Gateway, asking: Asking, resource_type: str, pairs: Pairs, token: str | None) -> str | None:
    if token is None:
        return None
    address = gateway.paging.upstream(token, asking.caller.name, resource_type, pairs)
    if address is None:
        raise Refused("unreadable", error(
            "expired", f"{PAGE} is not a page of this search for this caller, or is too old; search again without it",
            PAGE, "HTTP-F07",
        ))  # fmt: skip
    return address


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


def _total(decision: Decision, bundle: dict[str, Any], resources: list[dict[str, Any]], *, whole: bool) -> int | None:
    """What the caller may see of all pages: upstream's count where no row is judged here, or the one page's own."""
    if whole:
        return len(resources)
    return bundle.get("total") if all(view.rows is None for view in decision.views) else None


async def _fetched(
    server: FhirServer, asked: query.Query | None, address: str | None
) -> tuple[dict[str, Any], str | None]:
    """Bundle from upstream, and its own address of the next page."""
    if asked is None:
        return {"total": 0}, None
    answer = await (server.search(asked.type, query.render(asked)) if address is None else server.page(address))
    if answer.status >= 400:  # noqa: PLR2004 - HTTP's first client error
        raise Refused("failed", error("processing", "the FHIR server did not take this search"), status=400)
    bundle = fhir.load(answer.body)
    following = next((link["url"] for link in bundle.get("link", ()) if link.get("relation") == "next"), None)
    return bundle, following


def _released(gateway: Gateway, facts: Facts, decision: Decision, bundle: dict[str, Any]) -> list[dict[str, Any]]:
    found = (entry.get("resource") for entry in bundle.get("entry", ()))
    seen = (released(gateway, facts, decision, resource) for resource in found if resource is not None)
    return [resource for resource in seen if resource is not None]


def _links(
    gateway: Gateway, asking: Asking, resource_type: str, pairs: Pairs, token: str | None, upstream_next: str | None
) -> dict[str, str]:
    base = f"{gateway.settings.public_url}/{resource_type}"
    links = {"self": _address(base, pairs, token)}
    if upstream_next is not None:
        following = gateway.paging.token(asking.caller.name, resource_type, pairs, upstream_next)
        links["next"] = _address(base, pairs, following)
    return links


def _address(base: str, pairs: Pairs, token: str | None) -> str:
    all_pairs = [*pairs, *([(PAGE, token)] if token else [])]
    return f"{base}?{urlencode(all_pairs)}" if all_pairs else base


def _what(asked: query.Query) -> str:
    """The search as the audit tells it: names without values."""
    return f"{asked.type}?{'&'.join(clause.name for clause in asked.clauses)}"
