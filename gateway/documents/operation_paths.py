"""The operations of the facade in the OpenAPI document and the CapabilityStatement.

Source: https://hl7.org/fhir/R4/resource-operation-validate.html, https://hl7.org/fhir/R4/operation-patient-everything.html,
http://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.documents.components import FHIR_JSON, faults, ref
from gateway.documents.facade_paths import said_of, views_of
from gateway.documents.offer import EVERYTHING, EXPORT, VALIDATE, Offer, ServedType
from gateway.documents.parameters import headers_of, in_path
from gateway.specs import FhirTables

Json = dict[str, Any]

NDJSON = "application/fhir+ndjson"
OFFERED = (
    "POST /[type]/$validate", "POST /[type]/[id]/$validate", "GET or POST /Patient/[id]/$everything",
    "GET or POST /$export", "GET or POST /Patient/$export",
)  # fmt: skip
"""Every operation at its addresses, for people."""
DEFINITIONS = {
    VALIDATE: ("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate"),
    EVERYTHING: ("everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything"),
    EXPORT: ("export", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export"),
}
SYSTEM_EXPORT = ("export", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export")
PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": True,
    "description": "`respond-async`: an export takes time.",
    "schema": {"type": "string", "enum": ["respond-async"]},
}
ON_EVERYTHING = {
    "_since": "Only what was changed at or after this instant.",
    "_type": "Resource types, separated by commas; without it all that the rules let come.",
    "_count": "How many resources a page holds.",
    "_page": "Token of a page, as a `next` link gives it; it expires.",
    "_format": "`json` or `application/fhir+json`.",
}
BESIDE = frozenset({"_format"})
"""Parameters that stand in the address of a POST too."""
ON_EXPORT = {
    "_since": "Only what was changed at or after this instant.",
    "_type": "Resource types, separated by commas; without it all that the rules let out.",
    "_outputFormat": f"`{NDJSON}`, `application/ndjson` or `ndjson`.",
    "_format": "`json` or `application/fhir+json`, of the answer itself.",
}


def paths(offer: Offer, tables: FhirTables) -> dict[str, Json]:
    """Path items of the operations that some rule grants."""
    items: dict[str, Json] = {}
    for served in offer.types:
        if VALIDATE in served.actions:
            items[f"/{served.name}/$validate"] = {"post": _validate(offer, served)}
            items[f"/{served.name}/{{id}}/$validate"] = {"post": _validate(offer, served, tables)}
        if EVERYTHING in served.actions and served.name == "Patient":
            of_patient = _everything(offer, served, tables)
            items["/Patient/{id}/$everything"] = {"get": of_patient, "post": _posted(of_patient, ON_EVERYTHING)}
        if EXPORT in served.actions and served.name == "Patient":
            of_patients = _export(offer, "exportPatients", "of patients and what is theirs")
            items["/Patient/$export"] = {"get": of_patients, "post": _posted(of_patients, ON_EXPORT)}
    if exported(offer):
        of_all = _export(offer, "export", "of all that the rules let out")
        items["/$export"] = {"get": of_all, "post": _posted(of_all, ON_EXPORT)}
        items["/$export/{job}"] = {"get": _status(offer, tables), "delete": _cancel(offer, tables)}
        items["/$export/{job}/{name}"] = {"get": _file(offer, tables)}
    return items


def exported(offer: Offer) -> bool:
    """Whether some type may be exported."""
    return any(EXPORT in served.actions for served in offer.types)


def _validate(offer: Offer, served: ServedType, tables: FhirTables | None = None) -> Json:
    what = "a resource as that of this id, or what stands there" if tables else "a resource"
    body = {"anyOf": [ref("schemas", served.name), {"type": "object"}]}
    return {
        "operationId": f"validate{served.name}{'OfId' if tables else ''}",
        "tags": [served.name],
        "summary": f"Validate {what} by FHIR R4, and by the checks here where a mode is named",
        "description": views_of(served, VALIDATE) + "\n\nThe body is the resource, or Parameters with `resource` and "
        "`mode`. Nothing is stored.",
        "parameters": [
            *([in_path("id", "The logical id.", tables)] if tables else []),
            _query("mode", "`create` or `update`: the checks of the rules are asked too.", enum=["create", "update"]),
            *headers_of(offer),
        ],
        "requestBody": {"required": tables is None, "content": {FHIR_JSON: {"schema": body}}},
        "responses": {
            "200": {
                "description": "What was found, errors among it; a resource without fault has one issue of severity "
                "`information`.",
                "headers": {"Cache-Control": ref("headers", "Cache-Control")},
                "content": {FHIR_JSON: {"schema": ref("schemas", "OperationOutcome")}},
            },
            **faults((400, 401, 403, *((404,) if tables else ()), 406, 413, 415, 429, 503)),
        },
        **said_of(served, VALIDATE),
    }


def _everything(offer: Offer, served: ServedType, tables: FhirTables) -> Json:
    return {
        "operationId": "everythingOfPatient",
        "tags": [served.name],
        "summary": "A patient, and all that refers to it, as far as the rules let it come",
        "description": views_of(served, EVERYTHING) + "\n\nOf each type comes what the caller could search for by the "
        "patient and this operation is permitted for.",
        "parameters": [
            in_path("id", "The logical id.", tables),
            *(_query(name, words) for name, words in ON_EVERYTHING.items()),
            *headers_of(offer),
        ],
        "responses": {
            "200": {
                "description": "A page of it.",
                "headers": {"Cache-Control": ref("headers", "Cache-Control")},
                "content": {FHIR_JSON: {"schema": ref("schemas", "Bundle")}},
            },
            **faults((400, 401, 403, 404, 406, 429, 503)),
        },
        **said_of(served, EVERYTHING),
    }


def _export(offer: Offer, name: str, what: str) -> Json:
    return {
        "operationId": name,
        "tags": ["Export"],
        "summary": f"Begin an export {what}",
        "description": "Each resource goes out as the caller may read it and the rules on this operation release it. "
        "Ask the address in `Content-Location` how far it is.",
        "parameters": [
            PREFER,
            *(_query(name, words) for name, words in ON_EXPORT.items()),
            *headers_of(offer),
        ],
        "responses": {
            "202": {"description": "Begun.", "headers": {
                "Content-Location": {"description": "Where it tells how far it is.",
                                     "schema": {"type": "string", "format": "uri"}},
            }},
            **faults((400, 401, 403, 406, 429, 503)),
        },
    }  # fmt: skip


def _posted(asked: Json, own: Mapping[str, str]) -> Json:
    """The same by POST: the operation's own parameters stand in the body."""
    given = [name for name in own if name not in BESIDE]
    body = {"allOf": [
        {"type": "object", "properties": {"resourceType": {"const": "Parameters"}}, "required": ["resourceType"]},
    ]}  # fmt: skip
    words = f"Parameters with {', '.join(given)}, each a plain value; `_type` may stand several times."
    return {
        **asked,
        "operationId": f"{asked['operationId']}ByPost",
        "summary": f"{asked['summary']}, its parameters in the body",
        "parameters": [one for one in asked["parameters"] if one.get("name") not in given],
        "requestBody": {"required": False, "description": words, "content": {FHIR_JSON: {"schema": body}}},
        "responses": {**asked["responses"], **faults((413, 415))},
    }


