"""Requests by httpx: for targets that take credentials, and for apps in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import httpx

from gateway.upstream.answer import Answer, TooLong

TIMEOUT = httpx.Timeout(20.0, connect=3.0, pool=5.0)


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


class ByHttpx:
    """A `Sender` over a client of httpx."""

    def __init__(self, client: Client) -> None:
        """Hold the client, which this object closes."""
        self._client = client

    async def answered(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, most: int
    ) -> Answer:
        """What is answered to a request, whatever its status; a redirect is an answer.

        Units: `most`, the longest body that is taken, in bytes, inflated.
        Errors: TooLong; httpx's, OSError, and those of the client's credentials.
        """
        request = httpx.Request(method, url, headers=headers, content=content, extensions=_EXTENSIONS)
        response = await self._client.send(request, follow_redirects=False, stream=True)
        try:
            body = await _body(response, most)
        finally:
            await response.aclose()
        told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        return Answer(response.status_code, told, body)

    async def aclose(self) -> None:
        """Close the client and what is behind it."""
        await self._client.aclose()


async def _body(response: httpx.Response, most: int) -> bytes:
    """The body of an answer. Errors: TooLong."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most:
            raise TooLong
        parts.append(part)
    return b"".join(parts)


# what AsyncClient.request would set; the request is built by hand because that takes a third of the time
_EXTENSIONS = {"timeout": TIMEOUT.as_dict()}
