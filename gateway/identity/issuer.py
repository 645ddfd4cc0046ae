"""The token endpoint behind `POST /$ingest/auth`.

authlib's authorization server and client credentials grant run as they are: a synchronous core without I/O of its
own, in two threads that belong to the issuer (a flood of wrong secrets must not take the threads of others). The
client authentication methods, the generator of tokens and the form of errors are ours. The one thing that needs
the journal, claiming the assertion's `jti`, is awaited after that core has answered and before anything leaves.
Source: RFC 6749 sections 4.4 and 5, RFC 7523, RFC 9068.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientCredentialsGrant, InvalidScopeError, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from gateway.identity import assertion, form, scopes, secret
from gateway.identity.assertion import Assertion, BadAssertion, Decoys
from gateway.identity.credentials import Credentials
from gateway.identity.form import TokenRequest
from gateway.identity.keys import SigningKeys

LIFETIME: Final = 300
THREADS: Final = 2
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a media type (RFC 9068), no password
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NO_STORE: Final = {"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"}

ERRORS: Final = {
    "invalid_client": "client authentication failed",
    "invalid_scope": "a scope is unknown, or none of them is one that you could use; ingest, system/TYPE.RIGHTS and "
    "user/TYPE.RIGHTS are known, and none means what the rules allow",
    "unsupported_grant_type": "grant_type must be client_credentials",
    "invalid_request": "the request is not a token request",
}

ClaimTokenId = Callable[[str, str, int], Awaitable[bool]]
May = Callable[[str, str], bool]
"""Whether a client, by its name, could use a scope."""


def _anything(_client: str, _scope: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """Answer of the token endpoint.

    Shape: `body` is to be sent as JSON. `client` (once it proved itself) and `reason` are for the log alone: the
    client gets the same words whatever was wrong with its credentials.
    Source: RFC 6749 sections 5.1 and 5.2.
    """

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    client: str | None = None
    reason: str | None = None


class Issuer:
    """The built-in issuer of access tokens.

    Shape: `public_url` is the issuer and the audience of its tokens, `token_address` the audience of assertions;
    `claim_token_id(issuer, jti, expires)` answers whether this is the first use, by one atomic insert, and keeps the
    pair at least until `expires` (whole seconds since 1970); `secret_basic` enables client_secret_basic.
    Errors: authlib's InsecureTransportError for a token address that is neither https nor loopback.
    """

    def __init__(
        self,
        *,
        public_url: str,
        token_address: str,
        keys: SigningKeys,
        credentials: Credentials,
        claim_token_id: ClaimTokenId,
        secret_basic: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Set the server up; no thread starts before the first request."""
        self._keys = keys
        self._claim_token_id = claim_token_id
        self._realm = public_url
        self._token_address = token_address
        self._secret_basic = secret_basic
        self._server = _Server(
            public_url=public_url,
            token_address=token_address,
            keys=keys,
            credentials=credentials,
            secret_basic=secret_basic,
            clock=clock,
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="token")
        OAuth2Request("POST", token_address)  # authlib's check of the address, now and not at the first client

    async def token(
        self,
        body: bytes,
        *,
        content_type: Sequence[str],
        authorization: Sequence[str],
        query: str = "",
        may: May = _anything,
    ) -> TokenAnswer:
        """Answer a token request.

        Shape: all values of the two headers, and the query as it came. `may` says whether a client could use a scope
        at all; it is asked in a thread, once the client is known.
        Errors: none of its own; what `claim_token_id` raises passes through, and no token is given then.
        """
        try:
            sent = form.read(body, content_type=content_type, authorization=authorization, query=query)
        except form.BadForm as bad:
            return TokenAnswer(400, _error("invalid_request", str(bad)), NO_STORE, reason=str(bad))
        request = _Request(self._token_address, sent, may)
        loop = asyncio.get_running_loop()
        answer: TokenAnswer = await loop.run_in_executor(self._threads, self._server.create_token_response, request)
        # Claimed whatever became of the request: an assertion whose signature held is used up.
        if request.proof is not None and not await self._first_use(request.proof):
            answer = _answer(400, "invalid_client", "its jti was used before")
        if answer.body.get("error") == "invalid_client":
            return replace(answer, status=401, headers={**NO_STORE, "WWW-Authenticate": self._challenge(sent)})
        return answer

    def jwks(self) -> dict[str, Any]:
        """The public keys, for `/.well-known/jwks.json`."""
        return self._keys.jwks()

    def close(self) -> None:
        """Let the threads go once their work is done."""
        self._threads.shutdown(wait=False)

    async def _first_use(self, proof: Assertion) -> bool:
        return await self._claim_token_id(proof.client, proof.token_id, proof.expires)

    def _challenge(self, sent: TokenRequest) -> str:
        """A 401 names a scheme: Basic where it is enabled or was tried (RFC 6749 section 5.2), else Bearer."""
        scheme = "Basic" if self._secret_basic or sent.by_header else "Bearer"
        return f'{scheme} realm="{self._realm}"'


