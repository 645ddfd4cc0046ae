"""What the gateway shows to a target so that it is let in: a token, a header, a client certificate.

They are configured under the target's name and never told: no message, log line or `repr` has one of them, and no
address but the configured ones ever gets one.

Source: RFC 6749 section 4.4 (client credentials), 2.3.1 (the client's password), RFC 7523 (its signature), RFC 6750;
RFC 8446 for certificates.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import httpx

from gateway.client_assertion import assertion, fields
from gateway.config import TargetCredentials
from gateway.stated import Stated
from gateway.upstream import wire
from gateway.upstream.signing_key import BadKeyError, private_key

TOKEN_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_HOLDS = 240
"""How long an assertion holds; endpoints take 300 at most, by a clock of their own. Units: seconds."""
_EARLY = 30.0
"""So long before it expires a token is renewed, or for a tenth of its time where that is less. Units: seconds."""
_UNSAID = 300.0
"""How long a token holds where the server does not say. Units: seconds."""
_PAUSE = 2.0
"""How long a failure is told again before the token endpoint is asked once more. Units: seconds."""
_PATIENCE = 5.0
"""How long after a token was renewed since a target refused it none is renewed for that. Units: seconds."""
_LARGEST = 64 * 1024
_OK, _UNAUTHORIZED = 200, 401
_FORM = "application/x-www-form-urlencoded"


class CredentialsError(Stated):
    """Credentials that can't be had now; the words say which and why, without them."""


class Source(Protocol):
    """Where the value of a header comes from."""

    header: str

    async def value(self, refused: str | None = None) -> str:
        """The value; another than the refused one where there may be one. Errors: CredentialsError."""

    async def aclose(self) -> None:
        """Close what it holds."""


class Shown(httpx.Auth):
    """Puts a header on every request; where the target answers 401, once more with a new value."""

    def __init__(self, source: Source) -> None:
        """Ask for nothing yet."""
        self._source = source

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The request with the header, and again where it was refused. Errors: CredentialsError."""
        name = self._source.header
        shown = request.headers[name] = await self._source.value()
        response = yield request
        if response.status_code == _UNAUTHORIZED and (other := await self._source.value(refused=shown)) != shown:
            request.headers[name] = other
            yield request


class FileHeader:
    """A header whose value stands in a file, read again where it is refused: whoever renews it writes the file."""

    def __init__(self, header: str, file: Path) -> None:
        """Read nothing yet."""
        self.header = header
        self._file = file
        self._value: str | None = None

    async def value(self, refused: str | None = None) -> str:
        """The file's text. Errors: CredentialsError."""
        if self._value is None or self._value == refused:
            self._value = await asyncio.to_thread(_secret, self._file)
        return self._value

    async def aclose(self) -> None:
        """Nothing is held."""


