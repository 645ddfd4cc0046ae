"""What a target answers, and what is said when it doesn't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A target's answer: 2xx or 4xx.

    Shape: `headers` by name in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class TooLong(Exception):  # noqa: N818 - says what the answer is
    """An answer whose body would fill the memory."""


class NoTurn(Exception):  # noqa: N818 - says what a request did not get
    """All connections to a target were in use for as long as one is waited for: nothing was sent."""


class TargetDown(Exception):  # noqa: N818 - a state of the world that callers act on, not a fault of the program
    """A target that can't be reached or doesn't make sense: the same request may be worth sending again later.

    Shape: `why` is for people, without addresses, credentials or patient data.
    """

    def __init__(self, target: str, why: str) -> None:
        """Name the target and say why."""
        super().__init__(f"{target}: {why}")
        self.target = target
        self.why = why


class Unreachable(TargetDown):
    """A target that is not there: no connection, no answer in time, a broken one, or a proxy that says so of it."""


class Unconnected(Unreachable):
    """A target that there was no connection to: nothing was sent."""


class Oversized(TargetDown):
    """A target whose answer is longer than is read: so it would be another time."""


class Slow(TargetDown):
    """A target that did not answer in time what may have been too much for it: that alone says not that it is gone."""


class Misconfigured(TargetDown):
    """A target that will not do what it is asked until somebody configures it, or the gateway, otherwise."""


class NotAsked(TargetDown):
    """A target that took nothing: it is left alone, or in full use, or credentials for it are missing."""
