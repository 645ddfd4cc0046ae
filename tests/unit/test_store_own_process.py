"""The store's writer in a process of its own: what it writes, refuses, and what its end means."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.upstream import TargetDown, connect
from gateway.upstream.embedded_server import EmbeddedServer
from gateway.upstream.store import __main__ as other_end
from gateway.upstream.store import own_process as module
from gateway.upstream.store.frames import Answer, Put, frame_of, put_of
from gateway.upstream.store.own_process import AT_ONCE, MODULE, OPENED, UNDER_WAY, WriterProcess
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.room import Room
from gateway.upstream.store.writer import Unwritable

WITHIN = 30.0


def patient(number: int, family: str = "Marlow") -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": family}]}


async def started(writer: WriterProcess) -> None:
    """Have the process started, and wait until it is there or failed to be."""
    assert not writer.ready
    starting = writer._starting
    assert starting is not None
    async with asyncio.timeout(WITHIN):
        await starting


@asynccontextmanager
async def writing(path: Path) -> AsyncIterator[WriterProcess]:
    writer = WriterProcess(path)
    await started(writer)
    try:
        yield writer
    finally:
        await writer.aclose()


def process_of(writer: WriterProcess) -> int:
    process = writer._process
    assert process is not None
    return process.pid


def test_what_is_handed_over_is_written_once_put_returns(tmp_path: Path) -> None:
    async def run() -> None:
        server = connect("record", "embedded", data=tmp_path)
        assert isinstance(server, EmbeddedServer)
        async with writing(tmp_path / "store.db") as writer:
            await asyncio.gather(*(writer.put([(patient(n), None), (patient(n + 100), None)]) for n in range(20)))
            found = await server.read_many([("Patient", f"p{n}") for n in range(120)])
        assert len(found) == 40
        assert found["Patient", "p3"].resource["name"] == [{"family": "Marlow"}]
        await server.aclose()

    asyncio.run(run())


def test_what_is_handed_over_in_one_turn_goes_in_few_frames_and_the_first_go_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = list[tuple[int, int]]()
    asked = 0

    def seen(puts: list[Put]) -> bytes:
        frames.append((len(puts), asked))
        return frame_of(puts)

    async def one(writer: WriterProcess, number: int) -> None:
        nonlocal asked
        asked += 1
        await writer.put([(patient(number), None)])

    async def run() -> None:
        async with writing(tmp_path / "store.db") as writer:
            monkeypatch.setattr(module, "frame_of", seen)
            await asyncio.gather(*(one(writer, number) for number in range(10)))

    asyncio.run(run())
    assert AT_ONCE == 8
    assert frames == [(8, 8), (2, 10)]


def test_a_refusal_comes_back_with_its_findings(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path / "store.db") as writer:
            await writer.put([(patient(1), None)])
            with pytest.raises(Refusal, match="version 1 stands") as refusal:
                await writer.put([(patient(1, "Okafor"), "7")])
            assert refusal.value.status == 412
            assert refusal.value.findings[0].expression == "Patient/p1"
            await writer.put([(patient(1, "Okafor"), "1")])

    asyncio.run(run())


def test_a_writer_that_ends_leaves_nobody_waiting_and_the_gateway_writes_itself(tmp_path: Path) -> None:
    async def run() -> None:
        server = connect("record", "embedded", data=tmp_path, own_writer=True)
        assert isinstance(server, EmbeddedServer)
        writer = server._writer
        assert writer is not None
        assert (await server.write([(patient(1), None)])).status == 200  # before it is there
        await started(writer)
        os.kill(process_of(writer), signal.SIGSTOP)
        under_way = asyncio.create_task(server.write([(patient(2), None)]))
        await asyncio.sleep(0.05)
        os.kill(process_of(writer), signal.SIGKILL)
        with pytest.raises(TargetDown, match="can't be written"):
            await under_way
        assert (await server.write([(patient(2), None)])).status == 200
        assert set(await server.read_many([("Patient", "p1"), ("Patient", "p2")])) == {
            ("Patient", "p1"),
            ("Patient", "p2"),
        }
        await server.aclose()

    asyncio.run(run())


def test_closing_writes_what_was_handed_over(tmp_path: Path) -> None:
    async def run() -> None:
        server = connect("record", "embedded", data=tmp_path)
        assert isinstance(server, EmbeddedServer)
        async with writing(tmp_path / "store.db") as writer:
            pid = process_of(writer)
            under_way = asyncio.create_task(writer.put([(patient(1), None)]))
            await asyncio.sleep(0)
        await under_way
        assert await server.read_many([("Patient", "p1")])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await server.aclose()

    asyncio.run(run())


def wide(number: int) -> dict[str, Any]:
    return {**patient(number), "note": "x" * 4_000_000}


def handed_over(writer: WriterProcess) -> int:
    """Bytes that wait in this process to be handed over."""
    process = writer._process
    assert process is not None
    assert process.stdin is not None
    return process.stdin.transport.get_write_buffer_size()


def test_a_writer_slower_than_its_askers_holds_them_up_and_nothing_grows(tmp_path: Path) -> None:
    async def run() -> None:
        server = connect("record", "embedded", data=tmp_path)
        assert isinstance(server, EmbeddedServer)
        async with writing(tmp_path / "store.db") as writer:
            os.kill(process_of(writer), signal.SIGSTOP)
            askers = [asyncio.create_task(writer.put([(wide(n), None)])) for n in range(20)]
            given_up = [asyncio.create_task(writer.put([(wide(n), None)])) for n in range(100, 103)]
            await asyncio.sleep(0.1)
            assert 0 < handed_over(writer) <= writer._room.taken <= UNDER_WAY
            assert not any(asker.done() for asker in askers)
            for asker in given_up:
                asker.cancel()
            await asyncio.gather(*given_up, return_exceptions=True)
            os.kill(process_of(writer), signal.SIGCONT)
            async with asyncio.timeout(WITHIN):
                await asyncio.gather(*askers)
            assert writer._room.taken == 0
            found = await server.read_many([("Patient", f"p{n}") for n in range(120)])
            assert set(found) == {("Patient", f"p{n}") for n in range(20)}
        await server.aclose()

    asyncio.run(run())


def test_who_waits_for_a_writer_that_ends_learns_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path / "store.db") as writer:
            os.kill(process_of(writer), signal.SIGSTOP)
            askers = [asyncio.create_task(writer.put([(wide(n), None)])) for n in range(20)]
            await asyncio.sleep(0.1)
            os.kill(process_of(writer), signal.SIGKILL)
            async with asyncio.timeout(WITHIN):
                told = await asyncio.gather(*askers, return_exceptions=True)
            assert all(isinstance(one, Unwritable) for one in told), told
            assert writer._room.taken == 0

    asyncio.run(run())


def test_what_is_larger_than_all_room_goes_alone_and_in_its_turn() -> None:
    async def run() -> None:
        room, order = Room(10), list[int]()

        async def one(size: int) -> None:
            await room.take(size)
            order.append(size)
            assert room.taken <= max(10, size)
            await asyncio.sleep(0)
            room.give(size)

        async with asyncio.timeout(WITHIN):
            await asyncio.gather(*(one(size) for size in (6, 5, 40, 1, 2, 3)))
        assert order == [6, 5, 40, 1, 2, 3]
        assert room.taken == 0

    asyncio.run(run())


def test_a_file_that_is_no_store_starts_no_writer(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / "store.db").write_bytes(b"this is no database, whatever its name says" * 100)
        writer = WriterProcess(tmp_path / "store.db")
        await started(writer)
        assert not writer.ready
        with pytest.raises(Unwritable, match="not running"):
            await writer.put([(patient(1), None)])
        await writer.aclose()

    asyncio.run(run())


async def served(path: Path, *asked: list[Put]) -> list[Answer]:
    reader, answers = asyncio.StreamReader(), list[Answer]()
    for puts in asked:
        reader.feed_data(frame_of(puts))
    reader.feed_eof()
    await other_end.serve(path, reader, answers.append)
    return answers


def test_the_other_end_answers_each_under_its_number(tmp_path: Path) -> None:
    async def run() -> None:
        answers = await served(
            tmp_path / "store.db",
            [put_of(1, [(patient(1), None)]), put_of(2, [({"resourceType": "Patience", "id": "x"}, None)])],
            [Put(b'[3,[["Patient","p3",null,5]]]', [b"where"]), put_of(4, [(patient(4), None), (patient(5), None)])],
        )
        assert answers[0] == {"number": OPENED}
        found = {answer["number"]: answer for answer in answers[1:]}
        assert found[1] == {"number": 1}
        assert found[2]["status"] == 404
        assert found[3] == {"number": 3, "unwritable": "it failed"}
        assert found[4] == {"number": 4}

    asyncio.run(run())


def test_the_other_end_says_that_it_can_not_open_the_file(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / "store.db").mkdir()
        (answer,) = await served(tmp_path / "store.db")
        assert answer["number"] == OPENED
        assert "can't be used" in answer["unwritable"]

    asyncio.run(run())


def test_what_was_handed_over_is_written_although_its_gateway_is_gone(tmp_path: Path) -> None:
    asked = b"".join(frame_of([put_of(n, [(patient(n), None)])]) for n in range(1, 41))
    with subprocess.Popen(
        [sys.executable, "-m", MODULE, str(tmp_path / "store.db")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(8)  # it has opened the file
        process.stdout.close()
        process.stdin.write(asked)
        process.stdin.close()
        printed = process.stderr.read().decode()
        assert process.wait(WITHIN) == 0, printed
    assert printed == ""

    async def run() -> None:
        server = connect("record", "embedded", data=tmp_path)
        assert isinstance(server, EmbeddedServer)
        found = await server.read_many([("Patient", f"p{n}") for n in range(60)])
        assert set(found) == {("Patient", f"p{n}") for n in range(1, 41)}
        await server.aclose()

    asyncio.run(run())
