"""The asking side of the OpenAPI document: search, read and history by type.

Source: https://hl7.org/fhir/R4/http.html; `http-interface.md` of the design.
"""

from __future__ import annotations

from typing import Any

from gateway.documents.components import FHIR_JSON, faults, ref
from gateway.documents.offer import SEARCHING, Against, Offer, ServedType
from gateway.documents.parameters import (
    headers_of,
    history_parameters,
    in_path,
    linking_parameters,
    read_parameters,
    result_parameters,
    search_form,
    search_parameters,
)
from gateway.specs import FhirTables

Json = dict[str, Any]


def paths(offer: Offer, tables: FhirTables) -> Json:
    """Path items of the asking side."""
    items: Json = {}
    for served in offer.types:
        if SEARCHING & served.actions:
            items[f"/{served.name}"] = {"get": _search(offer, served)}
            items[f"/{served.name}/_search"] = {"post": _search_by_post(offer, served)}
        if "read" in served.actions:
            items[f"/{served.name}/{{id}}"] = {"get": _read(offer, served, tables)}
        if "history" in served.actions:
            items[f"/{served.name}/{{id}}/_history"] = {"get": _history(offer, served, tables)}
            items[f"/{served.name}/{{id}}/_history/{{version}}"] = {"get": _read(offer, served, tables, version=True)}
    return items


def said_of(served: ServedType, *actions: str) -> Json:
    """Which rules decide an operation, and the roles that it takes.

    Source: OpenAPI 3.1.0 section 4.8.30: for schemes other than OAuth 2.0 the array holds role names.
    """
    roles = served.roles(*actions)
    told: Json = {"x-rules": [{"id": rule, "href": f"/rules#{rule}"} for rule in served.rules(*actions)]}
    if SEARCHING & set(actions):
        told["x-asking"] = [
            {"rule": view.id, "anyOf": [list(group) for group in view.alternatives]}
            for view in served.views
            if view.actions & set(actions) and view.alternatives
        ]
    if roles:
        told["security"] = [{"oauth2": []}, *({"bearer": [role]} for role in roles)]
    return told


def _search(offer: Offer, served: ServedType) -> Json:
    return {
        "operationId": f"search{served.name}",
        "tags": [served.name],
        "summary": f"Search {served.name}",
        "description": views_of(served, "search"),
        "parameters": [
            *search_parameters(served), *linking_parameters(served), *result_parameters(served), *headers_of(offer)
        ],
        "responses": _found() | faults((400, 401, 403, 406, 429, 503)),
        **said_of(served, *SEARCHING),
        **_has(served),
    }  # fmt: skip


def _has(served: ServedType) -> Json:
    """What may be asked of resources that refer to these: OpenAPI has no words for such names.

    Source: https://hl7.org/fhir/R4/search.html#has
    """
    return {"x-has": list(served.has)} if served.has else {}


def _search_by_post(offer: Offer, served: ServedType) -> Json:
    return {
        "operationId": f"search{served.name}ByPost",
        "tags": [served.name],
        "summary": f"Search {served.name}, with the parameters in the body",
        "description": views_of(served, "search"),
        "parameters": headers_of(offer),
        "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": search_form(served)}}},
        "responses": _found() | faults((400, 401, 403, 406, 413, 415, 429, 503)),
        **said_of(served, *SEARCHING),
        **_has(served),
    }


def _history(offer: Offer, served: ServedType, tables: FhirTables) -> Json:
    found = {"description": "Those versions that the caller may see.", "headers": {
        "Cache-Control": ref("headers", "Cache-Control")
    }, "content": {FHIR_JSON: {"schema": ref("schemas", "HistoryBundle")}}}  # fmt: skip
    return {
        "operationId": f"history{served.name}",
        "tags": [served.name],
        "summary": f"Versions of one {served.name}, newest first",
        "description": views_of(served, "history"),
        "parameters": [
            in_path("id", "The logical id.", tables),
            *history_parameters(),
            *read_parameters(),
            *headers_of(offer),
        ],
        "responses": {"200": found, **faults((400, 401, 403, 404, 406, 429, 503))},
        **said_of(served, "history"),
    }


def _read(offer: Offer, served: ServedType, tables: FhirTables, *, version: bool = False) -> Json:
    return {
        "operationId": f"vread{served.name}" if version else f"read{served.name}",
        "tags": [served.name],
        "summary": f"Read one version of a {served.name}" if version else f"Read one {served.name}",
        "description": views_of(served, "history" if version else "read"),
        "parameters": [
            in_path("id", "The logical id.", tables),
            *([in_path("version", "The version's id.", tables)] if version else []),
            ref("parameters", "If-None-Match"),
            ref("parameters", "If-Modified-Since"),
            *read_parameters(),
            *headers_of(offer),
        ],
        "responses": {
            "200": {
                "description": f"The {served.name}, without what the rules hide.",
                "headers": {name: ref("headers", name) for name in ("Cache-Control", "ETag", "Last-Modified")},
                "content": {FHIR_JSON: {"schema": ref("schemas", served.name)}},
            },
            "304": {"description": "The version that the client named is still the current one."},
            **faults((400, 401, 403, 404, *(() if version else (410,)), 406, 429, 503)),
        },
        **said_of(served, "history" if version else "read"),
    }


def _found() -> Json:
    return {
        "200": {
            "description": "What the caller may see of the matches.",
            "headers": {"Cache-Control": ref("headers", "Cache-Control")},
            "content": {FHIR_JSON: {"schema": ref("schemas", "Bundle")}},
        }
    }


def views_of(served: ServedType, action: str) -> str:
    """What each permit lets its callers ask, by rule id and title."""
    lines = ["What may be asked, and of what, is said by these permits; any one of them suffices:", ""]
    for view in served.views:
        if action not in view.actions and not (action in SEARCHING and SEARCHING & view.actions):
            continue
        words = [f"- `{view.id}` {view.title}"]
        words += [f"when `{view.when}`"] if view.when else []
        words += [f"a search carries {view.asking}"] if view.asking and action in SEARCHING else []
        words += [f"shown are those where `{view.rows}`"] if view.rows else []
        words += [f"hidden: {', '.join(view.hide)}"] if view.hide else []
        lines.append("; ".join(words))
    against = [_against(one) for one in served.against if action in one.actions]
    if against:
        lines += ["", "Whatever they grant:", "", *against]
    return "\n".join(lines)


def _against(one: Against) -> str:
    """A forbid or a mask for people."""
    words = [f"- `{one.id}` {one.title}"]
    words += [f"when `{one.when}`"] if one.when else []
    words += [f"hidden: {', '.join(one.hide)}" if one.hide else "not shown"]
    return "; ".join(words)
