"""authlib's authorization server and client credentials grant, with our methods, tokens and errors.

It is synchronous and has no I/O of its own; `issuer.py` runs it in threads.
Source: RFC 6749 sections 2.3, 4.4 and 5; RFC 7523; RFC 8705 section 2.1; RFC 9068.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientCredentialsGrant, InvalidScopeError, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from gateway import client_assertion
from gateway.identity import assertion, scopes, secret
from gateway.identity.assertion import Assertion, BadAssertion, Decoys
from gateway.identity.certificates import Certificate
from gateway.identity.credentials import Enrolment
from gateway.identity.form import TokenRequest
from gateway.identity.keys import Signing

LIFETIME: Final = 300
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a media type (RFC 9068), no password
NO_STORE: Final = {"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"}
METHODS: Final = ("private_key_jwt", "client_secret_basic", "tls_client_auth")

ERRORS: Final = {
    "invalid_client": "client authentication failed",
    "invalid_scope": "a scope is unknown, or none of them is one that you could use; ingest, system/TYPE.RIGHTS and "
    "user/TYPE.RIGHTS are known, and none means what the rules allow",
    "unsupported_grant_type": "grant_type must be client_credentials",
    "invalid_request": "the request is not a token request",
}

Find = Callable[[str], Enrolment | None]
May = Callable[[str, str], bool]
"""Whether a client, by its name, could use a scope."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """Answer of the token endpoint, and of those beside it.

    Shape: `body` is to be sent as JSON. `client` (once it proved itself) and `reason` are for the log alone: the
    client gets the same words whatever was wrong with its credentials.
    Source: RFC 6749 sections 5.1 and 5.2.
    """

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    client: str | None = None
    reason: str | None = None


class Asked(OAuth2Request):  # type: ignore[misc]  # authlib ships no types
    """One request on its way through authlib, and what came to light about it.

    Shape: `find` looks up enrolments, with the keys that were fetched for this request.
    """

    def __init__(
        self, address: str, sent: TokenRequest, *, find: Find, may: May, certificate: Certificate | None
    ) -> None:
        """Nothing is known of it yet."""
        super().__init__("POST", address)
        self.sent = sent
        self.find = find
        self.may = may
        self.certificate = certificate
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

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def create_token_response(self) -> tuple[int, dict[str, Any], None]:
        request = self.request
        try:
            names = scopes.granted(request.payload.scope, lambda name: request.may(request.client.name, name))
        except scopes.BadScope:
            raise InvalidScopeError from None
        token = self.server.token_for(request.client.name, names, request.certificate)
        return 200, token, None


class Server(AuthorizationServer):  # type: ignore[misc]  # authlib ships no types
    """authlib's server with our methods, tokens and errors."""

    def __init__(
        self, *, public_url: str, token_address: str, keys: Signing, secret_basic: bool, clock: Callable[[], float]
    ) -> None:
        """Register what is ours."""
        super().__init__()
        self._public_url = public_url
        self._token_address = token_address
        self._keys = keys
        self._secret_basic = secret_basic
        self._clock = clock
        self._decoys = Decoys()
        self.register_grant(_Grant)
        self.register_client_auth_method("private_key_jwt", self._by_assertion)
        self.register_client_auth_method("client_secret_basic", self._by_secret)
        self.register_client_auth_method("tls_client_auth", self._by_certificate)

    def client_of(self, request: Asked) -> str | None:
        """Name of the client that sent a request which is for no token; None for one that proves nothing."""
        try:
            return str(self.authenticate_client(request, METHODS, endpoint="token").name)
        except OAuth2Error:
            return None

    def token_for(self, client: str, names: tuple[str, ...], certificate: Certificate | None) -> dict[str, Any]:
        """An access token (RFC 9068 section 2) in the answer of RFC 6749 section 5.1.

        Shape: bound to the certificate that its request came with (RFC 8705 section 3), whichever that is.
        """
        now = int(self._clock())
        granted = {"scope": " ".join(names)} if names else {}
        bound = {} if certificate is None else {"cnf": {"x5t#S256": certificate.thumbprint}}
        claims = {
            "iss": self._public_url,
            "sub": client,
            "client_id": client,
            "aud": self._public_url,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(18),
            **granted,
            **bound,
        }
        token = self._keys.sign(claims, kind=TOKEN_TYPE)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, **granted}

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: Asked) -> Asked:
        """The request as it is."""
        return request

    def validate_requested_scope(self, scope: str | None) -> None:
        """Whether the names of a scope are known."""
        try:
            scopes.read(scope)
        except scopes.BadScope:
            raise InvalidScopeError from None

    def handle_response(self, status: int, body: Mapping[str, Any], _headers: Any) -> TokenAnswer:
        """An answer of authlib's as one of ours."""
        return TokenAnswer(status, body, NO_STORE)

    def create_token_response(self, request: Asked) -> TokenAnswer:
        """Answer a token request."""
        answer: TokenAnswer = super().create_token_response(request)
        return replace(answer, client=request.client.name if request.client else None)

    def handle_error_response(self, request: Asked, error: Any) -> TokenAnswer:
        """A refusal, in the same words for everyone: authlib's name methods and repeat what was sent."""
        return refusal(400, error.error, request.reason or ERRORS[error.error])

    def _by_assertion(self, _query_client: object, request: Asked) -> _Client | None:
        fields = request.sent.fields
        if "client_assertion" not in fields:
            return None
        if fields.get("client_assertion_type") != client_assertion.TYPE:
            request.reason = "the client_assertion_type is not jwt-bearer"
            return None
        try:
            proof = assertion.check(
                fields["client_assertion"],
                find=request.find,
                audience=self._token_address,
                now=self._clock(),
                decoys=self._decoys,
            )
        except BadAssertion as bad:
            request.reason = f"assertion: {bad}"
            return None
        request.proof = proof
        return _named(request, proof.client)

    def _by_secret(self, _query_client: object, request: Asked) -> _Client | None:
        if request.sent.basic is None:
            return None
        if not self._secret_basic:
            request.reason = "client_secret_basic is not enabled"
            return None
        name, offered = request.sent.basic
        enrolment = request.find(name)
        if not secret.matches(None if enrolment is None else enrolment.secret, offered):
            request.reason = "the client is unknown, has no secret, or sent another one"
            return None
        return _named(request, name)

    @staticmethod
    def _by_certificate(_query_client: object, request: Asked) -> _Client | None:
        """A client whose certificate is all that it is enrolled with; beside a key or a secret it proves nothing."""
        name = request.sent.fields.get("client_id")
        if request.sent.by_header or "client_assertion" in request.sent.fields or name is None:
            request.reason = request.reason or "no usable credentials were sent"
            return None
        enrolment = request.find(name)
        if enrolment is None or not enrolment.certificates or enrolment.other_than_certificates:
            request.reason = "the client is unknown, or enrolled with more than a certificate"
            return None
        return _named(request, name)


def _named(request: Asked, name: str) -> _Client | None:
    """A client that has shown what it is enrolled with, if it comes with its certificate too."""
    if request.sent.fields.get("client_id", name) != name:
        request.reason = "the client_id is another than the credentials are of"
        return None
    enrolment = request.find(name)
    if enrolment is None or not enrolment.has(request.certificate):
        request.reason = "the client is enrolled with a certificate, and the request came with none of its own"
        return None
    return _Client(name)


def refusal(status: int, code: str, reason: str) -> TokenAnswer:
    """A refusal by its code."""
    return TokenAnswer(status, error_body(code, ERRORS[code]), NO_STORE, reason=reason)


def error_body(code: str, description: str) -> dict[str, str]:
    """An error as RFC 6749 section 5.2 has it."""
    return {"error": code, "error_description": description}
