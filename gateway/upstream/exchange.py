"""One HTTP exchange with a target, and every way in which it can go wrong told as `TargetDown`.

A redirect is never followed and no address that a target sent is ever asked as it stands: a client that holds
credentials would send them there.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Protocol

import aiohttp
import httpx
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from gateway.observing import outgoing
from gateway.upstream.answer import (
    Answer,
    Misconfigured,
    NotAsked,
    NoTurn,
    Oversized,
    Slow,
    TargetDown,
    TooLong,
    Unconnected,
    Unreachable,
)
from gateway.upstream.breaker import Breaker
from gateway.upstream.credentials import CredentialsError
from gateway.upstream.observed import observed

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
"""What a proxy says where no server is there. Any other 5xx may be about one request alone, and must not shut others
out; nor does a FHIR server that says one of these itself, as of a search that takes too long."""
_FHIR = "fhir+json"
_TIMEOUT = 504
_NO_CREDENTIALS = frozenset({401, 407})
_CONNECTING = (
    aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError,
    httpx.ConnectTimeout, httpx.ConnectError, httpx.UnsupportedProtocol,
)  # fmt: skip
"""What says that there is no connection. (httpx-aiohttp tells one that the other side closed by these too.)"""


class Sender(Protocol):
    """What sends a request: `Straight`, or a client of httpx by `ByHttpx`."""

    async def answered(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, most: int
    ) -> Answer:
        """The answer, whatever its status; a redirect is one. Errors: TooLong; its library's, OSError."""

    async def aclose(self) -> None:
        """Close it."""


class Exchange:
    """Sends requests to one target.

    Shape: `attempts` is how often a request that changes nothing is tried; `breaker` leaves the target alone where it
    was not there lately, None never does; `health` is what a target that is there answers at once, an address and its
    headers, asked where a heavy request alone says that it may not be.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        attempts: int = ATTEMPTS,
        breaker: Breaker | None = None,
        health: tuple[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Hold what sends, which this object closes."""
        self.name = name
        self._sender = sender
        self._attempts = attempts
        self._breaker = breaker
        self._health = health
        self._looking: asyncio.Task[None] | None = None

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        *,
        again: bool,
        always: bool = False,
        heavy: bool = False,
    ) -> Answer:
        """The answer to a request.

        Shape: `again` says that the request changes nothing, so that it may be sent a second time; `always` that it is
        sent even where the target is left alone, since it asks whether the target is there; `heavy` that it may take a
        target that is there longer than anybody waits.
        Errors: TargetDown for no connection, no answer in time, a broken one, a redirect, refused credentials, 429 and
        any 5xx.
        """
        if not again or self._attempts == 1:
            return await self._once(method, url, headers, content, always=always, heavy=heavy)
        try:
            return await self._once(method, url, headers, content, always=always, heavy=heavy)
        except TargetDown as error:
            if not _passes(error):
                raise
        # what tries again is made only now: to make it takes as long as to send
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._attempts - 1), wait=_WAIT, retry=retry_if_exception(_passes), reraise=True
        )
        await asyncio.sleep(random.uniform(0, _FIRST_WAIT))  # noqa: S311 - it spreads load, it keeps no secret
        return await retrying(self._once, method, url, headers, content, always=always, heavy=heavy)

    async def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        always: bool = False,
        heavy: bool = False,
    ) -> Answer:
        asking = nullcontext() if self._breaker is None else self._breaker.asking(always=always)
        began = time.monotonic()
        try:
            with observed(self.name) as asked, asking:
                answer = await self._sent(method, url, headers, content, heavy=heavy)
                asked.outcome = "refused" if answer.status >= _CLIENT_ERROR else "answered"
        except Slow:
            self._doubt()
            raise
        except asyncio.CancelledError:  # the time of what asks is over (`answer_within`), or whoever asked is gone
            if self._breaker is not None:
                self._breaker.given_up(time.monotonic() - began)
                self._doubt()
            raise
        return answer

    def _doubt(self) -> None:
        if self._breaker is not None and self._breaker.doubted():
            self._look(self._breaker)

    def _look(self, breaker: Breaker) -> None:
        """Find out beside whether the target is there at all, once at a time."""
        if self._health is not None and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._looked(breaker, *self._health), name=f"look for {self.name}")

    async def _looked(self, breaker: Breaker, url: str, headers: Mapping[str, str]) -> None:
        try:
            await self._once("GET", url, headers, None, always=True)
        except Unreachable:
            if breaker.doubted():  # else something was answered meanwhile
                breaker.gone()
        except TargetDown:
            pass  # whatever it said, it is there

    @property
    def breaker_state(self) -> str:
        """State of the breaker; `closed` where there is none."""
        return "closed" if self._breaker is None else self._breaker.state

    async def _sent(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, *, heavy: bool
    ) -> Answer:
        traced = outgoing()
        sent = {**headers, **traced} if traced else headers
        try:
            async with asyncio.timeout(WHOLE):
                answer = await self._sender.answered(method, url, sent, content, LARGEST)
        except CredentialsError as error:
            raise NotAsked(self.name, str(error)) from error
        except NoTurn as error:
            raise NotAsked(self.name, "all the connections that the gateway has to it are in use") from error
        except TooLong as error:
            raise Oversized(self.name, f"its answer is longer than {LARGEST} bytes") from error
        except _CONNECTING as error:
            raise Unconnected(self.name, _untrusted(error) or "no connection to it") from error
        except (httpx.TimeoutException, TimeoutError) as error:
            if heavy:
                raise Slow(self.name, "it did not answer in time") from error
            raise Unreachable(self.name, _untrusted(error) or "it did not answer in time") from error
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(self.name, "the connection broke, or its answer is not HTTP") from error
        self._check(answer, heavy=heavy)
        return answer

    def _check(self, answer: Answer, *, heavy: bool) -> None:
        """Whether an answer is one to what was asked. Errors: TargetDown."""
        status = answer.status
        if _REDIRECT <= status < _CLIENT_ERROR:
            raise Misconfigured(self.name, f"it redirects ({status}): configure the address that it redirects to")
        if status == _TIMEOUT and heavy:
            raise Slow(self.name, f"it answered {status}")
        if status in _NOT_THERE and _FHIR not in answer.headers.get("content-type", ""):
            raise Unreachable(self.name, f"it answered {status}")
        if status in _NO_CREDENTIALS:
            words = f"it answered {status}: it does not take the gateway's credentials, configure others"
            raise Misconfigured(self.name, words)
        if status >= _SERVER_ERROR or status == _TOO_MANY:
            raise TargetDown(self.name, f"it answered {status}")

    async def aclose(self) -> None:
        """Close what sends, and what is behind it."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self._sender.aclose()


def _passes(error: BaseException) -> bool:
    """Whether the same request may be answered a moment later."""
    return isinstance(error, TargetDown) and not isinstance(error, NotAsked | Misconfigured | Slow | Oversized)


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
