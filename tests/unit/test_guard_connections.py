"""What a connection may do beside sending one request: how many, how far ahead, how slowly, beside how many others."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from gateway.guard import Guarded, Limits, guarded, sweep
from gateway.guard.protocol import TURNS
from gateway.guard.room import whose

WITHIN = 20.0
REQUEST = b"GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n"
BIG = 32 * 1024 * 1024


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers `/quick` at once, `/wait` later, `/body` after the body, `/big` with more than any buffer holds.

    `/pieces` is as big, and comes in pieces.
    """
    if scope["type"] != "http":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/body":
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        if message["type"] == "http.disconnect":
            return
    if scope["path"] == "/wait":
        await asyncio.sleep(2)
    body = b"x" * BIG if scope["path"] in {"/big", "/pieces"} else b"ok"
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body, "more_body": scope["path"] == "/pieces"})
    if scope["path"] == "/pieces":
        await send({"type": "http.response.body", "body": b""})


class _Server(uvicorn.Server):
    async def on_tick(self, counter: int) -> bool:
        for turn in range(TURNS):
            sweep(self.server_state.connections, asyncio.get_running_loop().time(), turn)
        return await super().on_tick(counter)


@contextmanager
def served(limits: Limits, refused: Callable[[str], None] = lambda _rule: None) -> Iterator[tuple[int, _Server]]:
    """A server in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=guarded(limits, refused), log_config=None, access_log=False,
                                timeout_keep_alive=limits.idle_within, ws="none")  # type: ignore[arg-type]  # fmt: skip
        server = _Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        until(lambda: server.started)
        try:
            yield listening.getsockname()[1], server
        finally:
            server.should_exit = server.force_exit = True
            thread.join(WITHIN)


def until(held: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN
    while not held():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def connected(port: int, address: str = "127.0.0.1") -> socket.socket:
    """A connection from an address of this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=WITHIN, source_address=(address, 0))


