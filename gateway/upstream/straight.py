"""Requests straight from aiohttp: the objects of httpx around each of them would take as long again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import aiohttp
from yarl import URL

from gateway.upstream.answer import Answer, TooLong


class Straight:
    """One target's connections, none of which is opened before the first request, in the event loop that sends it.

    Shape: `session` makes what holds them; `timeout` is that of each request.
    """

    def __init__(self, session: Callable[[], aiohttp.ClientSession], timeout: aiohttp.ClientTimeout) -> None:
        """Open nothing yet."""
        self._make = session
        self._session: aiohttp.ClientSession | None = None
        self._timeout = timeout

    async def answered(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, most: int
    ) -> Answer:
        """What is answered to a request, whatever its status; a redirect is an answer.

        Shape: `url` is encoded as it is to be sent.
        Units: `most` in bytes, inflated.
        Errors: TooLong for a longer body; aiohttp's, OSError.
        """
        if self._session is None:
            self._session = self._make()
        response = await self._session.request(
            method, URL(url, encoded=True), headers=headers, data=content, allow_redirects=False, timeout=self._timeout
        )
        try:
            body = await _body(response, most)
        except BaseException:
            response.close()  # what is left of the answer would be taken for that to the next request
            raise
        response.release()
        return Answer(response.status, _headers(response), body)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Headers of an answer by name in lower case, octets as RFC 9110 (5.5) has them: nothing that can't be written."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.raw_headers}


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer. Errors: TooLong."""
    parts: list[bytes] = []
    size = 0
    while part := await response.content.readany():
        size += len(part)
        if size > most:
            raise TooLong
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
