"""Messages of a batch in hand at once: answers in order, one key at a time, room for so many."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from gateway.interactions.ahead import LARGEST, MOST, Ahead


def run(keys: list[frozenset[str] | None]) -> list[str]:
    """What happens to pieces of work under these keys, which all end as soon as they may."""
    happened: list[str] = []

    def work(name: str) -> Callable[[], Awaitable[bytes]]:
        async def do() -> bytes:
            happened.append(f"{name}+")
            for _ in range(5 - int(name)):  # the later ones are the quicker ones
                await asyncio.sleep(0)
            happened.append(f"{name}-")
            return name.encode()

        return do

    async def go() -> bytes:
        ahead, answer = Ahead(), b""
        for number, key in enumerate(keys):
            ahead.begin(work(str(number)), key, 1)
        while ahead:
            await ahead.wait()
            answer += b"".join(ahead.made())
        return answer

    assert asyncio.run(go()) == b"01234"[: len(keys)], "answers leave in order, however the work ends"
    return happened


A, B, NONE = frozenset({"a"}), frozenset({"b"}), frozenset[str]()


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ([A, A, A], "0+ 0- 1+ 1- 2+ 2-"),
        ([A, B, A], "0+ 1+ 1- 0- 2+ 2-"),
        ([NONE, NONE], "0+ 1+ 1- 0-"),
        ([A, A | B, B], "0+ 0- 1+ 1- 2+ 2-"),
        ([A, None, B], "0+ 0- 1+ 1- 2+ 2-"),
        ([NONE, None, NONE], "0+ 0- 1+ 1- 2+ 2-"),
    ],
)
def test_what_shares_a_key_waits_for_its_turn(keys: list[frozenset[str] | None], order: str) -> None:
    assert " ".join(run(keys)) == order


def test_there_is_room_for_so_many_and_for_one_however_large() -> None:
    async def nothing() -> bytes:
        return b"x"

    async def go() -> None:
        ahead = Ahead()
        assert not ahead.is_full(2 * LARGEST), "one alone may be larger"
        ahead.begin(nothing, NONE, LARGEST)
        assert ahead.is_full(1)
        await ahead.wait()
        assert list(ahead.made()) == [b"x"]
        for _ in range(MOST):
            assert not ahead.is_full(1)
            ahead.begin(nothing, NONE, 1)
        assert ahead.is_full(1)
        while ahead:
            await ahead.wait()
            assert set(ahead.made()) == {b"x"}

    asyncio.run(go())


def test_what_is_made_already_waits_for_its_place() -> None:
    async def slow() -> bytes:
        await asyncio.sleep(0)
        return b"slow"

    async def go() -> list[bytes]:
        ahead = Ahead()
        ahead.add(b"first")
        ahead.begin(slow, A, 1)
        ahead.add(b"")
        ahead.add(b"last")
        assert list(ahead.made()) == [b"first"]
        await ahead.wait()
        return list(ahead.made())

    assert asyncio.run(go()) == [b"slow", b"last"]


def test_what_is_left_ends_by_itself() -> None:
    """A connection that breaks in the middle of a batch: what is in hand is settled, and its turn comes."""
    settled: list[str] = []

    def work(name: str) -> Callable[[], Awaitable[bytes]]:
        async def do() -> bytes:
            await asyncio.sleep(0)
            settled.append(name)
            return b""

        return do

    async def go() -> None:
        ahead = Ahead()
        ahead.begin(work("first"), A, 1)
        ahead.begin(work("second"), A, 1)
        ahead.leave()
        del ahead
        gc.collect()
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(go())
    assert settled == ["first", "second"]
