"""The shared parts of the OpenAPI document: security schemes, headers, and the responses of faults.

Schemas are in `schemas.py`, parameters in `parameters.py`.
Source: OpenAPI 3.1.0; RFC 6749, 6750, 7523.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.documents.offer import Published

Json = dict[str, Any]

FHIR_JSON = "application/fhir+json"
TOKEN_PATH = "/$ingest/auth"  # noqa: S105 - an address, not a secret
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def ref(kind: str, name: str) -> Json:
    """Reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def security_schemes(published: Published) -> Json:
    """Ways to show who asks: a token by client credentials, a token pasted, the client's own secret where enabled."""
    schemes: Json = {
        "oauth2": {
            "type": "oauth2",
            "description": (
                "OAuth 2.0 client credentials (RFC 6749 section 4.4). No scope is needed: the rules decide. "
                "A client with a key pair signs an assertion instead (private_key_jwt, RFC 7523), which a web page "
                "can't do: get a token with `gateway token` and paste it under `bearer`."
            ),
            "flows": {"clientCredentials": {"tokenUrl": published.public_url + TOKEN_PATH, "scopes": {}}},
        },
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token (RFC 9068, RFC 6750) from `/$ingest/auth` or a configured issuer.",
        },
    }
    if published.client_secrets:
        schemes["client"] = {
            "type": "http",
            "scheme": "basic",
            "description": "client_secret_basic (RFC 6749 section 2.3.1), for `/$ingest/auth` alone.",
        }
    return schemes


def headers() -> Json:
    """Response headers that several answers carry."""
    text = {"type": "string"}
    return {
        "Cache-Control": {"description": "`no-store`: answers are about people.", "schema": text},
        "ETag": {"description": 'Version of the resource, `W/"1"`.', "schema": text},
        "Last-Modified": {"description": "When this version was written (RFC 9110 section 8.8.2).", "schema": text},
        "Location": {"description": "Address of the submission's receipt.", "schema": text | {"format": "uri"}},
        "Retry-After": {
            "description": "Seconds to wait before the same request may succeed (RFC 9110 section 10.2.3).",
            "schema": {"type": "integer", "minimum": 0},
        },
        "WWW-Authenticate": {"description": "The challenge (RFC 6750 section 3).", "schema": text},
    }


FAULTS = {
    400: "The request is not understood: an unknown parameter, modifier, header or value. Each issue names its place.",
    401: "No token, or one that is not valid.",
    403: "Not permitted. The issues name the missing parameter, role or purpose and a request that would work.",
    404: "There is no such resource, or none that this caller may see.",
    405: "An entry of a transaction asks for what is not offered.",
    406: "Only JSON is offered.",
    409: "Something stands under this id already, or others changed the same resource again and again.",
    410: "It was deleted, or is kept no longer, and this caller could see it before.",
    412: "A condition is not met: another version stands, or a search finds more than one or asks nothing.",
    413: "The body is larger than the limit.",
    415: "Content-Type is missing or not the one that this address takes.",
    422: "A check refuses the resource, or it says that it is not the whole, or the FHIR server did not take it.",
    428: "This site wants `If-Match` with every update of what stands.",
    429: "More than the principal may ask in a second, or may see in a day; `Retry-After` says when it may again.",
    503: "A part that the request needs is down.",
    504: "The FHIR server did not answer: whether this was stored is not known, so look before you send it again.",
}
"""Faults of every address but `$ingest`, told by an OperationOutcome."""

_FAULT_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


def fault_responses() -> Json:
    """Response components of `FAULTS`, named `Fault400` and so on."""
    return {f"Fault{status}": _fault(status, words) for status, words in FAULTS.items()}


def faults(statuses: Iterable[int]) -> Json:
    """Responses of an operation for some of `FAULTS`."""
    return {str(status): ref("responses", f"Fault{status}") for status in statuses}


def _fault(status: int, words: str) -> Json:
    response: Json = {"description": words, "content": {FHIR_JSON: {"schema": ref("schemas", "OperationOutcome")}}}
    names = _FAULT_HEADERS.get(status, ())
    return response | ({"headers": {name: ref("headers", name) for name in names}} if names else {})
