"""How an answer is written: its head and its body in one write, and only what HTTP has room for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from gateway.guard.answering import Answering

LENGTH_TWO = ((b"content-length", b"2"),)
HEAD_TWO = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\n\r\n"
Events = Sequence[tuple[bytes, bool]]


class Wire(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.writes.append(b"".join(list_of_data))

    def close(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.ended


def answering(wire: Wire, method: str = "GET", *, keep_alive: bool = True) -> Answering:
    async def made() -> Answering:
        return Answering(
            scope={"type": "http", "method": method},  # type: ignore[typeddict-item]
            transport=wire, flow=FlowControl(wire), logger=logging.getLogger("t"), access_logger=logging.getLogger("t"),
            access_log=False, default_headers=[(b"date", b"today")], message_event=asyncio.Event(),
            expect_100_continue=False, keep_alive=keep_alive, on_response=lambda: None,
        )  # fmt: skip

    return asyncio.run(made())


def told(one: Answering, headers: Sequence[tuple[bytes, bytes]], bodies: Events, status: int = 200) -> None:
    async def play() -> None:
        await one.send({"type": "http.response.start", "status": status, "headers": headers})
        for body, more in bodies:
            await one.send({"type": "http.response.body", "body": body, "more_body": more})

    asyncio.run(play())


CASES: dict[str, tuple[str, int, Sequence[tuple[bytes, bytes]], Events, list[bytes]]] = {
    "whole": ("GET", 200, LENGTH_TWO, [(b"ok", False)], [HEAD_TWO + b"ok"]),
    "in pieces": ("GET", 200, LENGTH_TWO, [(b"o", True), (b"k", False)], [HEAD_TWO + b"o", b"k"]),
    "a head that is asked for alone": ("GET", 200, LENGTH_TWO, [(b"", True), (b"ok", False)], [HEAD_TWO, b"ok"]),
    "to HEAD": ("HEAD", 200, LENGTH_TWO, [(b"ok", False)], [HEAD_TWO]),
    "without content": ("GET", 204, (), [(b"", False)], [b"HTTP/1.1 204 No Content\r\ndate: today\r\n\r\n"]),
    "of unknown length": (
        "GET", 200, (), [(b"o", True), (b"", True), (b"k", False)],
        [b"HTTP/1.1 200 OK\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"],
    ),
    "in chunks of its own": (
        "GET", 200, ((b"Transfer-Encoding", b"Chunked"),), [(b"", False)],
        [b"HTTP/1.1 200 OK\r\ndate: today\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_head_goes_with_the_first_bytes_of_the_body(name: str) -> None:
    method, status, headers, bodies, writes = CASES[name]
    wire = Wire()
    one = answering(wire, method)
    told(one, headers, bodies, status)
    assert wire.writes == writes
    assert one.response_complete
    assert not wire.ended


def test_the_last_answer_of_a_connection_says_so_once_and_ends_it() -> None:
    wire = Wire()
    told(answering(wire, keep_alive=False), LENGTH_TWO, [(b"ok", False)])
    assert wire.writes[0].count(b"connection: close\r\n") == 1
    assert wire.ended
    wire = Wire()
    told(answering(wire), (*LENGTH_TWO, (b"Connection", b"x, Close")), [(b"ok", False)])
    assert wire.writes[0].lower().count(b"close") == 1
    assert wire.ended


@pytest.mark.parametrize("field", [(b"a b", b"c"), (b"", b"c"), (b"a", b"b\r\nc: d"), (b"a", b"\x00")])
def test_a_field_that_is_none_leaves_room_for_another_answer(field: tuple[bytes, bytes]) -> None:
    wire = Wire()
    one = answering(wire)
    with pytest.raises(RuntimeError):
        told(one, (field,), [])
    assert not one.response_started
    told(one, LENGTH_TWO, [(b"ok", False)], 500)
    assert wire.writes[0].startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("bodies", [[(b"o", False)], [(b"okk", False)], [(b"o", True), (b"kk", False)]])
def test_a_body_of_another_length_than_the_head_says_is_not_written(bodies: Events) -> None:
    wire = Wire()
    one = answering(wire)
    with pytest.raises(RuntimeError, match="not as long"):
        told(one, LENGTH_TWO, bodies)
    assert not one.response_complete
    assert b"".join(wire.writes) in (b"", HEAD_TWO + b"o")


def test_parts_come_in_their_order_and_nothing_behind_the_last() -> None:
    async def play(one: Answering, *messages: Any) -> None:
        for message in messages:
            await one.send(message)

    start = {"type": "http.response.start", "status": 200, "headers": LENGTH_TWO}
    body = {"type": "http.response.body", "body": b"ok"}
    for messages in ((body,), (start, start), (start, body, body)):
        with pytest.raises(RuntimeError, match="expected was"):
            asyncio.run(play(answering(Wire()), *messages))


def test_nothing_is_written_for_who_is_gone() -> None:
    wire = Wire()
    one = answering(wire)
    one.disconnected = True
    told(one, LENGTH_TWO, [(b"ok", False)])
    assert wire.writes == []
