"""The permit that is nearest to granting what was denied, with what kept it from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.language import nodes
from gateway.rules.account.judge import Judged
from gateway.rules.account.walk import Seen
from gateway.rules.compile import Granting
from gateway.rules.facts import Facts
from gateway.rules.queries import asked, foreign
from gateway.rules.wanting import spoken


@dataclass(frozen=True, slots=True)
class Nearest:
    """A permit that does not grant.

    Shape: `failed` are the conditions that kept it from it, `lacks` what else did, in words.
    """

    judged: Judged
    failed: tuple[Seen, ...]
    lacks: tuple[str, ...]


def nearest(permits: Sequence[Granting], rules: Iterable[Judged], facts: Facts) -> Nearest | None:
    """The permit that lacks the fewest things; the first of several."""
    judged = {one.rule.id: one for one in rules}
    found = [_lacking(granting, judged[granting.permit.id], facts) for granting in permits]
    return min(found, key=lambda one: len(one.failed) + len(one.lacks), default=None)


def _lacking(granting: Granting, judged: Judged, facts: Facts) -> Nearest:
    failed = tuple(seen for clause in judged.clauses for seen in failing(clause.seen))
    lacks = list(judged.closed)
    if facts.action in {"search", "count"}:
        lacks += [f"{name} is not among the parameters that it allows" for name in foreign(granting, facts)]
        if granting.permit.asking and not asked(granting, facts):
            lacks.append(f"the search must carry {spoken(granting, facts.type or '')}")
    return Nearest(judged, failed, tuple(lacks))


def failing(seen: Seen) -> tuple[Seen, ...]:
    """The parts that keep a condition from holding: of parts that must all hold, those that don't."""
    if seen.outcome is True:
        return ()
    match seen.test:
        case nodes.Chain(word="and") | nodes.Named():
            return tuple(part for below in seen.parts for part in failing(below))
        case _:
            return (seen,)