class _Request(OAuth2Request):  # type: ignore[misc]  # authlib ships no types
    """One token request on its way through authlib, and what came to light about it."""

    def __init__(self, address: str, sent: TokenRequest, may: May) -> None:
        super().__init__("POST", address)
        self.sent = sent
        self.may = may
        self.payload = BasicOAuth2Payload(dict(sent.fields))
        self.proof: Assertion | None = None
        self.reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Client:
    """What authlib asks about a client that has proven itself."""

    name: str

    def check_endpoint_auth_method(self, _method: str, _endpoint: str) -> bool:
        return True  # the method itself looked for the matching credential

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == ClientCredentialsGrant.GRANT_TYPE)


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]  # authlib ships no types
    """The client credentials grant; its own way to answer is replaced, since that logs the token."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("private_key_jwt", "client_secret_basic")

    def create_token_response(self) -> tuple[int, dict[str, Any], None]:
        request = self.request
        try:
            names = scopes.granted(request.payload.scope, lambda name: request.may(request.client.name, name))
        except scopes.BadScope:
            raise InvalidScopeError from None
        token = self.generate_token(scope=" ".join(names), include_refresh_token=False)
        return 200, token, None


class _Server(AuthorizationServer):  # type: ignore[misc]  # authlib ships no types
    """authlib's server with our methods, tokens and errors."""

    def __init__(
        self,
        *,
        public_url: str,
        token_address: str,
        keys: SigningKeys,
        credentials: Credentials,
        secret_basic: bool,
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self._public_url = public_url
        self._token_address = token_address
        self._keys = keys
        self._credentials = credentials
        self._secret_basic = secret_basic
        self._clock = clock
        self._decoys = Decoys()
        self.register_grant(_Grant)
        self.register_client_auth_method("private_key_jwt", self._by_assertion)
        self.register_client_auth_method("client_secret_basic", self._by_secret)
        self.register_token_generator("default", self._generate)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def validate_requested_scope(self, scope: str | None) -> None:
        try:
            scopes.read(scope)
        except scopes.BadScope:
            raise InvalidScopeError from None

    def handle_response(self, status: int, body: Mapping[str, Any], _headers: Any) -> TokenAnswer:
        return TokenAnswer(status, body, NO_STORE)

    def create_token_response(self, request: _Request) -> TokenAnswer:
        answer: TokenAnswer = super().create_token_response(request)
        return replace(answer, client=request.client.name if request.client else None)

    def handle_error_response(self, request: _Request, error: Any) -> TokenAnswer:
        # authlib's words name methods and repeat what was sent; ours are the same for everyone.
        return _answer(400, error.error, request.reason or ERRORS[error.error])

    def _by_assertion(self, _query_client: object, request: _Request) -> _Client | None:
        fields = request.sent.fields
        if "client_assertion" not in fields:
            return None
        if fields.get("client_assertion_type") != ASSERTION_TYPE:
            request.reason = "the client_assertion_type is not jwt-bearer"
            return None
        try:
            proof = assertion.check(
                fields["client_assertion"],
                find=self._credentials.find,
                audience=self._token_address,
                now=self._clock(),
                decoys=self._decoys,
            )
        except BadAssertion as bad:
            request.reason = f"assertion: {bad}"
            return None
        request.proof = proof
        return self._named(request, proof.client)

    def _by_secret(self, _query_client: object, request: _Request) -> _Client | None:
        if request.sent.basic is None:
            request.reason = request.reason or "no usable credentials were sent"
            return None
        if not self._secret_basic:
            request.reason = "client_secret_basic is not enabled"
            return None
        name, offered = request.sent.basic
        enrolment = self._credentials.find(name)
        if not secret.matches(None if enrolment is None else enrolment.secret, offered):
            request.reason = "the client is unknown, has no secret, or sent another one"
            return None
        return self._named(request, name)

    def _named(self, request: _Request, name: str) -> _Client | None:
        if request.sent.fields.get("client_id", name) != name:
            request.reason = "the client_id is another than the credentials are of"
            return None
        return _Client(name)

    def _generate(self, *, client: _Client, scope: str | None, **_: Any) -> dict[str, Any]:
        """An access token (RFC 9068 section 2) in the answer of RFC 6749 section 5.1."""
        now = int(self._clock())
        granted = {"scope": " ".join(names)} if (names := scopes.read(scope)) else {}
        claims = {
            "iss": self._public_url,
            "sub": client.name,
            "client_id": client.name,
            "aud": self._public_url,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(18),
            **granted,
        }
        token = self._keys.sign(claims, kind=TOKEN_TYPE)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, **granted}


def _answer(status: int, code: str, reason: str) -> TokenAnswer:
    return TokenAnswer(status, _error(code, ERRORS[code]), NO_STORE, reason=reason)


def _error(code: str, description: str) -> dict[str, str]:
    return {"error": code, "error_description": description}
