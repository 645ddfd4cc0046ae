"""What an engine or a partner does: get a token, send, search, read.

`gateway send`, `gateway token`, the demo, the tests' engines and the bench use it. What is asked and how an answer is
read is written once, in pure functions and in an httpx authentication flow that serves both the synchronous
`GatewayClient` and the `AsyncGatewayClient`.
Source: RFC 6749 section 4.4, RFC 7523 section 2.2, FHIR R4 RESTful API.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypedDict, Unpack
from urllib.parse import quote, urlencode

import httpx
from httpx_aiohttp import AiohttpTransport
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from gateway.config import is_loopback
from gateway.hl7v2.acknowledgement import read_acknowledgement

TOKEN_PATH: Final = "/$ingest/auth"  # noqa: S105 - an address, no password
INGEST_PATH: Final = "/$ingest"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME: Final = 60
RENEW_BEFORE: Final = 30
TIMEOUT: Final = 30.0
ALGORITHMS: Final = {"EC": ("ES384",), "RSA": ("RS384", "RS512")}
ACCEPTED: Final = frozenset({"AA", "CA"})

Pairs = Iterable[tuple[str, str]]

Unreachable = httpx.TransportError
"""Raised where no gateway answers: no connection, or it broke."""


class CredentialError(Exception):
    """A client credential that can't be used; its words never hold the credential."""


class TokenRefused(Exception):  # noqa: N818 - an answer of the gateway
    """The token endpoint gave no token; its words are the endpoint's own.

    Source: RFC 6749 section 5.2.
    """

    def __init__(self, status: int, code: str, description: str) -> None:
        """Keep the endpoint's words."""
        super().__init__(f"no access token: {code} (HTTP {status}): {description}")
        self.status = status
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class Secret:
    """A client secret, for client_secret_basic."""

    text: str

    def __repr__(self) -> str:
        """Nothing that a log could tell on."""
        return "Secret(...)"


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A client's key, for private_key_jwt.

    Shape: `kid` is the enrolled one; `algorithm` is RS384, RS512 or ES384.
    """

    key: Key
    kid: str
    algorithm: str

    def __repr__(self) -> str:
        """Nothing that a log could tell on."""
        return f"PrivateKey({self.kid!r}, {self.algorithm!r})"


Credential = Secret | PrivateKey


def private_key(jwk: Mapping[str, Any]) -> PrivateKey:
    """Credential of a private JWK.

    Shape: `kid` is needed; without `alg` an EC key signs with ES384, an RSA key with RS384.
    Errors: CredentialError.
    """
    try:
        key = import_key(dict(jwk))
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise CredentialError("the client's key is not a JWK that can be read") from error
    usable = ALGORITHMS.get(key.key_type, ())
    kid, algorithm = jwk.get("kid"), jwk.get("alg", usable[0] if usable else None)
    if not key.is_private or not isinstance(kid, str) or algorithm not in usable:
        raise CredentialError(
            "the client's key has to be a private RSA or EC key with a kid, for RS384, RS512 or ES384"
        )
    return PrivateKey(key, kid, algorithm)


def load_credential(path: Path) -> Credential:
    """Credential of a file: a private JWK, or `{"client_secret": "..."}`.

    Errors: CredentialError naming the file.
    """
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CredentialError(f"{path} can't be read as JSON: {type(error).__name__}") from error
    if isinstance(stored, dict) and isinstance(stored.get("client_secret"), str):
        return Secret(stored["client_secret"])
    if isinstance(stored, dict) and "kty" in stored:
        return private_key(stored)
    raise CredentialError(f"{path} holds neither a private JWK nor a client_secret")


@dataclass(frozen=True, slots=True)
class Sent:
    """How a submission was answered.

    Shape: `code`, `control_id` and `outcome` are MSA-1, MSA-2 and MSA-3 of the acknowledgement, None where the answer
    has none; `text` is the whole answer; `receipt` is the address in `Location`.
    Units: `retry_after` in seconds.
    """

    status: int
    body: bytes
    code: str | None
    control_id: str | None
    outcome: str | None
    receipt: str | None
    retry_after: int | None
    accepted: bool

    @property
    def text(self) -> str:
        """The answer for people: an acknowledgement's segments one a line."""
        return self.body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a search or read was answered.

    Shape: `headers` by lower-case name; `body` byte for byte as it came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def resource(self) -> Any:
        """The body as JSON with its decimals kept.

        Errors: ValueError where it isn't JSON.
        """
        return json.loads(self.body, parse_float=Decimal)


