"""Invented traffic for the bench and the fault runs, and a gateway in a process of its own to send it to."""

from __future__ import annotations

import functools
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from gateway.cli.keeping import FOLDER as COMMANDS_KEEP
from gateway.client import AsyncGatewayClient, load_credential
from gateway.config import CLIENTS, FILE

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "rules" / "samples" / "emergency-care" / "accepted-a01-admission.hl7"
ENGINE, PARTNER = "demo-engine", "demo-partner"
DOMAIN, ORGANISATION = "emergency-care", "r0d"
READY_WITHIN = 180.0
"""A busy machine takes this long, under a tracer. Units: seconds."""
WEIGHTS = range(10, 1, -1)


def nhs_numbers() -> Iterator[str]:
    """Valid numbers of the test range, from 9990000018 on.

    Source: NHS Data Dictionary, NHS NUMBER, modulus 11.
    """
    for stem in range(999000001, 1_000_000_000):
        digits = str(stem)
        check = 11 - sum(int(digit) * weight for digit, weight in zip(digits, WEIGHTS, strict=True)) % 11
        if check != 10:
            yield f"{digits}{check % 11}"


def admissions(count: int, first: int = 0) -> list[tuple[str, str, str, bytes]]:
    """Admissions of different patients: control id, NHS number, visit number and body of each."""
    numbers = nhs_numbers()
    for _ in range(first):
        next(numbers)
    text = sample()
    return [admission(text, *one) for one in zip(range(first, first + count), numbers, strict=False)]


def sample() -> str:
    """The message that admissions are made of."""
    return SAMPLE.read_text("utf-8").replace("\n", "\r")


def admission(text: str, number: int, nhs_number: str) -> tuple[str, str, str, bytes]:
    """One of them, from the sample's text: control id, NHS number, visit number and body."""
    control_id, visit = f"T-{number:07d}", f"V{number:09d}"
    body = text.replace("9990000018", nhs_number).replace("EC-A01-0001", control_id)
    body = body.replace("V260512001", visit).replace("H400118", f"H{number:06d}")
    return control_id, nhs_number, visit, body.encode()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process(Protocol):
    """A process that was started, as `subprocess.Popen` is one."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Its status, once it ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its status."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, if it has not ended."""

    def kill(self) -> None:
        """End it as a power cut would."""


Launch = Callable[[Sequence[str], int, BinaryIO, Mapping[str, str]], Process]
"""Starts a command line: its words, standard input, where it prints to, and its environment."""


def process(
    words: Sequence[str], stdin: int, sink: BinaryIO, environment: Mapping[str, str], *, before: Sequence[str] = ()
) -> Process:
    """Start a command line as a process of this one. Shape: `before` is a command that runs it, such as a tracer."""
    return subprocess.Popen([*before, *words], stdin=stdin, stdout=sink, stderr=sink, cwd=ROOT, env=environment)


@dataclass
class Server:
    """A process that serves."""

    process: Process
    url: str
    data: Path
    clients: Path | None = None

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator would; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=READY_WITHIN)

    def client(self, principal: str) -> AsyncGatewayClient:
        """A client of a demo principal."""
        return AsyncGatewayClient(
            self.url, principal, load_credential((self.clients or self.data) / CLIENTS / f"{principal}.json")
        )


def start(
    *arguments: str, port: int, data: Path, ready: str = "/_health/live", log: Path | None = None,
    stdin: int = subprocess.DEVNULL, settings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None, launch: Launch = process,
) -> Server:  # fmt: skip
    """Start a command that serves, and wait until it answers.

    Shape: `stdin` is a file's number, such as that of a terminal; `settings` go into its environment; `launch` starts
    it.

    Errors: RuntimeError with what it printed where it doesn't.
    """
    named = {f"GATEWAY_{name.upper()}": value for name, value in (settings or {}).items()}
    known = {**os.environ, "PYTHONUNBUFFERED": "1", **named, **(environment or {})}
    place = log or data.with_suffix(".log")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("ab") as sink:
        started = launch([sys.executable, "-m", *arguments], stdin, sink, known)
    server = Server(started, f"http://localhost:{port}", data)
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        if (status := started.poll()) is not None:
            raise RuntimeError(f"{arguments} ended with {status}:\n{place.read_text()[-4000:]}")
        if _answers(port, ready):
            return server
        time.sleep(0.05)
    server.kill()
    raise RuntimeError(f"{arguments} did not answer within {READY_WITHIN} s:\n{place.read_text()[-4000:]}")


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("localhost", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@functools.cache
def _parsed() -> tempfile.TemporaryDirectory[str]:
    """Where this process keeps what its first gateway parsed, or commands did before; it goes with the process."""
    folder = tempfile.TemporaryDirectory()
    commands, kept = Path(os.environ.get("XDG_CACHE_HOME", ""), COMMANDS_KEEP), Path(folder.name) / "cache"
    if commands.is_absolute() and (commands / "checked").is_file():
        kept.mkdir(mode=0o700)
        for path in commands.glob("[a-z]*"):  # what is being written has another name
            shutil.copy(path, kept / path.name)
    return folder


def start_gateway(
    data: Path, port: int | None = None, *, beside: Path | None = None, settings: Mapping[str, str] | None = None,
    program: str = "gateway", environment: Mapping[str, str] | None = None, launch: Launch = process,
    stdin: int = subprocess.DEVNULL,
) -> Server:  # fmt: skip
    """Start a demo gateway on a data folder.

    What the first one parsed is there for the next: each would parse the same files for a second or two.
    Shape: `beside` is the data folder of a demo gateway whose keys and clients this one shares; `settings`, `stdin` and
    `launch` as for `start`; `program` is the module that runs.
    """
    chosen = port or free_port()
    parsed, own = Path(_parsed().name) / "cache", data / "cache"
    if parsed.exists() and not own.exists():
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copytree(parsed, own)
    demo, chosen_settings = ["--demo"], dict(settings or {})
    if beside is not None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(beside / FILE, data / FILE)
        demo, chosen_settings = [], {"shared": str(beside), **chosen_settings}
    server = start(
        program, "serve", *demo, "--data", str(data), "--port", str(chosen), port=chosen, data=data,
        settings=chosen_settings, environment=environment, launch=launch, stdin=stdin,
    )  # fmt: skip
    server.clients = beside or data
    if own.exists() and not parsed.exists():  # a fork has parsed nothing
        shutil.copytree(own, parsed)
    return server
