"""`POST /$ingest/auth`, its `/introspect` and `/revoke`, and `/.well-known/jwks.json`: the built-in issuer over HTTP.

Source: RFC 6749 section 3.2, RFC 7523, RFC 7662, RFC 7009; RFC 7517 for the key set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.identity import BadCertificate, Form, TokenAnswer, basic_client, scope_of
from gateway.interactions import body
from gateway.interactions.at_the_door import TOO_MANY, UNKNOWN, row_of
from gateway.interactions.gateway import Gateway, of, party_of
from gateway.interactions.peer import certificate_of
from gateway.interactions.refused import Refused
from gateway.interactions.respond import NO_STORE
from gateway.interactions.scoped import plain
from gateway.interactions.scopes import INGEST, RIGHTS
from gateway.journal import JournalUnavailable
from gateway.rules.account.reach import reach_of

FORM_LIMIT = 64 * 1024
SIGN_IN = "token"
SLOW_DOWN = "slow_down"  # RFC 8628 section 3.5 has the word
PART = 4
"""One address may have a part of so many of the connections in hand here."""
NAME_LENGTH = 64
"""How much of a client's name tells whose secret is tried; what counts tries is bounded so."""
log = structlog.get_logger()


async def token(request: Request) -> Response:
    """Answer a token request."""
    gateway = of(request)

    def may(client: str, name: str) -> bool:
        return Use(gateway, client).of(name)

    return await _answered(request, lambda asked: gateway.issuer.token(asked, may=may), "issued")


async def introspect(request: Request) -> Response:
    """Answer a client that asks about a token of its own."""
    return await _answered(request, of(request).issuer.introspect, "introspected")


async def revoke(request: Request) -> Response:
    """Take a client's token back."""
    return await _answered(request, of(request).issuer.revoke, "revoked")


async def _answered(request: Request, ask: Callable[[Form], Awaitable[TokenAnswer]], done: str) -> Response:
    """Answer a request to the issuer.

    Shape: past its failures an address is told to slow down, for what proves nobody alone: others behind the same
    address go on, but for those past what it may have in hand. A secret could be guessed, so whose secret was tried
    too often there waits before it is looked at.
    Errors: none are raised; each is an OAuth error in JSON.
    """
    gateway = of(request)
    address, most = f"token {party_of(request)}", gateway.settings.failures_a_minute
    named = basic_client(request.headers.getlist("authorization"))
    tried = None if named is None else f"{address} {named[:NAME_LENGTH]}"
    try:
        with gateway.unproved.one(address, max(1, gateway.settings.connections // PART)):
            raw = await body.read(request, FORM_LIMIT, empty=True)
            if tried is not None:
                gateway.failures.check(tried, most)
            answer = await _asked(request, gateway, raw, ask)
    except Refused as refusal:
        answer = _refusal(refusal)
    if answer.client is None and answer.body.get("error") != SLOW_DOWN:
        answer = _counted(gateway, answer, address, tried)
    outcome = str(answer.body.get("error", done))
    request.state.log.update(outcome=outcome, reason=answer.reason)
    if outcome == SLOW_DOWN and not gateway.told.first(address, int(gateway.clock().timestamp())):
        return JSONResponse(answer.body, answer.status, answer.headers)
    try:
        await gateway.journal.audit(row_of(request, gateway, SIGN_IN, done, outcome, answer.client or UNKNOWN))
    except JournalUnavailable as fault:
        log.error("journal unavailable", why=str(fault))
        if outcome == done:  # nobody is let in of whom the audit knows nothing
            words = {"error": "temporarily_unavailable", "error_description": "ask for a token again later"}
            return JSONResponse(words, 503, {**NO_STORE, "Retry-After": "10"})
    return JSONResponse(answer.body, answer.status, answer.headers)


async def _asked(
    request: Request, gateway: Gateway, raw: bytes, ask: Callable[[Form], Awaitable[TokenAnswer]]
) -> TokenAnswer:
    try:
        asked = Form(
            raw,
            request.headers.getlist("content-type"),
            request.headers.getlist("authorization"),
            request.url.query,
            certificate_of(request, gateway),
        )
        return await ask(asked)
    except BadCertificate as fault:
        return gateway.issuer.not_let_in(str(fault))


def _counted(gateway: Gateway, answer: TokenAnswer, address: str, tried: str | None) -> TokenAnswer:
    """The answer to a request that proved nobody, once it counts for its address and for whose secret it tried.

    Shape: past the address's failures it is another, to slow down; a tried secret counts even then.
    """
    most = gateway.settings.failures_a_minute
    if tried is not None:
        gateway.failures.count(tried, most)
    try:
        gateway.failures.check(address, most)
    except Refused as refusal:
        return _refusal(refusal)
    gateway.failures.count(address, most)
    return answer


def _refusal(refusal: Refused) -> TokenAnswer:
    """A refusal of this gateway's as one of the issuer's."""
    words = refusal.findings[0].diagnostics
    name = SLOW_DOWN if refusal.reason == TOO_MANY else "invalid_request"
    told = {"error": name, "error_description": words}
    return TokenAnswer(refusal.status, told, {**NO_STORE, **refusal.headers}, reason=words)


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