class OnAccountOf(TypedDict, total=False):
    """On whose account something is asked: the headers `purpose-of-use`, `on-behalf-of`, `break-glass-reason`."""

    purpose: str | None
    user: str | None
    break_glass: str | None


class Submitting(OnAccountOf, total=False):
    """What a submission may carry beside its three required headers."""

    content_type: str
    key: str | None
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the gateway, without the gateway's address.

    Shape: `target` is path and query.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes | None = None


class TokenFlow(httpx.Auth):
    """Puts an access token on every request, and gets one where there is none or the last is about to end.

    Shape: `audience` is the token endpoint's public address, where it differs from the address that is called.
    Errors: TokenRefused; httpx.UnsupportedProtocol for a request to another origin, which must not see the token.
    """

    requires_response_body = True

    def __init__(
        self,
        base_url: str,
        principal: str,
        credential: Credential,
        *,
        scope: str | None = None,
        audience: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Remember how to ask; nothing is asked yet."""
        self._address = httpx.URL(base_url.rstrip("/") + TOKEN_PATH)
        self._audience = audience or str(self._address)
        self._principal = principal
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._token: str | None = None
        self._ends = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Token request where needed, then the request; once again with a new token if the old one is refused."""
        if _origin(request.url) != _origin(self._address):
            raise httpx.UnsupportedProtocol(f"the access token is for {self._address.host} alone", request=request)
        token = self.standing()
        fresh = token is None
        if token is None:
            token = self.keep((yield self.ask(request.extensions)))
        request.headers["Authorization"] = f"Bearer {token}"
        answer = yield request
        if answer.status_code == httpx.codes.UNAUTHORIZED and not fresh:
            token = self.keep((yield self.ask(request.extensions)))
            request.headers["Authorization"] = f"Bearer {token}"
            yield request

    def standing(self) -> str | None:
        """The token in hand, unless it ends within 30 s."""
        return self._token if self._clock() < self._ends - RENEW_BEFORE else None

    def ask(self, extensions: Mapping[str, Any] | None = None) -> httpx.Request:
        """A token request.

        Shape: `extensions` carry httpx's timeouts.
        Source: RFC 6749 sections 2.3.1 and 4.4.2, RFC 7523 section 2.2.
        """
        fields = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        auth: tuple[str, str] | None = None
        if isinstance(self._credential, Secret):
            auth = (quote(self._principal, safe=""), quote(self._credential.text, safe=""))
        else:
            fields |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self._assertion(self._credential)}
        request = httpx.Request(
            "POST",
            self._address,
            data=fields,
            headers={"Accept": "application/json"},
            extensions=dict(extensions or {}),
        )
        return request if auth is None else next(httpx.BasicAuth(*auth).auth_flow(request))

    def keep(self, answer: httpx.Response) -> str:
        """Take the token out of an answer and remember it.

        Errors: TokenRefused.
        """
        try:
            told = json.loads(answer.content)
        except ValueError:
            told = None
        told = told if isinstance(told, dict) else {}
        token, lasts = told.get("access_token"), told.get("expires_in", 0)
        if answer.status_code != httpx.codes.OK or not isinstance(token, str) or not isinstance(lasts, int | float):
            code, words = (str(told.get(name, "")) for name in ("error", "error_description"))
            raise TokenRefused(answer.status_code, code or "no token", words or "the answer is not a token endpoint's")
        self._token, self._ends = token, self._clock() + lasts
        return token

    def _assertion(self, credential: PrivateKey) -> str:
        now = int(self._clock())
        claims = {
            "iss": self._principal,
            "sub": self._principal,
            "aud": self._audience,
            "iat": now,
            "exp": now + ASSERTION_LIFETIME,
            "jti": secrets.token_urlsafe(18),
        }
        header = {"alg": credential.algorithm, "kid": credential.kid}
        return jwt.encode(header, claims, credential.key, algorithms=[credential.algorithm])


