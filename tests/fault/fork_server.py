"""A process that forks gateways: what each start would import and load anew, it has imported and loaded once.

It opens nothing, starts no thread and no event loop. A child runs the very program that it is asked for, with the
arguments, environment and files of whoever asks, is a process of its own with no other file open, and ends as any
other does. `forks.py` starts it and asks; so does `forked_command.py`, for what a gateway starts itself.

Arguments: the address to listen at, and the command that children take for Python. It ends with its standard input.
Shape: a request is a text in one packet with the three standard files; the answers are the process id, and the status
once it ended. A child is killed where who asked for it is gone.
"""

from __future__ import annotations

import array
import gc
import importlib
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import gateway.upstream.store
from gateway import assemble, loading, offline
from gateway.config import Settings
from gateway.loading import Decisions
from gateway.source import Keep, made_anew
from tests.traffic import DOMAIN, ORGANISATION, admissions

_load = loading.decisions
LONGEST = 200_000
"""Bytes of a request."""
FILES = 3
MODULES = (
    "asyncpg", "gateway.cli.journal", "gateway.cli.serving", "gateway.cli.store", "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl", "uvicorn.protocols.http.h11_impl", "uvloop",
)  # fmt: skip
"""What gateways import besides, some of it as they start alone."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a child runs: `words` as behind `python -m`."""

    words: tuple[str, ...]
    folder: str
    environment: dict[str, str]

    @classmethod
    def read(cls, text: str) -> Job:
        """The job of a request: folder, number of words, words, settings of the environment."""
        folder, count, *rest = text.split("\0")
        words, named = rest[: int(count)], rest[int(count) :]
        if words[0] != "-m":
            raise ValueError(f"only modules are run here, not {words[0]}")
        return cls(tuple(words[1:]), folder, dict(one.split("=", 1) for one in named))


class ForkServer:
    """Children, by the file that says when each has ended, with whoever asked for it."""

    def __init__(self, listener: socket.socket) -> None:
        """Listen to nobody yet."""
        self._listener = listener
        self._children: dict[int, tuple[int, socket.socket]] = {}
        self._asked: dict[int, int] = {}
        self._polled = select.poll()
        self._polled.register(listener, select.POLLIN)
        self._polled.register(0, select.POLLIN)

    def serve(self) -> Job | None:
        """The job, in a child; None in the parent, once its input has ended."""
        while True:
            for file, _ in self._polled.poll():
                if file == self._listener.fileno():
                    job = self._forked()
                    if job is not None:
                        return job
                elif file == 0:
                    self._end()
                    return None
                elif file in self._children:
                    self._ended(file)
                elif file in self._asked:
                    self._left(file)

    def _forked(self) -> Job | None:
        asking, _ = self._listener.accept()
        text, files = _received(asking)
        if not text:  # who asked ended at once
            asking.close()
            return None
        child = os.fork()
        if child == 0:
            for one in (self._listener, asking, *(one for _, one in self._children.values())):
                one.detach()  # no later end of theirs may close a file of the program
            for number, file in enumerate(files):
                os.dup2(file, number)
            os.closerange(FILES, os.sysconf("SC_OPEN_MAX"))
            return Job.read(text)
        for file in files:
            os.close(file)
        watched = os.pidfd_open(child)
        self._children[watched] = (child, asking)
        self._asked[asking.fileno()] = watched
        self._polled.register(watched, select.POLLIN)
        self._polled.register(asking, select.POLLIN)
        _tell(asking, child)
        return None

    def _ended(self, file: int) -> None:
        child, asking = self._children.pop(file)
        _, status = os.waitpid(child, 0)
        self._polled.unregister(file)
        os.close(file)
        if self._asked.pop(asking.fileno(), None) is not None:
            self._polled.unregister(asking)
            _tell(asking, os.waitstatus_to_exitcode(status))
        asking.close()

    def _left(self, file: int) -> None:
        """Who asked is gone: its child is ended, which is then seen as any other's end."""
        signal.pidfd_send_signal(self._asked.pop(file), signal.SIGKILL)
        self._polled.unregister(file)

    def _end(self) -> None:
        for file in list(self._children):
            signal.pidfd_send_signal(file, signal.SIGKILL)
            self._ended(file)


def _received(asking: socket.socket) -> tuple[str, array.array[int]]:
    room = socket.CMSG_SPACE(FILES * array.array("i").itemsize)
    text, told, *_ = asking.recvmsg(LONGEST, room)
    files = array.array("i")
    for _, _, content in told:
        files.frombytes(content)
    return text.decode(), files


def _tell(asking: socket.socket, number: int) -> None:
    try:
        asking.send(str(number).encode())
    except (BrokenPipeError, ConnectionResetError):
        return  # it is gone, and its child will be


def _run(job: Job, command: str) -> None:
    """Be the program of a job, as if Python had been started with it."""
    os.setsid()
    os.chdir(job.folder)
    os.environ.clear()
    os.environ.update(job.environment)
    sys.path[0] = job.folder
    sys.executable = command
    sys.argv = list(job.words)
    runpy.run_module(job.words[0], run_name="__main__", alter_sys=True)


def _warm(usual: Settings) -> Decisions:
    """Load what decides and converts, and have it compiled, which is done at first use."""
    known = loading.decisions(usual.rules, usual.specs)
    _, _, _, body = admissions(1)[0]
    for laid in {one.overlays for one in known.rules.domains[DOMAIN].accepts}:
        offline.convert(
            body, known.maps, known.elements, organisation=ORGANISATION, rules_digest=known.rules.digest, overlays=laid
        )
    assemble.library(usual, known, date.min).openapi()  # its examples are judged by the rules
    return known


def _known(
    known: Decisions, rules: Path, specs: Path, keep: Keep = made_anew, standing: Decisions | None = None
) -> Decisions:
    """What was loaded before, where it is asked for and no file has changed since."""
    if standing is None and known.looked == loading.Looked(loading.files(rules), loading.files(specs)):
        return known
    return _load(rules, specs, keep, standing)


def _alone() -> None:
    """Hold that a child has nothing in common with others but memory that was copied."""
    tasks, threads = len(list(Path("/proc/self/task").iterdir())), threading.enumerate()
    if tasks != 1 or threads != [threading.main_thread()]:
        raise RuntimeError(f"an import started a thread: {tasks} tasks, {threads}")
    # the listener, and the folder that is being read
    opened = [one.name for one in Path("/proc/self/fd").iterdir() if int(one.name) >= FILES]
    if len(opened) != 2:
        raise RuntimeError(f"an import opened a file: {opened}")


def main(address: str, command: str) -> None:
    """Import, load, and fork until the input ends; or, in a child, be what was asked for."""
    for module in MODULES:
        importlib.import_module(module)
    for found in pkgutil.iter_modules(gateway.upstream.store.__path__, "gateway.upstream.store."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
    known = _warm(Settings())
    gc.collect()
    gc.freeze()
    loading.decisions = partial(_known, known)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(64)
    _alone()
    job = ForkServer(listener).serve()
    if job is not None:
        _run(job, command)


if __name__ == "__main__":
    main(*sys.argv[1:])
