"""The writing side of the facade in the OpenAPI document: create, update, patch and delete by type, and Bundles.

Source: https://hl7.org/fhir/R4/http.html#create, #update, #patch, #delete, #transaction; `http-interface.md` of the
design.
"""

from __future__ import annotations

from typing import Any

from gateway.documents.components import FHIR_JSON, faults, ref
from gateway.documents.facade_paths import said_of, views_of
from gateway.documents.offer import SEARCHING, Offer, ServedType
from gateway.documents.parameters import RESULT_PARAMETERS, headers_of, in_path, search_parameters
from gateway.specs import FhirTables

Json = dict[str, Any]

HEADERS = {
    "If-Match": "The ETag of the version that the client has changed, or `*` for any (RFC 9110 section 13.1.1).",
    "If-None-Match": "`*` stores only where nothing stands under this id.",
    "If-None-Exist": "A search, as it stands behind the question mark: where it finds one that the caller may see, "
    "nothing is stored; where it finds several, neither.",
    "Prefer": "`return=minimal`, `return=representation` or `return=OperationOutcome` (RFC 7240).",
    "organisation-code": "For which organisation this is; needed where the principal connects as several.",
}
KEPT = """
The id, the version, `meta.lastUpdated` and `meta.source` are the server's, and so are the tags that name who \
contributed; references to this address are kept relative. Tags, security labels and profiles that stand stay, though \
the client leaves them out."""
UNSEEN = """
A write to an id that stands, and that the caller may not see, answers 404: the one place where what is hidden shows."""
ON_CREATE = (400, 401, 403, 406, 409, 412, 413, 415, 422, 429, 503, 504)
PATCHED = """
The patch is applied to what stands, for those who see all of that, and what comes of it is judged as an update is. A \
narrative that the patch leaves as it is goes: nobody looked whether it still says what the rest does."""
DELETED = """
Only what the caller sees whole is deleted. What was deleted already answers 204 to those who could see it, and 404 to \
all others, as what never was."""
ON_UPDATE = (400, 401, 403, 404, 406, 409, 412, 413, 415, 422, 428, 429, 503, 504)
ON_DELETE = (400, 401, 403, 404, 406, 409, 412, 422, 429, 503, 504)
JSON_PATCH = "application/json-patch+json"


def paths(offer: Offer, tables: FhirTables) -> dict[str, Json]:
    """Path items of the writing side, by address; an address that is read too has them merged."""
    items: dict[str, Json] = {}
    for served in offer.types:
        if "create" in served.actions:
            items.setdefault(f"/{served.name}", {})["post"] = _create(offer, served)
        if "update" in served.actions:
            items.setdefault(f"/{served.name}/{{id}}", {})["put"] = _update(offer, served, tables)
            items.setdefault(f"/{served.name}", {})["put"] = _update_where(offer, served)
        if "patch" in served.actions:
            items.setdefault(f"/{served.name}/{{id}}", {})["patch"] = _patch(offer, served, tables)
            items.setdefault(f"/{served.name}", {})["patch"] = _patch(offer, served)
        if "delete" in served.actions:
            items.setdefault(f"/{served.name}/{{id}}", {})["delete"] = _delete(offer, served, tables)
            items.setdefault(f"/{served.name}", {})["delete"] = _delete(offer, served)
    if offer.types:
        items["/"] = {"post": _bundle(offer)}
    return items


def _create(offer: Offer, served: ServedType) -> Json:
    return {
        "operationId": f"create{served.name}",
        "tags": [served.name],
        "summary": f"Store a new {served.name}",
        "description": views_of(served, "create") + "\n" + KEPT,
        "parameters": [*_parameters("If-None-Exist", "Prefer", "organisation-code"), *_shape(), *headers_of(offer)],
        "requestBody": _body(served),
        "responses": {
            "200": _stored(served, "`If-None-Exist` found this one; nothing was stored."),
            "201": _stored(served, "Stored."),
            **faults(ON_CREATE),
        },
        **said_of(served, "create"),
    }


def _update(offer: Offer, served: ServedType, tables: FhirTables) -> Json:
    return {
        "operationId": f"update{served.name}",
        "tags": [served.name],
        "summary": f"Store a {served.name} under its id",
        "description": views_of(served, "update") + "\n" + KEPT + "\n" + UNSEEN,
        "parameters": [
            in_path("id", "The logical id; the resource has the same.", tables),
            *_parameters("If-Match", "If-None-Match", "Prefer", "organisation-code"),
            *_shape(),
            *headers_of(offer),
        ],
        "requestBody": _body(served),
        "responses": _updated(served),
        **said_of(served, "update"),
    }


