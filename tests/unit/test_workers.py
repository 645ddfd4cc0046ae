"""Several processes on one port: those that die are started again, all end together, and none is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config import FILE, ConfigError, load
from tests.traffic import ROOT, free_port

WITHIN = 60.0
PROGRAM = """
import asyncio, os, sys
from dataclasses import replace
from functools import partial
from gateway import serve
from gateway.config import Settings
from gateway.listeners import plain
from gateway.stated import Stated
from gateway.workers import Supervisor

port = int(sys.argv[1])
lent = [replace(one, lent=True) for one in plain(Settings(port=port))]

def work(kind, number, serves):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/die":
            os._exit(3)
        if scope["path"] == "/wait":
            print("waits", flush=True)
            await asyncio.sleep(2)
        body = f"{number} {os.getpid()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})

    if kind == "stated" and number == 2:
        raise Stated("worker 2 has no key")
    if kind == "fault" and number == 2:
        raise ValueError("MARLOW 9990000018")
    serve.log_as_json(number)
    return serve.run(app, "127.0.0.1", None, serves, beside=lent,
                     hangup=lambda: print(f"reads again {number}", flush=True))

serve.log_as_json()
told = lambda fault: print(f"told: {fault}", flush=True)
for kind in sys.argv[2:]:
    ran = Supervisor(2, partial(work, kind), lambda: print("all serve", flush=True), told).run()
    print(f"ended {ran}", flush=True)
"""


@dataclass
class Site:
    """The watching process, and what all of them print."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)

    def ask(self, path: str = "/") -> tuple[int, int]:
        """The number and the process of a worker that answers."""
        number, pid = httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=WITHIN).text.split()
        return int(number), int(pid)

    def until(self, said: str, times: int = 1) -> None:
        """Wait for a line."""
        self.held(lambda: sum(said in line for line in tuple(self.lines)) >= times, said)

    def held(self, what: Any, words: str = "it never came") -> None:
        end = time.monotonic() + WITHIN
        while not what():
            assert time.monotonic() < end, (words, self.lines)
            time.sleep(0.02)

    def workers(self) -> dict[int, int]:
        """The process of each worker, once both have answered; a new connection reaches any."""
        found: dict[int, int] = {}

        def both() -> bool:
            found.update([self.ask()])
            return len(found) == 2

        self.held(both)
        return found

    def told(self, event: str) -> list[dict[str, Any]]:
        """Log lines of an event."""
        return [one for line in self.lines if line.startswith("{") and (one := json.loads(line))["event"] == event]


@contextmanager
def begun(*kinds: str) -> Iterator[Site]:
    """A site, and its end."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port), *kinds], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    )  # fmt: skip
    site = Site(process, port)

    def each() -> None:
        assert process.stdout is not None
        for line in iter(process.stdout.readline, ""):
            site.lines.append(line.rstrip("\n"))

    reader = threading.Thread(target=each)
    reader.start()
    try:
        yield site
    finally:
        process.kill()
        process.wait(WITHIN)
        reader.join(WITHIN)  # once the last worker has ended too
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def site() -> Iterator[Site]:
    with begun("well") as made:
        made.until("all serve")
        yield made


def is_there(pid: int) -> bool:
    """Whether a process runs: one that ended is nobody's child here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_sighup_reaches_all_and_one_that_dies_is_started_again_resting_longer_each_time(site: Site) -> None:
    site.process.send_signal(signal.SIGHUP)
    site.until("reads again 1")
    site.until("reads again 2")
    before = site.workers()
    os.kill(before[1], signal.SIGKILL)
    site.until("worker serves")
    assert site.ask()[0] in {1, 2}
    after = site.workers()
    assert after[2] == before[2]
    assert after[1] != before[1]
    os.kill(after[1], signal.SIGKILL)
    site.until("worker ended", 2)
    told = [(one["worker"], one["status"], one["deaths"], one["again_in"]) for one in site.told("worker ended")]
    assert told == [(1, -9, 1, 0.5), (1, -9, 2, 1.0)]


def test_sigterm_lets_all_finish_what_they_have_in_hand(site: Site) -> None:
    before, answers = site.workers(), list[tuple[int, int]]()
    asking = [threading.Thread(target=lambda: answers.append(site.ask("/wait"))) for _ in range(4)]
    for one in asking:
        one.start()
    site.until("waits", 4)
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(WITHIN) == 0
    for one in asking:
        one.join(WITHIN)
    assert len(answers) == 4
    assert site.lines[-1] == "ended True"
    assert not any(is_there(pid) for pid in before.values())


def test_where_the_watching_process_is_killed_the_others_end(site: Site) -> None:
    before = site.workers()
    site.process.kill()
    site.held(lambda: not any(is_there(pid) for pid in before.values()), "they went on")


def test_one_that_can_not_serve_from_the_start_ends_all_and_says_why() -> None:
    with begun("stated", "fault") as made:
        made.until("ended False", 2)
        assert "told: worker 2 has no key" in made.lines
        (failed,) = made.told("worker failed")
        assert "ValueError" in str(failed)
        assert [one["worker"] for one in made.told("worker could not start")] == [2, 2]
        assert not any("MARLOW" in line for line in made.lines)


SETTINGS = {
    "an SQLite file": ("workers = 2\n", "the journal is an SQLite file, which is for one process: set journal ="),
    "a port of the second worker that is another's": (
        'workers = 2\njournal = "postgresql://g@h/d"\nport = 9001\nmetrics_port = 9000\n',
        "port and metrics_port of worker 2 are both 9001",
    ),
    "a port that there is not": (
        'workers = 2\njournal = "postgresql://g@h/d"\nmetrics_port = 65535\n', "there is no port above 65535",
    ),
    "none": ("workers = 0\n", "setting `workers`"),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_several_processes_can_not_share_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        monkeypatch.delenv(name)
    text, words = SETTINGS[case]
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(data=tmp_path)
    assert words in str(caught.value)
