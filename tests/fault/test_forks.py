"""Forked gateways are processes as others are: what long fault runs start them by must not change what they show.

In `make interop`, as the runs that stand on it: to import and load all takes the fork server seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault.forks import Forked, Forks, forks
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, Server, admissions, free_port, start_gateway

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600), pytest.mark.xdist_group("process")]
WITHIN = 60.0


@pytest.fixture(scope="module")
def launch() -> Iterator[Forks]:
    with forks() as found:
        yield found


def wait_until(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + WITHIN
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def sent(server: Server, first: int) -> list[bool]:
    async with server.client(ENGINE) as client:
        return [
            (await client.send(body, domain=DOMAIN, organisation=ORGANISATION)).accepted
            for _, _, _, body in admissions(3, first)
        ]


def test_a_fork_serves_is_killed_and_starts_again_on_what_it_left(tmp_path: Path, launch: Forks) -> None:
    port = free_port()
    killed = start_gateway(tmp_path / "data", port, launch=launch)
    assert asyncio.run(sent(killed, 0)) == [True] * 3
    assert os.getpgid(killed.process.pid) != os.getpgid(0)
    killed.kill()
    assert killed.process.poll() == -signal.SIGKILL
    assert gone(killed.process.pid)
    again = start_gateway(tmp_path / "data", port, launch=launch)
    assert again.process.pid != killed.process.pid
    assert asyncio.run(sent(again, 3)) == [True] * 3
    assert again.stop() == -signal.SIGTERM


def test_what_a_fork_starts_is_a_fork_too_and_ends_after_it(tmp_path: Path, launch: Forks) -> None:
    server = start_gateway(tmp_path / "data", launch=launch)
    try:
        asyncio.run(sent(server, 0))
        wait_until(lambda: bool(children(server.process.pid)), "it never started its writer")
        (writer,) = children(server.process.pid)
        assert "gateway-forks-" in Path(f"/proc/{writer}/cmdline").read_text()
        assert b"gateway.upstream.store" in Path(f"/proc/{writer}/cmdline").read_bytes()
    finally:
        server.kill()
    wait_until(lambda: gone(writer), "its writer outlived it")


def ended(launch: Forks, *words: str, folder: Path) -> tuple[int, str]:
    with (folder / "printed").open("wb") as sink:
        status = launch([sys.executable, "-m", *words], subprocess.DEVNULL, sink, {"PATH": "/nowhere"}).wait(WITHIN)
    return status, (folder / "printed").read_text("utf-8")


def test_a_fork_ends_with_its_own_status_and_words(tmp_path: Path, launch: Forks) -> None:
    status, printed = ended(launch, "gateway", "serve", "--nonsense", folder=tmp_path)
    assert status == 2
    assert "--nonsense" in printed
    status, printed = ended(launch, "platform", folder=tmp_path)
    assert (status, printed.split("-")[0]) == (0, "Linux")


def test_a_fork_whose_asker_is_gone_is_killed(tmp_path: Path, launch: Forks) -> None:
    server = start_gateway(tmp_path / "data", launch=launch)
    assert isinstance(server.process, Forked)
    server.process.leave()
    wait_until(lambda: gone(server.process.pid), "it went on")


def test_no_other_program_is_forked(launch: Forks) -> None:
    with pytest.raises(ValueError, match="run by itself"), Path(os.devnull).open("wb") as sink:
        launch(["strace", sys.executable], subprocess.DEVNULL, sink, {})