def _update_where(offer: Offer, served: ServedType) -> Json:
    return {
        "operationId": f"update{served.name}Where",
        "tags": [served.name],
        "summary": f"Store a {served.name} in the place of the one that a search finds",
        "description": views_of(served, "update") + "\n" + KEPT,
        "parameters": [
            *(search_parameters(served, condition=True) if SEARCHING & served.actions else []),
            *_parameters("If-Match", "If-None-Match", "Prefer", "organisation-code"),
            *_shape(),
            *headers_of(offer),
        ],
        "requestBody": _body(served),
        "responses": _updated(served),
        **said_of(served, "update"),
    }


def _patch(offer: Offer, served: ServedType, tables: FhirTables | None = None) -> Json:
    """Of an id, or without tables of what a search finds."""
    operations = {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["op", "path"],
            "properties": {
                "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": {"type": "string"},
                "from": {"type": "string"},
                "value": {},
            },
        },
    }
    return {
        "operationId": f"patch{served.name}{'' if tables else 'Where'}",
        "tags": [served.name],
        "summary": f"Change {_which(served, tables)} by JSON Patch (RFC 6902)",
        "description": views_of(served, "patch") + "\n" + KEPT + "\n" + PATCHED,
        "parameters": [
            *_where(served, tables),
            *_parameters("If-Match", "Prefer", "organisation-code"),
            *_shape(),
            *headers_of(offer),
        ],
        "requestBody": {"required": True, "content": {JSON_PATCH: {"schema": operations}}},
        "responses": {"200": _stored(served, "Stored as a new version."), **faults(ON_UPDATE)},
        **said_of(served, "patch"),
    }


def _delete(offer: Offer, served: ServedType, tables: FhirTables | None = None) -> Json:
    """Of an id, or without tables of what a search finds."""
    told = {
        "description": "What was done, where `Prefer: return=OperationOutcome` asks for it.",
        "headers": {"Cache-Control": ref("headers", "Cache-Control")},
        "content": {FHIR_JSON: {"schema": ref("schemas", "OperationOutcome")}},
    }
    nothing = {"description": "Deleted." if tables else "Deleted, or nothing fits that this caller may see."}
    return {
        "operationId": f"delete{served.name}{'' if tables else 'Where'}",
        "tags": [served.name],
        "summary": f"Delete {_which(served, tables)}",
        "description": views_of(served, "delete") + "\n" + DELETED,
        "parameters": [
            *_where(served, tables),
            *_parameters("If-Match", "Prefer"),
            *_shape(),
            *headers_of(offer),
        ],
        "responses": {"200": told, "204": nothing, **faults(ON_DELETE)},
        **said_of(served, "delete"),
    }


def _which(served: ServedType, tables: FhirTables | None) -> str:
    return f"a {served.name}" if tables else f"the one {served.name} that a search finds"


def _where(served: ServedType, tables: FhirTables | None) -> list[Json]:
    """Parameters that say which resource a change is for."""
    if tables is not None:
        return [in_path("id", "The logical id.", tables)]
    return search_parameters(served, condition=True) if SEARCHING & served.actions else []


def _bundle(offer: Offer) -> Json:
    return {
        "operationId": "bundle",
        "tags": ["Bundles"],
        "summary": "Several requests in one: a batch, or a transaction",
        "description": "Each entry is judged as the same request sent alone. The entries of a batch stand alone; a "
        "transaction, which writes only, is judged whole before anything is stored, and stored whole or not at all.",
        "parameters": [*_parameters("Prefer", "organisation-code"), *headers_of(offer)],
        "requestBody": {"required": True, "content": {FHIR_JSON: {"schema": ref("schemas", "RequestBundle")}}},
        "responses": {
            "200": {
                "description": "An answer for each entry.",
                "headers": {"Cache-Control": ref("headers", "Cache-Control")},
                "content": {FHIR_JSON: {"schema": ref("schemas", "ResponseBundle")}},
            },
            **faults((400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, 503, 504)),
        },
    }


def _updated(served: ServedType) -> Json:
    return {
        "200": _stored(served, "Stored as a new version."),
        "201": _stored(served, "Stored; nothing stood there."),
        **faults(ON_UPDATE),
    }


def _stored(served: ServedType, words: str) -> Json:
    names = ("Cache-Control", "ETag", "Last-Modified")
    location = {"description": "Address of the version.", "schema": {"type": "string", "format": "uri"}}
    whole = f"{words} The body is the {served.name} as far as the caller may read it, unless `Prefer` wants another."
    schema = {"anyOf": [ref("schemas", served.name), ref("schemas", "OperationOutcome")]}
    return {
        "description": whole,
        "headers": {**{name: ref("headers", name) for name in names}, "Location": location},
        "content": {FHIR_JSON: {"schema": schema}},
    }


def _body(served: ServedType) -> Json:
    return {"required": True, "content": {FHIR_JSON: {"schema": ref("schemas", served.name)}}}


def _parameters(*names: str) -> list[Json]:
    return [
        {"name": name, "in": "header", "description": HEADERS[name], "schema": {"type": "string"}} for name in names
    ]


def _shape() -> list[Json]:
    return [ref("parameters", name) for name in RESULT_PARAMETERS if name in {"_format", "_pretty"}]