def _job(tables: FhirTables) -> Json:
    return in_path("job", "The export, as `Content-Location` names it.", tables)


def _status(offer: Offer, tables: FhirTables) -> Json:
    return {
        "operationId": "exportStatus",
        "tags": ["Export"],
        "summary": "How far an export is",
        "parameters": [_job(tables), *headers_of(offer)],
        "responses": {
            "200": {
                "description": "It is done; the files, for this caller alone, until they expire.",
                "headers": {"Expires": {"description": "Until when.", "schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "202": {
                "description": "It goes on.",
                "headers": {
                    "X-Progress": {"description": "How far it is.", "schema": {"type": "string"}},
                    "Retry-After": {"description": "When to ask again, in seconds.", "schema": {"type": "integer"}},
                },
            },
            **faults((400, 401, 403, 404, 429, 503)),
        },
    }


def _cancel(offer: Offer, tables: FhirTables) -> Json:
    return {
        "operationId": "exportCancel",
        "tags": ["Export"],
        "summary": "End an export and remove its files",
        "parameters": [_job(tables), *headers_of(offer)],
        "responses": {"202": {"description": "Ended."}, **faults((400, 401, 403, 404, 429, 503))},
    }


def _file(offer: Offer, tables: FhirTables) -> Json:
    name = {"name": "name", "in": "path", "required": True, "description": "The file, as the manifest names it.",
            "schema": {"type": "string", "pattern": "^[A-Z][A-Za-z]+\\.ndjson$"}}  # fmt: skip
    return {
        "operationId": "exportFile",
        "tags": ["Export"],
        "summary": "A file of an export: one resource a line",
        "parameters": [_job(tables), name, *headers_of(offer)],
        "responses": {
            "200": {"description": "The file.", "content": {NDJSON: {"schema": {"type": "string"}}}},
            **faults((400, 401, 403, 404, 429, 503)),
        },
    }


def _query(name: str, words: str, **more: Any) -> Json:
    return {"name": name, "in": "query", "description": words, "schema": {"type": "string", **more}}
