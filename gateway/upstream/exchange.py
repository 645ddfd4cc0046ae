"""One HTTP exchange with a target, and every way in which it can go wrong told as `TargetDown`.

A redirect is never followed and no address that a target sent is ever asked as it stands: a client that holds
credentials would send them there.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Mapping
from typing import Protocol

import aiohttp
import httpx
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from gateway.upstream.answer import Answer, Misconfigured, NotAsked, TargetDown, Unreachable
from gateway.upstream.breaker import Breaker
from gateway.upstream.credentials import CredentialsError

TIMEOUT = httpx.Timeout(20.0, connect=3.0, pool=5.0)
WHOLE = 30.0
"""Longest that an exchange may take in all. Units: seconds."""
LARGEST = 256 * 1024 * 1024
"""Longest body of an answer, inflated. Units: bytes."""
ATTEMPTS = 3
_FIRST_WAIT = 0.05
"""Longest wait before a request is tried again, which doubles with each time. Units: seconds."""
_WAIT = wait_random_exponential(multiplier=2 * _FIRST_WAIT, max=1.0)
_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 300, 400, 500
_TOO_MANY = 429
_NOT_THERE = frozenset({502, 503, 504})
"""What says that no server is there. Any other 5xx may be about one request alone, and must not shut others out."""
_NO_CREDENTIALS = frozenset({401, 407})


class Client(Protocol):
    """What sends a request, as httpx has it: a client of its own, or `Direct`."""

    async def send(self, request: httpx.Request, *, stream: bool, follow_redirects: bool) -> httpx.Response:
        """The answer, its body unread. Errors: httpx's."""

    async def aclose(self) -> None:
        """Close it."""


class Direct:
    """Requests straight to a transport: what a client does beside, for cookies and redirects, takes as long again."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        """Hold the transport, which this object closes."""
        self._transport = transport

    async def send(self, request: httpx.Request, *, stream: bool, follow_redirects: bool) -> httpx.Response:  # noqa: ARG002 - as httpx has it
        """The answer, its body unread; a redirect is one. Errors: httpx's."""
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


class Exchange:
    """Sends requests to one target.

    Shape: `attempts` is how often a request that changes nothing is tried; `breaker` leaves the target alone where it
    was not there lately, None never does.
    """

    def __init__(self, name: str, client: Client, attempts: int = ATTEMPTS, breaker: Breaker | None = None) -> None:
        """Hold the client, which this object closes, and which follows no redirect."""
        self.name = name
        self._client = client
        self._attempts = attempts
        self._breaker = breaker

    async def ask(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | None = None,
        *,
        again: bool,
        always: bool = False,
    ) -> Answer:
        """The answer to a request.

        Shape: `again` says that the request changes nothing, so that it may be sent a second time; `always` that it is
        sent even where the target is left alone, since it asks whether the target is there.
        Errors: TargetDown for no connection, no answer in time, a broken one, a redirect, refused credentials, 429 and
        any 5xx.
        """
        if not again or self._attempts == 1:
            return await self._once(method, url, headers, content, always=always)
        try:
            return await self._once(method, url, headers, content, always=always)
        except TargetDown as error:
            if not _passes(error):
                raise
        # what tries again is made only now: to make it takes as long as to send
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._attempts - 1), wait=_WAIT, retry=retry_if_exception(_passes), reraise=True
        )
        await asyncio.sleep(random.uniform(0, _FIRST_WAIT))  # noqa: S311 - it spreads load, it keeps no secret
        return await retrying(self._once, method, url, headers, content, always=always)

    async def _once(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, *, always: bool = False
    ) -> Answer:
        if self._breaker is None:
            return await self._sent(method, url, headers, content)
        with self._breaker.asking(always=always):
            return await self._sent(method, url, headers, content)

    async def _sent(self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None) -> Answer:
        request = httpx.Request(method, url, headers=headers, content=content, extensions=_EXTENSIONS)
        try:
            async with asyncio.timeout(WHOLE):
                response = await self._client.send(request, follow_redirects=False, stream=True)
                try:
                    body = await self._body(response)
                finally:
                    await response.aclose()
        except CredentialsError as error:
            raise NotAsked(self.name, str(error)) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            # httpx-aiohttp tells a connection that the other side closed as a time-out of connecting
            raise Unreachable(self.name, _untrusted(error) or _connecting(error)) from error
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise Unreachable(self.name, _untrusted(error) or "no connection to it") from error
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(self.name, "the connection broke, or its answer is not HTTP") from error
        return self._judged(response, body)

    async def _body(self, response: httpx.Response) -> bytes:
        """The body, inflated. Errors: TargetDown for one that would fill the memory."""
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > LARGEST:
                raise TargetDown(self.name, f"its answer is longer than {LARGEST} bytes")
            parts.append(part)
        return b"".join(parts)

    def _judged(self, response: httpx.Response, body: bytes) -> Answer:
        status = response.status_code
        if _REDIRECT <= status < _CLIENT_ERROR:
            raise Misconfigured(self.name, f"it redirects ({status}): configure the address that it redirects to")
        if status in _NOT_THERE:
            raise Unreachable(self.name, f"it answered {status}")
        if status in _NO_CREDENTIALS:
            words = f"it answered {status}: it does not take the gateway's credentials, configure others"
            raise Misconfigured(self.name, words)
        if status >= _SERVER_ERROR or status == _TOO_MANY:
            raise TargetDown(self.name, f"it answered {status}")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        return Answer(status, headers, body)

    async def aclose(self) -> None:
        """Close the client and what is behind it."""
        await self._client.aclose()


def _passes(error: BaseException) -> bool:
    """Whether the same request may be answered a moment later."""
    return isinstance(error, TargetDown) and not isinstance(error, NotAsked | Misconfigured)


def _untrusted(error: BaseException | None) -> str | None:
    """Words for a certificate that was not taken, somewhere below an error."""
    while error is not None:
        match error:
            case aiohttp.ClientError():
                pass  # its errors of TLS are TLS's too, without what they say
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {error.verify_message}"
            case ssl.SSLError():
                return f"no TLS with it: {error.reason or 'broken off'}"
        error = error.__cause__
    return None


def _connecting(error: Exception) -> str:
    return "no connection to it" if isinstance(error, httpx.ConnectTimeout) else "it did not answer in time"


# what AsyncClient.request would set; the request is built by hand because that takes a third of the time
_EXTENSIONS = {"timeout": TIMEOUT.as_dict()}
