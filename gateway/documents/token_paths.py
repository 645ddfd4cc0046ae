"""The built-in issuer in the OpenAPI document: tokens, what they say, and how they are taken back.

Source: `http-interface.md` of the design, `POST /$ingest/auth`; RFC 6749, RFC 7523, RFC 7662, RFC 7009, RFC 8705.
"""

from __future__ import annotations

from typing import Any

from gateway.documents.components import ASSERTION_TYPE, TOKEN_PATH, ref
from gateway.documents.offer import Published

Json = dict[str, Any]

PROOF: Json = {
    "client_id": {"type": "string", "description": "The principal's name, for tls_client_auth."},
    "client_assertion_type": {"const": ASSERTION_TYPE},
    "client_assertion": {"type": "string", "description": "A signed JWT (RFC 7523), for private_key_jwt."},
}
"""How a client proves itself in a form."""


def paths(published: Published) -> Json:
    """Addresses of the issuer."""
    return {
        TOKEN_PATH: {"post": _token(published)},
        f"{TOKEN_PATH}/introspect": {"post": _introspect(published)},
        f"{TOKEN_PATH}/revoke": {"post": _revoke(published)},
    }


def _token(published: Published) -> Json:
    secret = ", client_secret_basic" if published.client_secrets else ""
    return {
        "operationId": "token",
        "tags": ["Authorisation"],
        "summary": "Get an access token",
        "description": "OAuth 2.0 token endpoint: client_credentials with private_key_jwt (RFC 7523; RS384, ES384, "
        f"RS512){secret}, or tls_client_auth where the gateway asks for certificates (RFC 8705). The audience of an "
        f"assertion is exactly `{published.public_url}{TOKEN_PATH}`. A token that was asked for with a client "
        "certificate is good with that certificate alone.",
        **_asked(published, ["grant_type"], {
            "grant_type": {"const": "client_credentials"}, "scope": {"type": "string"},
        }),
        "responses": {"200": _answer("An access token.", ref("schemas", "Token")), **_faults()},
    }  # fmt: skip


def _introspect(published: Published) -> Json:
    said = {
        "type": "object",
        "required": ["active"],
        "properties": {
            "active": {"type": "boolean"}, "client_id": {"type": "string"}, "scope": {"type": "string"},
            "exp": {"type": "integer"}, "iat": {"type": "integer"}, "jti": {"type": "string"},
        },
    }  # fmt: skip
    return {
        "operationId": "introspect",
        "tags": ["Authorisation"],
        "summary": "What a token says",
        "description": "RFC 7662, for the client's own tokens: any other text is not active.",
        **_asked(published, ["token"], {"token": {"type": "string"}}),
        "responses": {"200": _answer("What the token says, or that it is not active.", said), **_faults()},
    }


def _revoke(published: Published) -> Json:
    return {
        "operationId": "revoke",
        "tags": ["Authorisation"],
        "summary": "Take a token back",
        "description": "RFC 7009, for the client's own tokens: refused from the moment of the answer on. Any other "
        "text changes nothing.",
        **_asked(published, ["token"], {"token": {"type": "string"}}),
        "responses": {"200": _answer("It is not good for anything now.", {"type": "object"}), **_faults()},
    }


def _asked(published: Published, needed: list[str], fields: Json) -> Json:
    schema = {"type": "object", "required": needed, "properties": {**fields, **PROOF}}
    return {
        "security": [*([{"client": []}] if published.client_secrets else []), {}],
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema}}},
    }


def _answer(description: str, schema: Json) -> Json:
    return {
        "description": description,
        "headers": {"Cache-Control": ref("headers", "Cache-Control")},
        "content": {"application/json": {"schema": schema}},
    }


def _faults() -> Json:
    error = ref("schemas", "OAuthError")
    unknown = _answer("`invalid_client`: the client could not be authenticated.", error)
    many = _answer("`slow_down`: too many requests of this address failed.", error)
    return {
        "400": _answer("The request is not one that the endpoint takes (RFC 6749 section 5.2).", error),
        "401": unknown | {"headers": {name: ref("headers", name) for name in ("Cache-Control", "WWW-Authenticate")}},
        "429": many | {"headers": {name: ref("headers", name) for name in ("Cache-Control", "Retry-After")}},
    }
