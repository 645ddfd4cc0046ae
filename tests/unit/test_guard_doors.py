"""Connections before TLS is agreed: how many, of whom, how long; what comes right behind a handshake is kept."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import ClassVar

import pytest
import uvloop

from gateway.guard import Door, Handshakes, Limits, door
from tests.certificates import Authority

WITHIN = 20.0
SILENT, OTHER = "127.0.0.2", "127.0.0.3"
HELD: list[socket.socket] = []
"""What the clients of a test hold open; closed at its end."""


class Echo(asyncio.Protocol):
    """Says what it was made with, then sends everything back."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a stream's
        self.transport = transport
        transport.write(b"over TLS: " if transport.get_extra_info("ssl_object") is not None else b"plain: ")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.issue("server")
    return made


@contextlib.asynccontextmanager
async def served(
    authority: Authority, limits: Limits, told: list[str], kind: type[socket.socket]
) -> AsyncIterator[tuple[int, Handshakes]]:
    """A server behind a door, on a port of its own."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(authority.folder / "server.pem", authority.folder / "server.key")
    handshakes = Handshakes(limits, told.append)
    bound = kind()
    bound.bind(("127.0.0.1", 0))
    listening = Door(bound, tls, Echo, handshakes)
    listening.listen(100)
    try:
        yield bound.getsockname()[1], handshakes
    finally:
        listening.close()


def run(
    authority: Authority, limits: Limits, told: list[str], do: Callable[[int, Handshakes], Awaitable[None]],
    kind: type[socket.socket] = socket.socket,
) -> None:  # fmt: skip
    async def within() -> None:
        async with served(authority, limits, told, kind) as (port, handshakes):
            try:
                await asyncio.wait_for(do(port, handshakes), WITHIN)
            finally:
                for one in HELD:
                    one.close()
                HELD.clear()

    uvloop.run(within())


async def silent(port: int, address: str = SILENT) -> socket.socket:
    """A connection that says nothing."""
    HELD.append(one := socket.socket())
    one.settimeout(0)
    one.bind((address, 0))
    await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", port))
    return one


async def asked(port: int, authority: Authority, address: str = OTHER) -> bytes:
    """What comes back over TLS to words that are sent at once."""
    trusting = ssl.create_default_context(cafile=authority.file)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting, server_hostname="127.0.0.1", local_addr=(address, 0)
    )
    writer.write(b"hello")
    read = await reader.readexactly(len("over TLS: hello"))
    writer.transport.abort()
    return read


async def until(held: Callable[[], bool]) -> None:
    while not held():  # noqa: ASYNC110 - what is looked at tells nobody of a change
        await asyncio.sleep(0.01)


async def ended(one: socket.socket) -> bool:
    """Whether the other side ended it, or does by and by."""
    try:
        return await asyncio.get_running_loop().sock_recv(one, 1) == b""
    except ConnectionResetError:
        return True


def test_a_handshake_is_agreed_and_what_follows_it_arrives(authority: Authority) -> None:
    async def do(port: int, doors: Handshakes) -> None:
        for _ in range(20):
            assert await asked(port, authority) == b"over TLS: hello"
        await until(lambda: not len(doors))

    told: list[str] = []
    run(authority, Limits(), told, do)
    assert told == []


def test_what_comes_with_the_last_of_a_handshake_is_kept(authority: Authority) -> None:
    """TLS 1.3: a client may send its Finished and its first words in one packet."""
    trusting = ssl.create_default_context(cafile=authority.file)

    async def do(port: int, _doors: Handshakes) -> None:
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting.wrap_bio(come, go, server_hostname="127.0.0.1")
        one, loop = await silent(port), asyncio.get_running_loop()
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await loop.sock_sendall(one, go.read())
                come.write(await loop.sock_recv(one, 65536))
        tls.write(b"at once")
        await loop.sock_sendall(one, go.read())  # both
        found = b""
        while not found.endswith(b"at once"):
            more = await loop.sock_recv(one, 65536)
            assert more
            come.write(more)
            with contextlib.suppress(ssl.SSLWantReadError):
                while part := tls.read():
                    found += part
        assert found == b"over TLS: at once"

    run(authority, Limits(), [], do)


def test_one_address_in_silence_neither_holds_all_room_nor_shuts_another_out(authority: Authority) -> None:
    async def do(port: int, doors: Handshakes) -> None:
        held = []
        for number in range(120):
            held.append(await silent(port))
            if number % 20 == 19:
                assert await asked(port, authority) == b"over TLS: hello"
                assert await asked(port, authority, SILENT) == b"over TLS: hello"
        held.append(await silent(port))
        await until(lambda: len(doors) == 10)  # of 80, a quarter is for handshakes, and half of that for one address
        assert await ended(held[0]), "the oldest give way"

    told: list[str] = []
    run(authority, Limits(connections=80, handshake_within=60), told, do)
    assert set(told) == {"HTTP-G23"}


def test_in_all_no_more_are_held_than_a_part_and_who_has_most_gives_way(authority: Authority) -> None:
    async def do(port: int, doors: Handshakes) -> None:
        few = await silent(port, OTHER)
        for number in range(40):
            await silent(port, f"127.0.1.{number // 5}")
        await until(lambda: len(doors) == 20)
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            ssl.create_default_context().wrap_bio(come, go, server_hostname="127.0.0.1").do_handshake()
        await asyncio.get_running_loop().sock_sendall(few, go.read())
        assert (await asyncio.get_running_loop().sock_recv(few, 65536))[:1] == b"\x16", "it was still there"

    told: list[str] = []
    run(authority, Limits(connections=80, handshake_within=60), told, do)
    assert told.count("HTTP-G23") == 21


def test_a_handshake_that_takes_too_long_ends(authority: Authority) -> None:
    async def do(port: int, doors: Handshakes) -> None:
        one = await silent(port)
        await until(lambda: len(doors) == 1)
        assert await ended(one)
        await until(lambda: not len(doors))

    told: list[str] = []
    run(authority, Limits(handshake_within=0.2), told, do)
    assert told == ["HTTP-G24"]


def test_what_waits_ends_with_the_server(authority: Authority) -> None:
    async def do(port: int, doors: Handshakes) -> None:
        one = await silent(port)
        await until(lambda: len(doors) == 1)
        doors.close()
        assert await ended(one)

    told: list[str] = []
    run(authority, Limits(), told, do)
    assert told == []


def test_a_door_takes_connections_again_once_there_is_room(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "REST", 0.05)

    class Full(socket.socket):
        """A machine without room for a while."""

        faults: ClassVar[list[int]] = [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED]

        def accept(self) -> tuple[socket.socket, object]:
            if self.faults:
                raise OSError(self.faults.pop(), "no room")
            return super().accept()

    async def do(port: int, _doors: Handshakes) -> None:
        assert await asked(port, authority) == b"over TLS: hello"

    run(authority, Limits(), [], do, Full)
    assert Full.faults == []
