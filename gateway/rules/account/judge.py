"""Single rules asked step by step: each with its conditions and what was seen, as the compiled rules ask them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from gateway.finding import Finding
from gateway.hl7v2 import Segment
from gateway.hl7v2.place import Place
from gateway.language import nodes
from gateway.language.compile import Absent
from gateway.language.functions import ERRORS
from gateway.rules.account.sight import Repetition, Sight, value
from gateway.rules.account.walk import Seen, walk
from gateway.rules.compile import Granting
from gateway.rules.decision import Routing
from gateway.rules.declared import Check, Forbid, Mask, Permit, Route
from gateway.rules.facts import Facts
from gateway.rules.telling import UNDECIDED, Teller

Rule = Permit | Forbid | Mask | Check | Route


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of a rule as it was asked once.

    Shape: `word` is the clause that holds it (`when`, `where`, `require`, `rows Encounter`); `at` what it was asked of,
    where it is asked more than once: a repetition or a resource.
    """

    word: str
    seen: Seen
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one rule.

    Shape: `outcome` says whether a permit grants, a forbid denies, a mask hides, a check found something, a route
    leads; None where it could not be decided. `closed` are reasons beside its conditions; `asked` is false for a rule
    that the decision never came to, `made` true for one of what conversion made.
    """

    rule: Rule
    outcome: bool | None
    clauses: tuple[Clause, ...] = ()
    closed: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    routes: tuple[Routing, ...] = ()
    asked: bool = True
    made: bool = False


def unasked(judged: Judged) -> Judged:
    """The same, as what the decision never came to."""
    return replace(judged, asked=False)


def condition(rule: Rule, test: nodes.Test | None, sight: Sight, absent: Absent, *, word: str = "when") -> Judged:
    """A rule that is one condition; without one it always holds."""
    if test is None:
        return Judged(rule, outcome=True)
    seen = walk(test, sight, absent)
    return Judged(rule, seen.outcome, (Clause(word, seen),))


def permit(granting: Granting, test: nodes.Test | None, sight: Sight) -> Judged:
    """A permit by the part of its condition that reads the request."""
    judged = condition(granting.permit, test, sight, "fails")
    closed = tuple(closing(granting, sight.facts))
    return replace(judged, outcome=False, closed=closed) if closed else judged


def closing(granting: Granting, facts: Facts) -> Iterator[str]:
    """What keeps a permit from being asked at all, in words."""
    gate, because = granting.gate, granting.permit.because
    agreement = because.agreement if because is not None else None
    if not gate.first <= facts.today <= gate.last:
        yield f"agreement {agreement} is in force from {gate.first} to {gate.last}, and the day is {facts.today}"
    if gate.purposes and facts.purpose not in gate.purposes:
        purposes = " or ".join(sorted(gate.purposes))
        yield f"agreement {agreement} is for {purposes}, and the purpose is {facts.purpose or 'not given'}"
    for name in gate.needs:
        if getattr(facts, name) is None and not (name == "purpose" and gate.purposes):
            yield f"it names {name}, which is not given"


def of_any(rule: Rule, clauses: Iterable[Clause]) -> Judged:
    """A rule that holds if its condition does of any: no more are asked after the first that holds or errs."""
    found: list[Clause] = []
    outcome: bool | None = False
    for clause in clauses:
        found.append(clause)
        if clause.seen.outcome is not False:
            outcome = clause.seen.outcome
            break
    return Judged(rule, outcome, tuple(found))


def of_all(rule: Rule, clauses: Iterable[Clause]) -> Judged:
    """A rule that holds if its condition does of all: no more are asked after the first that does not, or errs."""
    found: list[Clause] = []
    outcome: bool | None = True
    for clause in clauses:
        found.append(clause)
        if clause.seen.outcome is not True:
            outcome = clause.seen.outcome
            break
    return Judged(rule, outcome, tuple(found))


# --- checks --------------------------------------------------------------------------------------------------------


def check(rule: Check, sight: Sight, tell: Teller, arguments: tuple[object, ...]) -> Judged:
    """A check of a submission or of one resource.

    Shape: `arguments` are what the teller's functions take: the facts, and the resource where it is of one.
    """
    clauses: list[Clause] = []
    if rule.when is not None:
        when = walk(rule.when, sight, "false")
        clauses.append(Clause("when", when))
        if when.outcome is not True:
            return _checked(rule, when.outcome, clauses, [], tell)
    if rule.each is not None:
        return _loop(rule, sight, tell, clauses)
    require = walk(rule.require, sight, "passes")
    if tell.departures is not None:
        told = list(tell.departures(*arguments))
        clauses.append(Clause("require", replace(require, outcome=not told)))
        return _checked(rule, bool(told), clauses, told, tell)
    clauses.append(Clause("require", require))
    findings = [tell.whole(*arguments)] if require.outcome is False else []
    outcome = None if require.outcome is None else not require.outcome
    return _checked(rule, outcome, clauses, findings, tell)


def _loop(rule: Check, sight: Sight, tell: Teller, clauses: list[Clause]) -> Judged:
    findings: list[Finding] = []
    each = rule.each
    if each is None or sight.facts.message is None:
        return _checked(rule, None, clauses, findings, tell)
    for segment, number in _sent(sight.facts.message.all(each.segment), each.field):
        inner = sight.binding(each.variable, Repetition(segment, each.field, number))
        at = str(Place(segment.name, segment.number, each.field, number))
        if each.where is not None:
            where = walk(each.where, inner, "false")
            clauses.append(Clause("where", where, at))
            if where.outcome is None:
                return _checked(rule, None, clauses, findings, tell)
            if not where.outcome:
                continue
        require = walk(rule.require, inner, "passes")
        clauses.append(Clause("require", require, at))
        if require.outcome is None:
            return _checked(rule, None, clauses, findings, tell)
        if not require.outcome:
            findings.append(tell.part(sight.facts, segment, number))
    return _checked(rule, bool(findings), clauses, findings, tell)


def _sent(segments: Iterable[Segment], field: int) -> Iterator[tuple[Segment, int]]:
    """The repetitions that were sent, empty ones between others left out."""
    for segment in segments:
        for number, repetition in enumerate(segment.field(field), 1):
            if repetition.present:
                yield segment, number


def _checked(
    rule: Check, outcome: Literal[True, False] | None, clauses: list[Clause], findings: list[Finding], tell: Teller
) -> Judged:
    """One of error level that can't be decided finds that."""
    if outcome is None and rule.severity == "error":
        findings = [*findings, Finding(rule.severity, rule.code, UNDECIDED, tell.field, rule.id)]
    return Judged(rule, outcome, tuple(clauses), findings=tuple(findings))


# --- routes --------------------------------------------------------------------------------------------------------


def route(rule: Route, sight: Sight) -> Judged:
    """A route, with where it leads."""
    judged = condition(rule, rule.when, sight, "false")
    if judged.outcome is not True:
        return judged
    order: str | None = None
    if rule.order is not None:
        leaf = replace(rule.order, type=replace(rule.order.type, many=False))  # the first repetition
        try:
            found = value(leaf, sight)
        except ERRORS:
            return replace(judged, outcome=None)
        order = None if found is None else str(found)
    return replace(judged, routes=_legs(rule, order))


def notice(rule: Route, test: nodes.Test | None, sight: Sight) -> Judged:
    """A route `on break-glass`, with where it leads: one that can't be decided leads all the same."""
    judged = condition(rule, test, sight, "passes")
    return judged if judged.outcome is False else replace(judged, routes=_legs(rule, None))


def _legs(rule: Route, order: str | None) -> tuple[Routing, ...]:
    return tuple(Routing(rule.id, t.name, t.on_failure, t.hold, order) for t in rule.targets)
