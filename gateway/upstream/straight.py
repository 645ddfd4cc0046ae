"""Requests straight to a connection of aiohttp's: the objects around each of them would take four times as long.

aiohttp connects, agrees TLS, keeps connections, reads the answer and inflates it; what is asked is one text, which is
written here. Whatever is unusual about a request goes aiohttp's own way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from gateway.upstream.answer import Answer, TooLong

_SMALL = 1 << 16
"""A larger body is written bit by bit, as fast as it is taken. Units: bytes."""
_EMPTY, _FILLED = frozenset({"GET", "DELETE"}), frozenset({"POST", "PUT", "PATCH"})
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te"})
_INFORMED, _SWITCHED, _OK = 100, 101, 200


class Straight:
    """One target's connections, none of which is opened before the first request, in the event loop that sends it.

    Shape: `session` makes what holds them; `timeout` is that of each request.
    """

    def __init__(self, session: Callable[[], aiohttp.ClientSession], timeout: aiohttp.ClientTimeout) -> None:
        """Open nothing yet."""
        self._make = session
        self._session: aiohttp.ClientSession | None = None
        self._timeout = timeout
        self._places: dict[str, tuple[aiohttp.ClientRequest, Mapping[str, str]]] = {}

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
        if self._session.connector is None or (content is not None and len(content) > _SMALL):
            return await self._at_length(self._session, method, url, headers, content, most)
        place, path = _parted(url)
        made, usual = self._places.get(place) or self._place(place)
        text = _written(method, path, headers, usual, content)
        if text is None:
            return await self._at_length(self._session, method, url, headers, content, most)
        return await self._asked(self._session.connector, made, text, most)

    def _place(self, place: str) -> tuple[aiohttp.ClientRequest, Mapping[str, str]]:
        """What tells a connection to a place from others, and the header fields that each request there has."""
        made = aiohttp.ClientRequest("GET", URL(f"{place}/"), loop=asyncio.get_running_loop())
        usual = {name.lower(): value for name, value in made.headers.items()}
        self._places = {place: (made, usual)}  # a target has one
        return made, usual

    async def _asked(
        self, connector: aiohttp.BaseConnector, made: aiohttp.ClientRequest, text: bytes, most: int
    ) -> Answer:
        """What is answered to a request that is written whole. Errors: TooLong; aiohttp's, OSError."""
        try:
            connection = await connector.connect(made, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error
        try:
            answer = await self._answer(connection, text, most)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError(error.message) from error
        except BaseException:
            connection.close()  # what is left of the answer would be taken for that to the next request
            raise
        connection.release()
        return answer

    async def _answer(self, connection: Connection, text: bytes, most: int) -> Answer:
        """What is answered on a connection. Errors: TooLong; HttpProcessingError, aiohttp's, OSError."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(read_until_eof=True, read_timeout=self._timeout.sock_read)
        transport.write(text)
        protocol.start_timeout()
        message, payload = await protocol.read()
        while _INFORMED <= message.code < _OK and message.code != _SWITCHED:
            message, payload = await protocol.read()
        return Answer(message.code, _headers(message.raw_headers), await _body(payload, most))

    async def _at_length(
        self, session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str],
        content: bytes | None, most: int,
    ) -> Answer:  # fmt: skip
        """The same by aiohttp's own way. Errors: TooLong; aiohttp's, OSError; ValueError for headers that are none."""
        response = await session.request(
            method, URL(url, encoded=True), headers=headers, data=content, allow_redirects=False, timeout=self._timeout
        )
        try:
            body = await _body(response.content, most)
        except BaseException:
            response.close()
            raise
        response.release()
        return Answer(response.status, _headers(response.raw_headers), body)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _parted(url: str) -> tuple[str, str]:
    """Scheme and authority of an address, and what is asked for there."""
    end = url.find("/", url.find("://") + 3)
    return (url, "/") if end < 0 else (url[:end], url[end:])


def _written(
    method: str, path: str, headers: Mapping[str, str], usual: Mapping[str, str], content: bytes | None
) -> bytes | None:
    """A request as it is sent; None for one that can't be written so plainly. Shape: names of `usual` in lower case."""
    given = {name.lower() for name in headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"{name}: {value}" for name, value in usual.items() if name not in given]
    if content is None:
        usual_method = method in _EMPTY
    else:
        usual_method = method in _FILLED and "content-type" in given
        lines.append(f"content-length: {len(content)}")
    text = "\r\n".join(lines)
    plain = text.isascii() and text.count("\r") == text.count("\n") == len(lines) - 1 and "\0" not in text
    if not plain or not usual_method or " " in path or "#" in path or not _FRAMING.isdisjoint(given):
        return None
    return f"{text}\r\n\r\n".encode() + (content or b"")


def _headers(raw: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    """Headers of an answer by name in lower case, octets as RFC 9110 (5.5) has them: nothing that can't be written."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


async def _body(content: aiohttp.StreamReader, most: int) -> bytes:
    """The body of an answer. Errors: TooLong."""
    parts: list[bytes] = []
    size = 0
    while part := await content.readany():
        size += len(part)
        if size > most:
            raise TooLong
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