def submission(
    body: bytes,
    *,
    domain: str,
    organisation: str,
    data_type: str = "Hl7v2",
    content_type: str = "text/plain",
    key: str | None = None,
    dry_run: bool = False,
    **account: Unpack[OnAccountOf],
) -> Asked:
    """What sending is.

    Shape: `key` becomes `Idempotency-Key`.
    Source: `POST /$ingest` of the gateway's own interface.
    """
    headers = {
        "source-domain": domain,
        "organisation-code": organisation,
        "data-type": data_type,
        "Content-Type": content_type,
        **({"Idempotency-Key": key} if key else {}),
        **_account(account),
    }
    return Asked("POST", INGEST_PATH + ("?dry-run=true" if dry_run else ""), headers, body)


def sent(answer: httpx.Response, data_type: str) -> Sent:
    """Read the answer to a submission.

    Shape: an HL7 message counts as accepted by its acknowledgement alone, whatever the status; others by the status.
    """
    hl7 = data_type == "Hl7v2"
    acknowledged = read_acknowledgement(answer.content) if hl7 else None
    wait = answer.headers.get("retry-after", "")
    return Sent(
        status=answer.status_code,
        body=answer.content,
        code=acknowledged.code if acknowledged else None,
        control_id=acknowledged.control_id if acknowledged else None,
        outcome=acknowledged.text if acknowledged else None,
        receipt=answer.headers.get("location"),
        retry_after=int(wait) if wait.isdecimal() else None,
        accepted=acknowledged is not None and acknowledged.code in ACCEPTED if hl7 else answer.is_success,
    )


def searching(kind: str, parameters: Pairs, *, post: bool = False, **account: Unpack[OnAccountOf]) -> Asked:
    """What a search is.

    Shape: `post` sends the parameters in the body, so that they stand in no log on the way.
    Source: FHIR R4, RESTful API, section 3.1.0.9 (search).
    """
    encoded, path = urlencode(list(parameters)), f"/{quote(kind, safe='')}"
    if not post:
        return Asked("GET", path + (f"?{encoded}" if encoded else ""), _account(account))
    headers = {"Content-Type": "application/x-www-form-urlencoded", **_account(account)}
    return Asked("POST", f"{path}/_search", headers, encoded.encode())


def reading(kind: str, identifier: str, **account: Unpack[OnAccountOf]) -> Asked:
    """What a read is.

    Source: FHIR R4, RESTful API, section 3.1.0.1 (read).
    """
    return Asked("GET", f"/{quote(kind, safe='')}/{quote(identifier, safe='')}", _account(account))


def _account(account: OnAccountOf) -> dict[str, str]:
    named = {
        "purpose-of-use": account.get("purpose"),
        "on-behalf-of": account.get("user"),
        "break-glass-reason": account.get("break_glass"),
    }
    return {name: value for name, value in named.items() if value is not None}


def _answered(answer: httpx.Response) -> Answer:
    return Answer(answer.status_code, dict(answer.headers), answer.content)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _local(base_url: str) -> bool:
    """Whether a proxy named in the environment has to stay out of the way."""
    return is_loopback(httpx.URL(base_url).host)


