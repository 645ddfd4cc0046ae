"""A circuit breaker: a target that was not there several times in a row is left alone for a while.

Requests fail at once meanwhile, instead of each holding its client until a time-out; then one of them tries, and what
it finds decides for all. A target's answer, whatever it says, means that it is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.upstream.answer import NotAsked, TargetDown, Unreachable

FAILURES = 10
"""So many in a row open the breaker."""
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

    @contextmanager
    def asking(self, *, always: bool = False) -> Iterator[None]:
        """Around one request; how it ends counts: `Unreachable` is a failure, `NotAsked` nothing, all else an answer.

        Shape: `always` asks even while the breaker is open, as a question for the target's health does.
        Errors: NotAsked while it is open, or half open with another request under way.
        """
        probing = self._shut_until is not None and not always
        if probing:
            self._admit()
            self._probing = True
        try:
            yield
        except Unreachable:
            self._failed(probing=probing)
            raise
        except NotAsked:
            raise  # nothing was sent
        except TargetDown:
            self._answered()
            raise
        else:
            self._answered()
        finally:
            if probing:
                self._probing = False

    def _admit(self) -> None:
        """Whether a request may try although the breaker is not closed. Errors: NotAsked."""
        left = (self._shut_until or 0.0) - self._clock()
        if left > 0 or self._probing:
            raise NotAsked(self._target, f"it was not there {self._failures} times in a row, and is left alone for now")

    def _answered(self) -> None:
        self._failures, self._pause, self._shut_until = 0, PAUSE, None

    def _failed(self, *, probing: bool) -> None:
        self._failures += 1
        if probing:
            self._pause = min(2 * self._pause, LONGEST)
        if probing or (self._failures >= FAILURES and self._shut_until is None):
            self._shut_until = self._clock() + self._pause