class Proof(Protocol):
    """How the gateway tells a token endpoint who it is."""

    async def told(self) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and fields of one request for a token. Errors: CredentialsError."""


class Password:
    """By a password, which stands in a file: `client_secret_basic`."""

    def __init__(self, client_id: str, file: Path) -> None:
        """Read nothing yet."""
        self._client_id = client_id
        self._file = file

    async def told(self) -> tuple[dict[str, str], dict[str, str]]:
        """The header that carries it. Errors: CredentialsError."""
        secret = await asyncio.to_thread(_secret, self._file)
        pair = f"{quote(self._client_id, safe='')}:{quote(secret, safe='')}"
        return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}, {}


class Signature:
    """By an assertion signed with a key, which stands in a file and never leaves the gateway: `private_key_jwt`."""

    def __init__(
        self, client_id: str, file: Path, key_id: str, audience: str, now: Callable[[], float] = time.time
    ) -> None:
        """Read nothing yet. Shape: `now` gives seconds since 1970."""
        self._client_id = client_id
        self._file = file
        self._key_id = key_id
        self._audience = audience
        self._now = now

    async def told(self) -> tuple[dict[str, str], dict[str, str]]:
        """The fields that carry a new assertion; the file is read for each, so that a new key needs no restart.

        Errors: CredentialsError.
        """
        try:
            signed = await asyncio.to_thread(self._signed)
        except BadKeyError as error:
            raise CredentialsError(f"the file {self._file.name} of its credentials {error}") from error
        return {}, fields(signed)

    def _signed(self) -> str:
        key, algorithm = private_key(self._file)
        return assertion(
            key, self._key_id, algorithm,
            client_id=self._client_id, audience=self._audience, now=self._now(), lifetime=_HOLDS,
        )  # fmt: skip


class ClientToken:
    """An OAuth 2.0 access token by client credentials, kept until shortly before it expires."""

    header = "Authorization"

    def __init__(
        self,
        client: httpx.AsyncClient,
        address: str,
        proof: Proof,
        scope: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask for nothing yet. Shape: `client` is closed by this object; `clock` gives seconds that only grow."""
        self._client = client
        self._address = address
        self._proof = proof
        self._scope = scope
        self._clock = clock
        self._value: str | None = None
        self._until = 0.0
        self._refused_until = float("-inf")
        self._failed: CredentialsError | None = None
        self._failed_until = 0.0
        self._asking = asyncio.Lock()

    async def value(self, refused: str | None = None) -> str:
        """The header's value; requests that wait for a new one share it. Errors: CredentialsError."""
        async with self._asking:
            if self._value is None or self._clock() >= self._until or self._is_renewable(refused):
                lasting = await self._renew()
                self._until = self._clock() + lasting - min(_EARLY, lasting / 10)
            return str(self._value)

    async def aclose(self) -> None:
        """Close the connections to the token endpoint."""
        await self._client.aclose()

    def _is_renewable(self, refused: str | None) -> bool:
        """Whether another token is worth asking for: a target that takes none must not wear out who gives them."""
        now = self._clock()
        if self._value != refused or now < self._refused_until:
            return False
        self._refused_until = now + _PATIENCE
        return True

    async def _renew(self) -> float:
        """Ask for a new value; how many seconds it holds. Errors: CredentialsError, the last one for a moment."""
        if self._failed is not None and self._clock() < self._failed_until:
            raise self._failed  # who waited for the one that failed does not wait as long again
        try:
            self._value, lasting = await self._asked()
        except CredentialsError as error:
            self._failed, self._failed_until = error, self._clock() + _PAUSE
            raise
        self._failed = None
        return lasting

    async def _asked(self) -> tuple[str, float]:
        """A new value, and for how many seconds it holds. Errors: CredentialsError."""
        headers, fields = await self._proof.told()
        headers |= {"accept": "application/json", "content-type": _FORM}
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {}) | fields
        try:
            answer = await self._client.post(self._address, data=form, headers=headers, timeout=TOKEN_TIMEOUT)
        except (httpx.HTTPError, aiohttp.ClientError, OSError):
            # the cause is left out: what it holds may print the request
            raise CredentialsError("its token endpoint can't be reached") from None
        if answer.status_code != _OK:
            raise CredentialsError(f"its token endpoint answered {answer.status_code}")
        return _read_token(answer.content)


def tls_context(given: TargetCredentials, data: Path) -> ssl.SSLContext | None:
    """What a client certificate and an authority of one's own make of TLS; None for the machine's own.

    Errors: OSError (what TLS says is one) for files that can't be used.
    """
    if given.certificate is None and given.authority is None:
        return None
    context = ssl.create_default_context(cafile=None if given.authority is None else str(data / given.authority))
    if given.certificate is not None and given.key is not None:
        # without a password OpenSSL would ask for one at the terminal
        context.load_cert_chain(data / given.certificate, data / given.key, password="")
    return context


def source_of(given: TargetCredentials, data: Path, client: Callable[[], httpx.AsyncClient]) -> Source | None:
    """Where the header of a target's requests comes from; None where it has none.

    Shape: files are relative to `data`; `client` makes the one that asks for tokens.
    """
    if given.header_file is not None:
        return FileHeader(given.header, data / given.header_file)
    if given.token_url is None:
        return None
    proof: Proof | None = None
    if given.client_secret_file is not None:
        proof = Password(given.client_id, data / given.client_secret_file)
    elif given.client_key_file is not None:
        audience = given.audience or given.token_url
        proof = Signature(given.client_id, data / given.client_key_file, given.client_key_id, audience)
    return None if proof is None else ClientToken(client(), given.token_url, proof, given.scope)


def _secret(file: Path) -> str:
    """The text of a file that can stand in a header. Errors: CredentialsError."""
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"the file {file.name} of its credentials can't be read") from error
    if not text or not text.isascii() or not text.isprintable():
        raise CredentialsError(f"the file {file.name} of its credentials is not one line of visible ASCII characters")
    return text


def _read_token(raw: bytes) -> tuple[str, float]:
    """The header's value that an answer gives, and how long it holds. Errors: CredentialsError."""
    try:
        told: dict[str, Any] = wire.loads(raw[:_LARGEST])
        token, kind, lasting = told["access_token"], told["token_type"], float(told.get("expires_in", _UNSAID))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise CredentialsError("its token endpoint's answer is not one") from None
    fits = isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token and bool(token)
    if not fits or not isinstance(kind, str) or kind.lower() != "bearer" or not lasting > 0:
        raise CredentialsError("its token endpoint's answer is no bearer token")
    return f"Bearer {token}", lasting
