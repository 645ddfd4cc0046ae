"""Bodies as they arrive: in pieces, compressed, larger than memory should hold."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message

from gateway.hl7v2 import is_batch
from gateway.interactions import body
from gateway.interactions.refused import Refused

LIMIT, LARGER = 1000, 4 * 1024 * 1024


def request(pieces: list[bytes], encoding: str | None = None) -> Request:
    waiting = iter([*((piece, True) for piece in pieces), (b"", False)])

    async def receive() -> Message:
        piece, more = next(waiting)
        return {"type": "http.request", "body": piece, "more_body": more}

    headers = [(b"content-encoding", encoding.encode())] if encoding else []
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def spooled(pieces: list[bytes], folder: Path, encoding: str | None = None) -> bytes | None:
    """What a file holds, or None where the body stayed in memory."""

    async def take() -> bytes | None:
        taken = await body.read_or_spool(request(pieces, encoding), LIMIT, LARGER, is_batch, folder)
        if isinstance(taken, bytes):
            assert taken == b"".join(pieces)
            return None
        with taken:
            taken.seek(0)
            return taken.read()

    return asyncio.run(take())


@pytest.mark.parametrize("pieces", [[b"MSH|x"], [b"M", b"SH|", b"x" * 200, b"y"], [b" " * 80, b"BHS|"]])
def test_one_message_stays_in_memory(tmp_path: Path, pieces: list[bytes]) -> None:
    assert spooled(pieces, tmp_path) is None


@pytest.mark.parametrize("pieces", [[b"BHS|x"], [b"B", b"H", b"S|"], [b"FHS|", b"x" * 5000], [b"BHS|" + b"x" * 5000]])
def test_a_batch_goes_into_a_file_and_may_be_larger(tmp_path: Path, pieces: list[bytes]) -> None:
    assert spooled(pieces, tmp_path) == b"".join(pieces)
    assert list(tmp_path.iterdir()) == [], "the file has no name"


@pytest.mark.parametrize(
    ("pieces", "encoding", "reason"),
    [
        ([b"x" * 1001], None, "too-large"),
        ([b"x" * 600, b"y" * 600], None, "too-large"),
        ([gzip.compress(b"x" * 1001)], "gzip", "too-large"),
        ([b"BHS|", b"x" * LARGER], None, "too-large"),
        ([gzip.compress(b"BHS|" + b"x" * LARGER)], "gzip", "too-large"),
        ([b""], None, "unreadable"),
        ([gzip.compress(b"")], "gzip", "unreadable"),
        ([gzip.compress(b"BHS|")[:-1]], "gzip", "unreadable"),
        ([gzip.compress(b"BHS|"), b"more"], "gzip", "unreadable"),
    ],
)
def test_refusals(tmp_path: Path, pieces: list[bytes], encoding: str | None, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        spooled(pieces, tmp_path, encoding)
    assert refused.value.reason == reason


def test_a_file_that_can_not_be_written_refuses_and_nothing_is_taken(tmp_path: Path) -> None:
    large = [b"BHS|", b"x" * (body.SPOOL_IN_MEMORY + 1)]
    with pytest.raises(Refused) as refused:
        spooled(large, tmp_path / "missing")
    assert refused.value.reason == "down"


def test_what_inflates_a_thousandfold_comes_in_small_pieces() -> None:
    packed = gzip.compress(b"x" * 50_000_000)
    assert len(packed) < 60_000

    async def pieces() -> AsyncIterator[int]:
        async for piece in body.arriving(request([packed], "gzip"), 60_000_000):
            yield len(piece)

    async def summed() -> int:
        return sum([size async for size in pieces()])

    tracemalloc.start()
    assert asyncio.run(summed()) == 50_000_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000
