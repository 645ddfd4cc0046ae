"""A circuit breaker: a target that was not there several times in a row is left alone for a while.

Requests fail at once meanwhile, instead of each holding its client until a time-out; then one of them tries, and what
it finds decides for all. A target's answer, whatever it says, means that it is there; a search that takes too long
tells nothing of that. Where nothing else is told for a while, the target is asked for what it answers at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from gateway.upstream.answer import NotAsked, Slow, TargetDown, Unreachable

FAILURES = 10
"""So many in a row open the breaker."""
A_WHILE = 1.0
"""Waited for so long, a target that is there has mostly answered. Units: seconds."""
PAUSE, LONGEST = 1.0, 30.0
"""How long it stays open: the first time, and at most, since each probe that fails doubles it. Units: seconds."""


class Breaker:
    """The breaker of one target, used in one event loop.

    Shape: `clock` gives seconds that only grow.
    """

    def __init__(self, target: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin closed."""
        self._target = target
        self._clock = clock
        self._failures = 0
        self._pause = PAUSE
        self._shut_until: float | None = None
        self._probing = False
        self._slow = 0

    def asking(self, *, always: bool = False) -> _Asking:
        """Around one request; how it ends counts.

        Shape: `Unreachable` is a failure; `Slow`, which may have asked for too much, raises a doubt; `NotAsked` is
        nothing, and all else an answer. `always` asks even while the breaker is open, as a question for the target's
        health does. Whoever enters it gets NotAsked while it is open, or half open with another request under way.
        """
        return _Asking(self, always=always)

    def given_up(self, after: float) -> None:
        """Count a request whose asker's own time was over, where it had waited for a while: a doubt as by `Slow`.

        Units: `after` in seconds.
        """
        if after >= A_WHILE:
            self._slow += 1

    def doubted(self) -> bool:
        """Whether it should be found out if the target is there at all: nothing else than slow requests tells."""
        return self._slow >= FAILURES or self._shut_until is not None

    def gone(self) -> None:
        """Open at once: what any target answers at once was not answered."""
        self._shut_until = self._clock() + self._pause

    @property
    def state(self) -> str:
        """`closed`, `open`, or `half open` where the next request tries."""
        if self._shut_until is None:
            return "closed"
        return "open" if self._clock() < self._shut_until else "half open"

    def begin(self, *, always: bool) -> bool:
        """Whether a request that begins now tries although the breaker is not closed. Errors: NotAsked."""
        if self._shut_until is None or always:
            return False
        self._admit()
        self._probing = True
        return True

    def end(self, fault: BaseException | None, *, probing: bool) -> None:
        """Count how a request ended."""
        if probing:
            self._probing = False
        match fault:
            case Unreachable():
                self._failed(probing=probing)
            case Slow():
                self._slow += 1
            case None:
                self._answered()
            case TargetDown() if not isinstance(fault, NotAsked):
                self._answered()

    def _admit(self) -> None:
        """Errors: NotAsked."""
        left = (self._shut_until or 0.0) - self._clock()
        if left > 0 or self._probing:
            raise NotAsked(self._target, f"it was not there {self._failures} times in a row, and is left alone for now")

    def _answered(self) -> None:
        self._failures, self._pause, self._shut_until = 0, PAUSE, None
        self._slow = 0

    def _failed(self, *, probing: bool) -> None:
        self._failures += 1
        if probing:
            self._pause = min(2 * self._pause, LONGEST)
        if probing or (self._failures >= FAILURES and self._shut_until is None):
            self._shut_until = self._clock() + self._pause


class _Asking:
    """Around one request; no generator, for to make one takes longer than all that it does."""

    __slots__ = ("_always", "_breaker", "_probing")

    def __init__(self, breaker: Breaker, *, always: bool) -> None:
        self._breaker = breaker
        self._always = always
        self._probing = False

    def __enter__(self) -> None:
        self._probing = self._breaker.begin(always=self._always)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._breaker.end(fault, probing=self._probing)
        return False
