"""What anybody may ask in the OpenAPI document: the documents themselves, keys, and whether the gateway is well.

Source: `http-interface.md` of the design, "Documents" and "Operations".
"""

from __future__ import annotations

from typing import Any

from gateway.documents.components import FHIR_JSON, faults, ref

Json = dict[str, Any]


def paths() -> Json:
    """Addresses that need no token."""
    return {
        "/metadata": {"get": _per_caller(_public(
            "capabilities", "Documents", "CapabilityStatement of the gateway", FHIR_JSON,
            ref("schemas", "CapabilityStatement"),
        ), 406)},
        "/openapi.json": {"get": _per_caller(_public(
            "openapi", "Documents", "This document", "application/json", {"type": "object"}
        ))},
        "/swagger/v1/swagger.json": {"get": _per_caller(_public(
            "swagger", "Documents", "This document, where the Swagger page looks for it", "application/json",
            {"type": "object"},
        ))},
        "/swagger/index.html": {"get": _public(
            "swaggerPage", "Documents", "This document as a page", "text/html", {"type": "string"}
        )},
        "/rules": {"get": _public(
            "rules", "Documents", "The rules as a page; an answer that names a rule is found there under its id",
            "text/html", {"type": "string"},
        )},
        "/.well-known/jwks.json": {"get": _public(
            "keys", "Authorisation", "Keys that access tokens are signed with (RFC 7517)", "application/json",
            {"type": "object"},
        )},
        "/.well-known/oauth-authorization-server": {"get": _public(
            "oauthMetadata", "Authorisation", "Where tokens are got and how (RFC 8414)", "application/json",
            {"type": "object"},
        )},
        "/.well-known/smart-configuration": {"get": _public(
            "smartConfiguration", "Authorisation", "The same as SMART on FHIR has it", "application/json",
            {"type": "object"},
        )},
        "/_health/live": {"get": _public(
            "live", "Operations", "Whether the process runs", "application/json", ref("schemas", "Health")
        )},
        "/_health/ready": {"get": _ready()},
    }  # fmt: skip


def _public(operation: str, tag: str, summary: str, media_type: str, schema: Json) -> Json:
    return {
        "operationId": operation,
        "tags": [tag],
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": summary, "content": {media_type: {"schema": schema}}}},
    }


def _per_caller(operation: Json, *statuses: int) -> Json:
    """An address that needs no token and tells a caller with one its own view."""
    words = "Without a token all that the rules let anybody do; with one what they let its caller do."
    return operation | {
        "description": words,
        "security": [{}, {"oauth2": []}, {"bearer": []}],
        "responses": operation["responses"] | faults((400, 401, 403, *statuses, 429)),
    }


def _ready() -> Json:
    summary = "Whether rules are loaded, the journal can be written and the targets answer"
    operation = _public("ready", "Operations", summary, "application/json", ref("schemas", "Health"))
    down = {"description": "Not ready.", "content": {"application/json": {"schema": ref("schemas", "Health")}}}
    operation["responses"]["503"] = down
    return operation
