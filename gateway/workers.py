"""Several processes that serve on the same listeners, and the one that starts them, watches them and ends with them.

Each is a fork of a process that has loaded everything and opened nothing: no event loop, no thread. One that dies is
started again, after a pause that grows where it goes on dying. What each signal means is the same as of one process:
SIGTERM and SIGINT let all finish what they have in hand, SIGHUP has all read their rules again.
Source: `architecture.md` of the design, "Growth"; POSIX fork, waitpid, sigtimedwait.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.interactions.faults import trace
from gateway.serve import GRACE
from gateway.stated import Stated

LOOK = 0.2
"""Units: seconds between two looks whether one is due to be started, or serves by now."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Units: seconds before one that died is started again, the first time and at most."""
STEADY = 60.0
"""Units: seconds of service after which a death is a first one again."""
END_WITHIN = GRACE + 15.0
"""Units: seconds until what has not ended is killed."""
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
log = structlog.get_logger()
Work = Callable[[int, Callable[[], None]], bool]
"""Serves as the worker of a number from 1, and calls what it is given once it does: whether it ever served."""


@dataclass(slots=True)
class _Worker:
    """One that runs, or is to be started again.

    Shape: `told` is read for a byte that says that it serves. Units: `since`, `due` on the monotonic clock.
    """

    number: int
    pid: int = 0
    told: int = -1
    since: float = 0.0
    due: float = 0.0
    deaths: int = 0
    serves: bool = False


@dataclass(slots=True)
class Supervisor:
    """The process that watches. Shape: `failed` tells people why a worker could not be made."""

    count: int
    work: Work
    started: Callable[[], None]
    failed: Callable[[Stated], None]
    _workers: list[_Worker] = field(default_factory=list)
    _life: tuple[int, int] = (-1, -1)
    _up: bool = False
    _ending: float | None = None

    def run(self) -> bool:
        """Serve until a signal ends it.

        Shape: whether all workers ever served; where one can't from the start, all end.
        """
        gc.collect()
        gc.freeze()  # what the workers share is not written to by their collectors
        self._life = os.pipe()  # which ends for the workers where this process does, however that was
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._workers = [_Worker(number) for number in range(1, self.count + 1)]
            for one in self._workers:
                self._start(one)
            while any(one.pid for one in self._workers) or self._ending is None:
                self._heard(signal.sigtimedwait(SIGNALS, LOOK))
                self._look()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return self._up

    def _heard(self, got: signal.struct_siginfo | None) -> None:
        """Do what a signal asks for."""
        if got is None or got.si_signo == signal.SIGCHLD:
            return
        if got.si_signo != signal.SIGHUP or (sys.stdin is not None and sys.stdin.isatty()):
            self._end()
            return
        for one in self._workers:
            self._tell(one, signal.SIGHUP)

    def _end(self) -> None:
        """Have all finish."""
        if self._ending is None:
            self._ending = time.monotonic() + END_WITHIN
            for one in self._workers:
                self._tell(one, signal.SIGTERM)

    def _look(self) -> None:
        """See who died, who serves and whose time has come."""
        now = time.monotonic()
        self._reap(now)
        for one in self._workers:
            if one.pid and not one.serves and _said(one.told):
                one.serves, one.since = True, now
                if self._up:
                    log.info("worker serves", worker=one.number, pid=one.pid)
            if not one.pid and self._ending is None and now >= one.due:
                self._start(one)
        if not self._up and self._ending is None and all(one.serves for one in self._workers):
            self._up = True
            self.started()
        if self._ending is not None and now >= self._ending:
            self._ending = now + END_WITHIN
            for one in self._workers:
                if one.pid:
                    log.error("worker killed", worker=one.number, pid=one.pid, why="it did not end in time")
                self._tell(one, signal.SIGKILL)

    def _reap(self, now: float) -> None:
        """Take note of those that ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            one = next((each for each in self._workers if each.pid == pid), None)
            if one is not None:
                self._died(one, os.waitstatus_to_exitcode(status), now)

    def _died(self, one: _Worker, status: int, now: float) -> None:
        """One ended: start it again later, unless all end."""
        one.serves = one.serves or _said(one.told)
        os.close(one.told)
        one.deaths = 0 if one.serves and now - one.since >= STEADY else one.deaths
        pause = min(FIRST_PAUSE * 2.0 ** min(one.deaths, 10), LONGEST_PAUSE)
        served, one.pid, one.told, one.serves = one.serves, 0, -1, False
        if self._ending is not None:
            return
        if not self._up and not served:  # what it can't do from the start it can't do later
            log.error("worker could not start", worker=one.number, status=status)
            self._end()
            return
        one.deaths += 1
        one.due = now + pause
        log.error("worker ended", worker=one.number, status=status, deaths=one.deaths, again_in=pause)

    def _tell(self, one: _Worker, sign: signal.Signals) -> None:
        if one.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, sign)

    def _start(self, one: _Worker) -> None:
        """Fork a worker."""
        sys.stdout.flush()
        sys.stderr.flush()
        one.told, say = os.pipe()
        os.set_blocking(one.told, False)
        one.since = time.monotonic()
        pid = os.fork()
        if pid:
            os.close(say)
            one.pid = pid
            return
        status = 1
        try:  # the rest of the program is the watching process's
            status = self._child(one.number, say)
        finally:
            os._exit(status)

    def _child(self, number: int, say: int) -> int:
        """Serve: the status that the process ends with."""
        # a terminal's signals reach the watching process alone, which passes them on once
        os.setpgid(0, 0)
        os.close(self._life[1])
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to read again
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        status = 1
        try:
            status = int(not self.work(number, lambda: self._serves(number, say)))
        except Stated as fault:
            self.failed(fault)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException as fault:  # noqa: BLE001 - its place is told, its words may be a patient's
            log.error("worker failed", worker=number, **trace(fault))
        sys.stdout.flush()
        sys.stderr.flush()
        return status

    def _serves(self, number: int, say: int) -> None:
        """Say so, and from now on end as at SIGTERM where the watching process is gone."""
        os.write(say, b"1")
        os.close(say)
        loop, life = asyncio.get_running_loop(), self._life[0]

        def alone() -> None:
            loop.remove_reader(life)
            log.error("worker ends", worker=number, why="the process that watches it is gone")
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(life, alone)


def _said(told: int) -> bool:
    try:
        return os.read(told, 1) == b"1"
    except BlockingIOError:
        return False
