"""Getting an access token, and keeping it while it lasts.

Source: RFC 6749 section 4.4, RFC 7523 section 2.2.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from gateway import client_assertion
from gateway.client.credentials import Credential, PrivateKey, Secret
from gateway.stated import Stated

TOKEN_PATH: Final = "/$ingest/auth"  # noqa: S105 - an address, no password
ASSERTION_LIFETIME: Final = 60
RENEW_BEFORE: Final = 30


class TokenRefused(Stated):
    """The token endpoint gave no token; its words are the endpoint's own.

    Source: RFC 6749 section 5.2.
    """

    def __init__(self, status: int, code: str, description: str) -> None:
        """Keep the endpoint's words."""
        super().__init__(f"no access token: {code} (HTTP {status}): {description}")
        self.status = status
        self.code = code
        self.description = description


class TokenFlow(httpx.Auth):
    """Puts an access token on every request, and gets one where there is none or the last is about to end.

    Shape: `audience` is the token endpoint's public address, where it differs from the address that is called; without
    a `credential` the certificate of the connection proves the client.
    Errors: TokenRefused; httpx.UnsupportedProtocol for a request to another origin, which must not see the token.
    """

    requires_response_body = True

    def __init__(
        self,
        base_url: str,
        principal: str,
        credential: Credential | None,
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
        Source: RFC 6749 sections 2.3.1 and 4.4.2, RFC 7523 section 2.2, RFC 8705 section 2.1.
        """
        fields = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        auth: tuple[str, str] | None = None
        if self._credential is None:
            fields |= {"client_id": self._principal}
        elif isinstance(self._credential, Secret):
            auth = (quote(self._principal, safe=""), quote(self._credential.text, safe=""))
        else:
            fields |= client_assertion.fields(self._assertion(self._credential))
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
        return client_assertion.assertion(
            credential.key, credential.kid, credential.algorithm,
            client_id=self._principal, audience=self._audience, now=self._clock(), lifetime=ASSERTION_LIFETIME,
        )  # fmt: skip


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
