"""One HTTP exchange with a target, and every way in which it can go wrong told as `TargetDown`.

A redirect is never followed and no address that a target sent is ever asked as it stands: a client that holds
credentials would send them there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from gateway.upstream.answer import Answer, TargetDown

TIMEOUT = httpx.Timeout(20.0, connect=3.0, pool=5.0)
WHOLE = 30.0
"""Longest that an exchange may take in all. Units: seconds."""
ATTEMPTS = 3
_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 300, 400, 500
_TOO_MANY = 429


class Exchange:
    """Sends requests to one target.

    Shape: `attempts` is how often a request that changes nothing is tried.
    """

    def __init__(self, name: str, client: httpx.AsyncClient, attempts: int = ATTEMPTS) -> None:
        """Hold the client, which this object closes."""
        self.name = name
        self._client = client
        self._attempts = attempts

    async def ask(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None = None, *, again: bool
    ) -> Answer:
        """The answer to a request.

        Shape: `again` says that the request changes nothing, so that it may be sent a second time.
        Errors: TargetDown for no connection, no answer in time, a broken one, a redirect, 429 and any 5xx.
        """
        if not again or self._attempts == 1:
            return await self._once(method, url, headers, content)
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._attempts),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            retry=retry_if_exception_type(TargetDown),
            reraise=True,
        )
        return await retrying(self._once, method, url, headers, content)

    async def _once(self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None) -> Answer:
        request = httpx.Request(method, url, headers=headers, content=content, extensions=_EXTENSIONS)
        try:
            async with asyncio.timeout(WHOLE):
                response = await self._client.send(request, follow_redirects=False)
        except (httpx.TimeoutException, TimeoutError) as error:
            # httpx-aiohttp tells a connection that the other side closed as a time-out of connecting
            raise TargetDown(self.name, _connecting(error)) from error
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise TargetDown(self.name, "no connection to it") from error
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            raise TargetDown(self.name, "the connection broke, or its answer is not HTTP") from error
        return self._judged(response)

    def _judged(self, response: httpx.Response) -> Answer:
        status = response.status_code
        if _REDIRECT <= status < _CLIENT_ERROR:
            raise TargetDown(self.name, f"it redirects ({status}): configure the address that it redirects to")
        if status >= _SERVER_ERROR or status == _TOO_MANY:
            raise TargetDown(self.name, f"it answered {status}")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        return Answer(status, headers, response.content)

    async def aclose(self) -> None:
        """Close the client and what is behind it."""
        await self._client.aclose()


def _connecting(error: Exception) -> str:
    return "no connection to it" if isinstance(error, httpx.ConnectTimeout) else "it did not answer in time"


# what AsyncClient.request would set; the request is built by hand because that takes a third of the time
_EXTENSIONS = {"timeout": TIMEOUT.as_dict()}
