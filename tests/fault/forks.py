"""Starts of gateways that are forks of one process (`fork_server.py`), which has imported and loaded what they would.

A fork is the same program at the same moment of its run, without the seconds that it takes to get there: what long
fault runs do to it a thousand times begins behind them. It is a process of its own, and is killed as any other.
"""

from __future__ import annotations

import array
import math
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from tests.traffic import READY_WITHIN, ROOT

SERVER = "tests.fault.fork_server"
LOOK = 0.005
"""How often the end of a process is looked for. Units: seconds."""
COMMAND = Path(__file__).with_name("forked_command.py")


class Forked:
    """A process that was forked for us, used as `subprocess.Popen`."""

    def __init__(self, asking: socket.socket) -> None:
        """Learn its process id from the answer."""
        self._asking = asking
        self._lock = Lock()
        self.pid = int(_answer(asking))
        self.returncode: int | None = None
        try:
            self._watched: int | None = os.pidfd_open(self.pid)
        except ProcessLookupError:  # it has ended, and its status is on its way
            self._watched = None

    def poll(self) -> int | None:
        """Its status, once it ended."""
        with self._lock:
            if self.returncode is None and _readable(self._asking):
                self.returncode = int(_answer(self._asking))
                self.leave()
        return self.returncode

    def leave(self) -> None:
        """Ask no more about it: if it has not ended, it is killed."""
        self._asking.close()
        if self._watched is not None:
            os.close(self._watched)
            self._watched = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its status. Errors: subprocess.TimeoutExpired."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(LOOK)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        self.poll()
        with self._lock:
            if self._watched is not None:
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    signal.pidfd_send_signal(self._watched, number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """Asks a fork server for processes."""

    def __init__(self, address: str) -> None:
        """Ask nothing yet."""
        self._address = address

    def __call__(self, words: Sequence[str], stdin: int, sink: BinaryIO, environment: Mapping[str, str]) -> Forked:
        """Run a module of this Python.

        Shape: `words` as a command line. Errors: ValueError for any other command.
        """
        python, *rest = words
        if python != sys.executable:
            raise ValueError(f"{python} is run by itself, not by a fork")
        with Path(os.devnull).open("rb") as nothing:
            files = array.array("i", [nothing.fileno() if stdin == subprocess.DEVNULL else stdin, *[sink.fileno()] * 2])
            named = [f"{name}={value}" for name, value in environment.items()]
            text = "\0".join([str(ROOT), str(len(rest)), *rest, *named])
            asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            asking.connect(self._address)
            asking.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
            return Forked(asking)


@contextmanager
def forks() -> Iterator[Forks]:
    """Run a fork server.

    Errors: RuntimeError with what it printed where it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-forks-") as named:
        folder = Path(named)
        address, command, log = folder / "server", folder / "python", folder / "log"
        command.write_text(f"#!{sys.executable} -IS\nSERVER = {str(address)!r}\n{COMMAND.read_text('utf-8')}", "utf-8")
        command.chmod(0o700)
        with log.open("wb") as sink:
            server = subprocess.Popen(
                [sys.executable, "-m", SERVER, str(address), str(command)],
                stdin=subprocess.PIPE, stdout=sink, stderr=sink, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        try:
            _wait_for(server, address, log)
            yield Forks(str(address))
        finally:
            if server.stdin is not None:
                server.stdin.close()
            status = server.wait(READY_WITHIN)
        if status:
            raise RuntimeError(f"the fork server ended with {status}:\n{_end(log)}")


def _wait_for(server: subprocess.Popen[bytes], address: Path, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        while probe.connect_ex(str(address)):
            if server.poll() is not None or time.monotonic() > until:
                server.kill()
                raise RuntimeError(f"the fork server did not start:\n{_end(log)}")
            time.sleep(0.05)


def _end(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-4000:]


def _readable(asking: socket.socket) -> bool:
    return bool(select.select([asking], [], [], 0.0)[0])


def _answer(asking: socket.socket) -> bytes:
    told = asking.recv(100)
    if not told:
        raise RuntimeError("the fork server is gone")
    return told
