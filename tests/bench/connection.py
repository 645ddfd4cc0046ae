"""A lean HTTP/1.1 client for the load: the figures are the server's, so its client must cost next to nothing.

A client library takes a millisecond of the cores that it shares with the server; this one a tenth of that. Answers have
a Content-Length, or come in chunks as other servers send them.

Source: RFC 9112 sections 2 to 7.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

_LENGTH = b"content-length:"
_CHUNKED = b"transfer-encoding: chunked"


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and body of an answer."""

    status: int
    body: bytes


class Connections:
    """Kept-alive connections to one server, one for each request in flight."""

    def __init__(self, url: str) -> None:
        """Open none yet."""
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port or 80
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        """What comes before the length of a body in a request that is sent again and again."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._host}:{self._port}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), ""]).encode()

    async def ask(self, head: bytes, body: bytes = b"") -> Reply:
        """Send a request and read its answer.

        Errors: OSError, ValueError and asyncio.IncompleteReadError where the server doesn't answer as it should.
        """
        reader, writer = self._kept() or await asyncio.open_connection(self._host, self._port)
        length = f"content-length: {len(body)}\r\n\r\n" if body else "\r\n"
        writer.write(head + length.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        sizes = [int(line[len(_LENGTH) :]) for line in lines if line[: len(_LENGTH)].lower() == _LENGTH]
        if len(sizes) == 1:
            answer = await reader.readexactly(sizes[0])
        elif any(line.lower() == _CHUNKED for line in lines):
            answer = await _chunks(reader)
        else:
            raise ValueError(f"an answer without its length: {lines[0].decode()}")
        self._idle.append((reader, writer))
        return Reply(int(lines[0].split(b" ", 2)[1]), answer)

    def close(self) -> None:
        """Close those that are not in use."""
        for _, writer in self._idle:
            writer.close()

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection that the server has not closed in the meantime."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        found.append((await reader.readexactly(size + 2))[:-2])
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return b"".join(found)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connections]:
    """Connections to a server, closed at the end."""
    connections = Connections(url)
    try:
        yield connections
    finally:
        connections.close()
