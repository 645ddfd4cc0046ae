"""What the parts tell of their work to whoever watches: counts and times for metrics, steps for traces.

Each request's task knows who watches it; where nobody does, telling costs a look into a variable. What is told names
domains, types that rules declare, targets, templates and outcomes: never an id, a path, a value or a word that was
sent. Source: `http-interface.md` of the design, "Operations"; `trust.md`, "Audit".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol


class Counts:
    """Takes what is told for metrics, and keeps nothing: what metrics are kept in is made where they are wanted."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. Shape: `route` is the template."""

    def decided(self, action: str, domain: str, effect: str, *, erred: bool) -> None:
        """Rules decided. Shape: `domain` is empty for what no domain stands for; `erred` that some could not."""

    def submitted(self, domain: str, type_: str, outcome: str) -> None:
        """A submission was answered. Shape: `type_` is one that the domain accepts, or `other`."""

    def asked(self, target: str, outcome: str, seconds: float) -> None:
        """A target was asked. Shape: `outcome` is `answered`, `refused` (4xx), `down` or `left alone`."""

    def committed(self, operations: int, seconds: float) -> None:
        """The journal wrote some operations together."""

    def issued(self, outcome: str) -> None:
        """A token was asked for. Shape: `issued`, or OAuth's error."""

    def turned_away(self, rule: str) -> None:
        """A connection was refused. Shape: the code of the guard."""


@dataclass(frozen=True, slots=True)
class Now:
    """What is looked up when metrics are asked for.

    Shape: `queues` has target, state (`queued`, `dead`), count and the age of the oldest; `breakers` the state of each
    target's breaker (`closed`, `open`, `half open`); `current` says whether the rules served are those of the files.
    Units: ages in seconds.
    """

    ready: bool
    digest: str
    current: bool
    queues: Sequence[tuple[str, str, int, float]]
    breakers: Iterable[tuple[str, str]]


class Kept(Protocol):
    """Metrics that are kept."""

    media_type: str

    def exposition(self, now: Now) -> bytes:
        """All of them as text."""


class Trace(Protocol):
    """One request that is traced."""

    def step(self, name: str) -> AbstractContextManager[object]:
        """Around a step, which is timed."""

    def outgoing(self) -> Mapping[str, str]:
        """Headers that tell a target which step asks. Source: https://www.w3.org/TR/trace-context/."""


class Ended(Protocol):
    """A traced request, which is told how it went."""

    def ended(self, route: str, status: int, told: Mapping[str, str]) -> None:
        """Shape: `told` are names of the gateway's own, such as its domain and outcome."""


class Tracer(Protocol):
    """Where traces go."""

    def request(self, method: str, said: Mapping[str, str]) -> AbstractContextManager[Ended]:
        """Around a request. Shape: `said` are its headers by name in lower case."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches a gateway. Shape: `kept` and `tracer` are None where there are no metrics, or no traces."""

    counts: Counts
    kept: Kept | None = None
    tracer: Tracer | None = None


_NOBODY = Counts()
UNWATCHED = Watch(_NOBODY)
COUNTS: ContextVar[Counts] = ContextVar("counts", default=_NOBODY)
TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
_UNTRACED: AbstractContextManager[object] = nullcontext()
_NO_HEADERS: Mapping[str, str] = {}


def counts() -> Counts:
    """Whoever counts what this task does."""
    return COUNTS.get()


def step(name: str) -> AbstractContextManager[object]:
    """Around a step of this task's request, which is timed where the request is traced."""
    trace = TRACE.get()
    return _UNTRACED if trace is None else trace.step(name)


def outgoing() -> Mapping[str, str]:
    """Headers for a target that this task asks; none where it isn't traced."""
    trace = TRACE.get()
    return _NO_HEADERS if trace is None else trace.outgoing()
