"""What a decision says: effect, the rules that decided, findings, routes, views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple, Protocol

from gateway.finding import Finding
from gateway.rules.around import Seeking, Want
from gateway.rules.facts import Facts
from gateway.rules.stored import Row

Resource = Mapping[str, Any]


class Routing(NamedTuple):
    """One target that a submission goes to; a NamedTuple because several are made for every message.

    Shape: `hold` is how long a queue keeps trying, None for reject; `order_key` is what those that keep their order
    share, None where there is no order.
    """

    rule: str
    target: str
    on_failure: Literal["reject", "queue"]
    hold: timedelta | None
    order_key: str | None


class Rows(Protocol):
    """Which resources a view shows."""

    def of(self, facts: Facts, row: Row) -> bool:
        """Whether it shows one. Errors: one of `functions.ERRORS`."""

    def wants(self, row: Row) -> Iterator[Want]:
        """What has to be fetched before it can say."""

    def seeks(self, rule: str, facts: Facts, row: Row) -> Iterator[Seeking]:
        """What it looks for among what refers to a resource."""


@dataclass(frozen=True, slots=True)
class View:
    """What one permit shows of a search or read.

    Shape: `hide` are element paths with their type (`Patient.telecom`); `narrow` search parameters with their values
    (alternatives) that carry a part of `rows` upstream, for the type asked for: no values at all means that nothing
    can be shown; `rows` says whether a resource is shown, None where all are.
    """

    permit: str
    types: tuple[str, ...]
    hide: frozenset[str]
    narrow: tuple[tuple[str, tuple[str, ...]], ...]
    rows: Rows | None


class Decision(NamedTuple):
    """The answer of the rules; a NamedTuple because one is made for every message.

    Shape: `by` are the ids of the rules that decided, `erred` of those that could not be decided; on `permit`
    `findings` are warnings and information, on `refuse` what the checks found, on `deny` which forbids hold; `wanting`
    is what a denied caller lacks and a request that would work; `unusable` says that a parameter is one that nobody
    may use; `judged` that resources are judged one by one, so that not all that is found may be released; `digest` is
    that of the rule set.
    """

    effect: Literal["permit", "deny", "refuse"]
    digest: str
    by: tuple[str, ...] = ()
    erred: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    routes: tuple[Routing, ...] = ()
    views: tuple[View, ...] = ()
    wanting: Sequence[Finding] = ()
    unusable: bool = False
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """Whether one resource may go to the caller.

    Shape: `hide` are the element paths that go from it; `by` the permits that release it with the masks that hide
    something, or the rules that keep it back; `masked` those masks alone.
    """

    released: bool
    hide: frozenset[str] = frozenset()
    by: tuple[str, ...] = ()
    erred: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
