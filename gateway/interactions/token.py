"""`POST /$ingest/auth` and `/.well-known/jwks.json`: the built-in token issuer over HTTP.

Source: RFC 6749 section 3.2, RFC 7523; RFC 7517 for the key set.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.interactions import body
from gateway.interactions.gateway import of
from gateway.interactions.refused import Refused
from gateway.interactions.respond import NO_STORE

FORM_LIMIT = 64 * 1024


async def token(request: Request) -> Response:
    """Answer a token request.

    Errors: none are raised; each is an OAuth error in JSON.
    """
    gateway = of(request)
    try:
        raw = await body.read(request, FORM_LIMIT, empty=True)
    except Refused as refusal:
        words = {"error": "invalid_request", "error_description": refusal.findings[0].diagnostics}
        return JSONResponse(words, refusal.status, NO_STORE)
    answer = await gateway.issuer.token(
        raw,
        content_type=request.headers.getlist("content-type"),
        authorization=request.headers.getlist("authorization"),
        query=request.url.query,
    )
    request.state.log.update(outcome=str(answer.body.get("error", "issued")), reason=answer.reason)
    return JSONResponse(answer.body, answer.status, answer.headers)


async def jwks(request: Request) -> Response:
    """Answer with the public keys that access tokens are signed with."""
    return JSONResponse(of(request).issuer.jwks())
