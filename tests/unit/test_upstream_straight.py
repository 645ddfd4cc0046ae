"""Requests straight to a connection: what is sent, what is made of any answer, and what of connections is kept."""

from __future__ import annotations

import asyncio
import functools
import gzip
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from gateway.upstream.answer import Answer, TooLong
from gateway.upstream.straight import Straight

MOST = 1 << 20
READ = {"accept": "application/fhir+json"}
BODY = {**READ, "content-type": "application/fhir+json"}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-One: 1\r\n\r\nok"
GZIPPED = gzip.compress(b"x" * 5000)
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5, sock_connect=5, sock_read=5)


class Target:
    """A server that answers each request with bytes. Shape: `asked` are the requests, `connections` how many came."""

    def __init__(self, answer: bytes, *, ends: bool = False) -> None:
        self.answer = answer
        self.ends = ends
        self.asked: list[bytes] = []
        self.connections = 0

    async def met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                self.asked.append(head + await reader.readexactly(int(fields.get(b"content-length", b"0"))))
                writer.write(self.answer)
                if self.ends:
                    return
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


Play = Callable[[Straight, str], Awaitable[None]]


def played(target: Target, play: Play, timeout: aiohttp.ClientTimeout = TIMEOUT) -> None:
    async def whole() -> None:
        server = await asyncio.start_server(target.met, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        straight = Straight(functools.partial(aiohttp.ClientSession, cookie_jar=aiohttp.DummyCookieJar()), timeout)
        try:
            await play(straight, url)
        finally:
            await straight.aclose()
            server.close()

    asyncio.run(whole())


ANSWERS = {
    "of a length": (OK, 200, b"ok"),
    "in chunks": (b"HTTP/1.1 201 C\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 201, b"ok"),
    "in gzip": (
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(GZIPPED), GZIPPED),
        200, b"x" * 5000,
    ),
    "without a body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "behind another": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, 200, b"ok"),
    "of a redirect": (b"HTTP/1.1 302 F\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n", 302, b""),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_whole_and_its_connection_kept(name: str) -> None:
    raw, status, body = ANSWERS[name]
    target = Target(raw)

    async def play(straight: Straight, url: str) -> None:
        for _ in range(3):
            found = await straight.answered("GET", f"{url}/Patient?_id=1%2C2", READ, None, MOST)
            assert (found.status, found.body) == (status, body)

    played(target, play)
    assert target.connections == 1
    assert all(one.startswith(b"GET /Patient?_id=1%2C2 HTTP/1.1\r\n") for one in target.asked)


def test_a_request_says_where_it_goes_and_what_it_takes_once() -> None:
    target = Target(OK)

    async def play(straight: Straight, url: str) -> None:
        assert await straight.answered("POST", url, BODY, b"{}", MOST) == Answer(
            200, {"content-length": "2", "x-one": "1"}, b"ok"
        )

    played(target, play)
    head, _, content = target.asked[0].partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    names = [field.partition(b":")[0].lower() for field in fields]
    assert first == b"POST / HTTP/1.1"
    assert content == b"{}"
    assert sorted(names) == [b"accept", b"accept-encoding", b"content-length", b"content-type", b"host", b"user-agent"]
    assert any(field.lower().startswith(b"host: 127.0.0.1:") for field in fields)


def test_what_is_unusual_goes_the_long_way_and_says_the_same() -> None:
    target = Target(OK)

    async def play(straight: Straight, url: str) -> None:
        large = b"x" * 100_000
        assert (await straight.answered("POST", url, BODY, large, MOST)).body == b"ok"
        assert (await straight.answered("POST", url, READ, b"{}", MOST)).body == b"ok"
        assert (await straight.answered("GET", f"{url}/a", {**READ, "te": "trailers"}, None, MOST)).body == b"ok"
        for value in ("a\r\nx: y", "a\nb", "a\rb", "a\0b"):
            with pytest.raises(ValueError, match="header"):
                await straight.answered("GET", f"{url}/a", {**READ, "if-match": value}, None, MOST)

    played(target, play)
    assert [len(one.partition(b"\r\n\r\n")[2]) for one in target.asked] == [100_000, 2, 0]


def test_what_is_too_long_or_breaks_off_is_told_and_its_connection_not_used_again() -> None:
    async def too_long(straight: Straight, url: str) -> None:
        for _ in range(2):
            with pytest.raises(TooLong):
                await straight.answered("GET", f"{url}/a", READ, None, 1000)

    target = Target(ANSWERS["in gzip"][0])
    played(target, too_long)
    assert target.connections == 2

    async def broken(straight: Straight, url: str) -> None:
        with pytest.raises(aiohttp.ClientError):
            await straight.answered("GET", f"{url}/a", READ, None, MOST)

    for raw in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", b"no HTTP at all\r\n\r\n", OK[:10]):
        target = Target(raw, ends=True)
        played(target, broken)
        assert len(target.asked) == 1, "it was sent again"


def test_a_silent_target_is_waited_for_so_long_and_no_longer() -> None:
    async def play(straight: Straight, url: str) -> None:
        with pytest.raises(TimeoutError):
            await straight.answered("GET", f"{url}/a", READ, None, MOST)

    played(Target(b""), play, aiohttp.ClientTimeout(total=None, connect=5, sock_connect=5, sock_read=0.2))


def test_who_waits_no_longer_leaves_no_answer_to_the_next() -> None:
    target = Target(b"")

    async def play(straight: Straight, url: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await straight.answered("GET", f"{url}/a", READ, None, MOST)
        target.answer = OK
        assert (await straight.answered("GET", f"{url}/b", READ, None, MOST)).body == b"ok"

    played(target, play)
    assert target.connections == 2


def test_nobody_there_is_told_as_such() -> None:
    async def play(straight: Straight, _: str) -> None:
        with pytest.raises(aiohttp.ClientConnectorError):
            await straight.answered("GET", "http://127.0.0.1:9/a", READ, None, MOST)

    played(Target(OK), play)