class GatewayClient:
    """Talks to a gateway, one request after the other.

    Shape: `transport` is for tests and in-process servers; `audience` is the token endpoint's public address, where
    it isn't the one that is called. Redirects are not followed.
    Errors: TokenRefused, and httpx.TransportError where the gateway can't be reached.
    """

    def __init__(
        self,
        base_url: str,
        principal: str,
        credential: Credential,
        *,
        scope: str | None = None,
        audience: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Open a client; nothing is sent yet."""
        self._base = base_url.rstrip("/")
        self._flow = TokenFlow(self._base, principal, credential, scope=scope, audience=audience)
        self._http = httpx.Client(timeout=timeout, transport=transport, trust_env=not _local(base_url))

    def token(self) -> str:
        """An access token, the one in hand while it lasts."""
        standing = self._flow.standing()
        if standing is not None:
            return standing
        return self._flow.keep(self._http.send(self._flow.ask({"timeout": self._http.timeout.as_dict()})))

    def send(
        self, body: bytes, *, domain: str, organisation: str, data_type: str = "Hl7v2", **more: Unpack[Submitting]
    ) -> Sent:
        """Submit a message, resource or file; `more` as `submission` takes it."""
        asked = submission(body, domain=domain, organisation=organisation, data_type=data_type, **more)
        return sent(self._exchange(asked), data_type)

    def search(self, kind: str, parameters: Pairs, *, post: bool = False, **account: Unpack[OnAccountOf]) -> Answer:
        """Search resources of a type."""
        return _answered(self._exchange(searching(kind, parameters, post=post, **account)))

    def read(self, kind: str, identifier: str, **account: Unpack[OnAccountOf]) -> Answer:
        """Read one resource."""
        return _answered(self._exchange(reading(kind, identifier, **account)))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Use as a context."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at the end of the context."""
        self.close()

    def _exchange(self, asked: Asked) -> httpx.Response:
        request = self._http.build_request(
            asked.method, self._base + asked.target, headers=asked.headers, content=asked.content
        )
        return self._http.send(request, auth=self._flow)


class AsyncGatewayClient:
    """Talks to a gateway with many requests in flight; else as `GatewayClient`.

    Shape: without a `transport` aiohttp's is used, which keeps up with load where httpx's own doesn't.
    """

    def __init__(
        self,
        base_url: str,
        principal: str,
        credential: Credential,
        *,
        scope: str | None = None,
        audience: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open a client; nothing is sent yet."""
        self._base = base_url.rstrip("/")
        self._flow = TokenFlow(self._base, principal, credential, scope=scope, audience=audience)
        self._http = httpx.AsyncClient(
            timeout=timeout, transport=transport or AiohttpTransport(), trust_env=not _local(base_url)
        )

    async def token(self) -> str:
        """An access token, the one in hand while it lasts.

        Shape: requests that start together without a token each ask for one; asking here first saves that.
        """
        standing = self._flow.standing()
        if standing is not None:
            return standing
        return self._flow.keep(await self._http.send(self._flow.ask({"timeout": self._http.timeout.as_dict()})))

    async def send(
        self, body: bytes, *, domain: str, organisation: str, data_type: str = "Hl7v2", **more: Unpack[Submitting]
    ) -> Sent:
        """Submit a message, resource or file; `more` as `submission` takes it."""
        asked = submission(body, domain=domain, organisation=organisation, data_type=data_type, **more)
        return sent(await self._exchange(asked), data_type)

    async def search(
        self, kind: str, parameters: Pairs, *, post: bool = False, **account: Unpack[OnAccountOf]
    ) -> Answer:
        """Search resources of a type."""
        return _answered(await self._exchange(searching(kind, parameters, post=post, **account)))

    async def read(self, kind: str, identifier: str, **account: Unpack[OnAccountOf]) -> Answer:
        """Read one resource."""
        return _answered(await self._exchange(reading(kind, identifier, **account)))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Use as a context."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at the end of the context."""
        await self.aclose()

    async def _exchange(self, asked: Asked) -> httpx.Response:
        request = self._http.build_request(
            asked.method, self._base + asked.target, headers=asked.headers, content=asked.content
        )
        return await self._http.send(request, auth=self._flow)
