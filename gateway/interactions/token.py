"""`POST /$ingest/auth` and `/.well-known/jwks.json`: the built-in token issuer over HTTP.

Source: RFC 6749 section 3.2, RFC 7523; RFC 7517 for the key set.
"""

from __future__ import annotations

from functools import cached_property

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.identity import scope_of
from gateway.interactions import body
from gateway.interactions.gateway import Gateway, of
from gateway.interactions.refused import Refused
from gateway.interactions.respond import NO_STORE
from gateway.interactions.scoped import plain
from gateway.interactions.scopes import INGEST, RIGHTS
from gateway.rules.account.reach import reach_of

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
        may=lambda client, name: Use(gateway, client).of(name),
    )
    request.state.log.update(outcome=str(answer.body.get("error", "issued")), reason=answer.reason)
    return JSONResponse(answer.body, answer.status, answer.headers)


class Use:
    """What a client could use scopes for, as the rules are now; they decide again at every request."""

    def __init__(self, gateway: Gateway, client: str) -> None:
        """Look nothing up yet."""
        self._gateway = gateway
        self._client = client

    @cached_property
    def _abilities(self) -> frozenset[tuple[str, str]]:
        """Letters of rights with the types that some permit opens for it; `ingest` with nothing."""
        reach = reach_of(self._gateway.rules, self._client)
        return frozenset(
            (INGEST, "") if one.action == INGEST else (RIGHTS.get(one.action, ""), one.type) for one in reach
        )

    def of(self, name: str) -> bool:
        """Whether some request of the client could be covered by a scope."""
        scope = scope_of(name)
        if scope is None:
            return (name, "") in self._abilities
        if scope.query and plain(self._gateway, scope) is None:
            return False
        return any(
            right in scope.rights and scope.type in {"*", kind} for right, kind in self._abilities if right and kind
        )


async def jwks(request: Request) -> Response:
    """Answer with the public keys that access tokens are signed with."""
    return JSONResponse(of(request).issuer.jwks())