def everything(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    try:
        while data := client.recv(1 << 20):
            found += data
    except ConnectionResetError:
        pass
    return found


def answer(client: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"ok"):
        data = client.recv(65536)
        assert data, found
        found += data
    return found


def test_a_connection_ends_after_so_many_requests_and_says_so() -> None:
    with served(Limits(requests=3)) as (port, _), connected(port) as client:
        client.sendall(REQUEST * 5)
        found = everything(client)
    assert found.count(b"HTTP/1.1 200") == 3
    assert found.count(b"connection: close") == 1


def test_an_idle_connection_ends_without_words() -> None:
    with served(Limits(idle_within=0.5)) as (port, _), connected(port) as client:
        client.sendall(REQUEST)
        assert everything(client).count(b"HTTP/1.1") == 1


def test_where_all_room_is_taken_those_go_that_wait() -> None:
    with served(Limits(connections=5)) as (port, _):
        slow = [connected(port) for _ in range(5)]
        for client in slow:
            client.sendall(b"GET /quick HT")
        time.sleep(0.2)
        with connected(port) as other:
            other.sendall(REQUEST)
            assert answer(other)
        (gone,), _, _ = select.select(slow, (), (), WITHIN)
        first = everything(gone)
        assert b"503" in first
        assert b"HTTP-G20" in first
        assert b"retry-after: 1" in first
        for client in slow:
            if client is not gone:
                client.sendall(b"TP/1.1\r\nHost: localhost\r\n\r\n")
                assert answer(client)
        for client in slow:
            client.close()


def test_where_none_waits_those_go_whose_body_still_comes() -> None:
    with served(Limits(connections=4, body_window=60)) as (port, _):
        slow = [connected(port) for _ in range(4)]
        for client in slow:
            client.sendall(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na")
        time.sleep(0.2)
        with connected(port) as other:
            other.sendall(REQUEST)
            assert answer(other)
        (gone,), _, _ = select.select(slow, (), (), WITHIN)
        assert b"503" in everything(gone)
        for client in slow:
            client.close()


def test_idle_connections_go_after_those_that_never_sent_a_request() -> None:
    with served(Limits(connections=4)) as (port, _):
        idle = connected(port)
        idle.sendall(REQUEST)
        assert answer(idle)
        slow = [connected(port) for _ in range(3)]
        time.sleep(0.2)
        with connected(port) as other:
            other.sendall(REQUEST)
            assert answer(other)
        idle.sendall(REQUEST)
        assert answer(idle)
        for client in (idle, *slow):
            client.close()


def test_where_all_are_at_work_the_new_one_is_refused() -> None:
    with served(Limits(connections=4)) as (port, _):
        busy = [connected(port) for _ in range(4)]
        for client in busy:
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        with connected(port) as other:
            found = everything(other)
        assert b"HTTP/1.1 503" in found
        assert b"retry-after: 1" in found
        for client in busy:
            assert answer(client)
            client.close()


def test_past_a_quarter_more_connections_they_are_dropped_unheard() -> None:
    with served(Limits(connections=4, body_window=60, linger=60)) as (port, server):
        busy = [connected(port) for _ in range(4)]
        for client in busy:
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        more = [connected(port) for _ in range(20)]
        until(lambda: len(server.server_state.connections) <= 5)
        for client in (*busy, *more):
            client.close()


def test_one_address_that_opens_connections_faster_than_they_end_shuts_nobody_out() -> None:
    with served(Limits(connections=40, head_within=60, linger=60)) as (port, server):
        silent, idle = [], connected(port, "127.0.0.3")
        idle.sendall(REQUEST)
        assert answer(idle)
        for number in range(240):
            silent.append(connected(port, "127.0.0.2"))
            if number % 20 == 19:
                with connected(port, "127.0.0.3") as other:
                    other.sendall(REQUEST)
                    assert answer(other)
        idle.sendall(REQUEST)
        assert answer(idle), "who held most gave way, not who had waited longest"
        until(lambda: len(server.server_state.connections) <= 50)
        for client in (idle, *silent):
            client.close()


def test_an_address_whose_connections_are_all_at_work_takes_no_room_from_others() -> None:
    with served(Limits(connections=5)) as (port, _):
        idle = connected(port, "127.0.0.3")
        idle.sendall(REQUEST)
        assert answer(idle)
        busy = [connected(port, "127.0.0.2") for _ in range(4)]
        for client in busy:
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        with connected(port, "127.0.0.2") as other:
            assert b"HTTP/1.1 503" in everything(other)
        idle.sendall(REQUEST)
        assert answer(idle)
        for client in (idle, *busy):
            client.close()


def test_those_go_that_take_no_answer_where_nobody_else_waits() -> None:
    with served(Limits(connections=4, write_window=60)) as (port, server):
        stuck = [connected(port) for _ in range(4)]
        for client in stuck:
            client.sendall(b"GET /pieces HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: [(one.standing or (0,))[0] for one in guards(server)] == [3] * 4)
        with connected(port, "127.0.0.3") as other:
            other.sendall(REQUEST)
            assert answer(other)
        for client in stuck:
            client.close()
        until(lambda: not server.server_state.connections)
        until(lambda: not server.server_state.tasks)


def guards(server: uvicorn.Server) -> list[Guarded]:
    return [one for one in server.server_state.connections if isinstance(one, Guarded)]


WHOSE = {
    "192.0.2.7": "192.0.2.7",
    "::ffff:192.0.2.7": "192.0.2.7",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:db8:1:2:ffff::1": "2001:db8:1:2::/64",
    "fe80::1%eth0": "fe80::/64",
    "a:b": "a:b",
    "": "",
}


@pytest.mark.parametrize("address", WHOSE)
def test_connections_are_counted_by_what_one_site_has(address: str) -> None:
    assert whose(address) == WHOSE[address]


def test_what_is_sent_ahead_is_bounded() -> None:
    with served(Limits(ahead=1000, body_window=60)) as (port, server), connected(port) as client:
        client.sendall(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na")
        time.sleep(0.2)
        (one,) = server.server_state.connections
        client.sendall(b"bc")
        assert answer(client)
        client.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.settimeout(0)
        sent, end = 0, time.monotonic() + 2
        while time.monotonic() < end:
            try:
                sent += client.send(REQUEST * 1000)
            except BlockingIOError:
                time.sleep(0.05)
        held = len(one._held)  # type: ignore[union-attr]
        assert sent > 1000, "nothing was sent ahead"
        assert 1000 < held < 1024 * 1024


def test_a_client_that_takes_no_answer_is_dropped() -> None:
    with served(Limits(write_window=0.5)) as (port, server), connected(port) as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: bool(server.server_state.connections))
        until(lambda: not server.server_state.connections)
        assert len(everything(client)) < BIG


def test_a_client_that_takes_its_answer_slowly_gets_it() -> None:
    with served(Limits(write_window=0.5)) as (port, _), connected(port) as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        found = 0
        while data := client.recv(1 << 20):
            found += len(data)
            time.sleep(0.02)
    assert found > BIG


def test_a_body_that_goes_on_after_its_answer_is_cut_off() -> None:
    with served(Limits(surplus=100_000)) as (port, _), connected(port) as client:
        client.sendall(b"POST /quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n")
        assert answer(client)
        with pytest.raises(OSError):  # noqa: PT011 - a broken pipe or a reset, as it comes
            client.sendall(b"x" * 50_000_000)


def test_a_slow_body_after_its_answer_gets_no_second_one() -> None:
    with served(Limits(body_window=0.3)) as (port, _), connected(port) as client:
        client.sendall(b"POST /quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n")
        assert everything(client).count(b"HTTP/1.1") == 1


def test_a_client_that_waits_to_be_asked_is_not_too_slow() -> None:
    with served(Limits(body_window=0.3)) as (port, _), connected(port) as client:
        client.sendall(b"POST /quick HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert b"HTTP/1.1 200" in answer(client)


def test_a_steady_body_is_taken_however_long_it_is() -> None:
    with served(Limits(body_rate=100, body_window=0.3)) as (port, _), connected(port) as client:
        client.sendall(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n")
        for _ in range(20):
            client.sendall(b"x" * 100)
            time.sleep(0.05)
        assert answer(client)


def test_each_refusal_is_counted_by_its_code() -> None:
    seen: list[str] = []
    with served(Limits(), seen.append) as (port, _), connected(port) as client:
        client.sendall(b"GET /quick HTTP/1.1\r\n\r\n")
        everything(client)
    assert seen == ["HTTP-G11"]


def test_a_request_answered_before_its_body_leaves_no_connection_without_end() -> None:
    with served(Limits(idle_within=0.5)) as (port, _), connected(port) as client:
        client.sendall(b"POST /quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n")
        assert b"HTTP/1.1 200" in answer(client)
        client.sendall(b"ab")
        assert everything(client) == b""


def test_such_a_connection_still_takes_another_request() -> None:
    with served(Limits(idle_within=WITHIN)) as (port, _), connected(port) as client:
        client.sendall(b"POST /quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n")
        assert b"HTTP/1.1 200" in answer(client)
        client.sendall(b"ab")
        client.sendall(REQUEST)
        assert b"HTTP/1.1 200" in answer(client)
