"""All rules for one kind of submission as one function.

A call costs more than most conditions do, so the forbids, permits, checks and routes that apply to a message type
become one Python function: what several of them read is read once, and each stands in a `try` of its own, so that one
that can't be decided hides no other.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.finding import Finding
from gateway.language.compile import Absent, Code, body_of, constant, context, function, local
from gateway.language.functions import ERRORS
from gateway.language.hoist import hoist
from gateway.language.nodes import Element, Fact, Field, Part, Test, leaves
from gateway.rules.compile import Gate, Granting
from gateway.rules.decision import Routing
from gateway.rules.declared import Check, Forbid, Route
from gateway.rules.facts import Facts
from gateway.rules.flow import possible
from gateway.rules.reading import RESOURCE, RuleReader, number_of, repetitions
from gateway.rules.telling import UNDECIDED, teller

Judged = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[Finding, ...], tuple[Routing, ...]]
"""What the function answers: denied, granted, erred, findings, routes.

What comes after the first stage that stops is not asked: denied or erred forbids, then no permit, then checks and
routes.
"""


class Program:
    """The function that judges, compiled when it is first asked: of many rules few are asked in one run.

    Shape: `judge` is the function; all that can be wrong with rules is said before, where they are checked.
    """

    __slots__ = ("_make", "judge")

    def __init__(self, make: Callable[[], Callable[[Facts], Judged]]) -> None:
        """Compile nothing yet."""
        self._make = make
        self.judge: Callable[[Facts], Judged] = self._first

    def _first(self, facts: Facts) -> Judged:
        self.judge = self._make()
        return self.judge(facts)


_PARTS = ("denied", "granted", "erred", "findings", "routes")


@dataclass(frozen=True, slots=True)
class Applying:
    """The rules of one domain for one kind of submission, in the order of their files."""

    permits: tuple[Granting, ...]
    forbids: tuple[Forbid, ...]
    checks: tuple[Check, ...]
    routes: tuple[Route, ...]


def program(rules: Applying, name: str) -> Callable[[Facts], Judged]:
    """The function that judges a submission.

    Errors: one of `ERRORS` where the message can't be read at all; a rule that can't be decided is in `erred`.
    """
    code = Code()
    shared = _shared(rules)
    cut = {place: f"cut_{place[0]}_{place[1]}" for place in shared}
    reader = RuleReader(segments=_segments(rules), cut=cut)
    hoisted = hoist(_tests(rules), reader, code)
    writer = _Writer(code, reader, hoisted.names, shared)
    return function(
        name,
        [
            *([_assign(local(RESOURCE), code.call(_submission, context()))] if _reads_resource(rules) else []),
            *(statement for name in reader.segments for statement in reader.found(name)),
            *(_assign(cut[place], writer.cut(place)) for place in shared),
            *hoisted.statements,
            *(_assign(part, constant(())) for part in _PARTS),
            *(writer.rule(f.when, "passes", "denied", f.id) for f in rules.forbids),
            ast.If(ast.BoolOp(ast.Or(), [_load("denied"), _load("erred")]), [writer.answer()], []),
            *(writer.rule(p.permit.when, "fails", "granted", p.permit.id, p.gate) for p in rules.permits),
            ast.If(ast.UnaryOp(ast.Not(), _load("granted")), [writer.answer()], []),
            *(writer.check(check) for check in rules.checks),
            *(writer.route(route) for route in rules.routes),
            writer.answer(),
        ],
        code,
    )


def _submission(facts: Facts) -> Mapping[str, Any]:
    """The resource that was submitted, a Bundle included; what stands in it is judged apart from it."""
    return facts.resources[facts.type or ""][0][1]


def _reads_resource(rules: Applying) -> bool:
    read = [leaf for test in _tests(rules) for leaf in leaves(test)]
    read += [route.order for route in rules.routes if route.order is not None]
    return any(isinstance(leaf, Element) for leaf in read)


def _tests(rules: Applying) -> list[Test]:
    """The conditions that are asked of the message as a whole."""
    found = [f.when for f in rules.forbids] + [p.permit.when for p in rules.permits]
    found += [check.when for check in rules.checks]
    found += [route.when for route in rules.routes]
    found += [check.require for check in rules.checks if check.each is None]
    return [test for test in found if test is not None]


def _read(rules: Applying) -> list[Field]:
    """The paths that whole-message conditions and orders read."""
    read = [leaf for test in _tests(rules) for leaf in leaves(test)]
    read += [route.order for route in rules.routes if route.order is not None]
    return [leaf for leaf in read if isinstance(leaf, Field)]


def _segments(rules: Applying) -> dict[str, str]:
    """Locals for the segments that are read."""
    return {name: f"s_{name}" for name in sorted({leaf.segment for leaf in _read(rules)})}


def _shared(rules: Applying) -> dict[tuple[str, int], int]:
    """The fields that are looped over and read elsewhere too, each with the most components that is asked of it."""
    looped = {(c.each.segment, c.each.field): c for c in rules.checks if c.each is not None}
    found: dict[tuple[str, int], int] = {}
    for leaf in _read(rules):
        place = (leaf.segment, leaf.field)
        if place in looped:
            found[place] = max(found.get(place, 1), leaf.component or 1)
    for check in rules.checks:
        each = check.each
        if each is not None and (each.segment, each.field) in found:
            place = (each.segment, each.field)
            found[place] = max(found[place], _least(check))
    return found


def _least(check: Check) -> int:
    """The last component that a loop reads."""
    tests = [check.require] if check.each is None or check.each.where is None else [check.each.where, check.require]
    return max([leaf.component or 1 for test in tests for leaf in leaves(test) if isinstance(leaf, Part)], default=0)


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _add(name: str, value: ast.expr) -> ast.stmt:
    return ast.AugAssign(ast.Name(name, ast.Store()), ast.Add(), value)


def _one(value: ast.expr) -> ast.expr:
    return ast.Tuple([value], ast.Load())


@dataclass(frozen=True, slots=True)
class _Writer:
    """Statements for each kind of rule."""

    code: Code
    reader: RuleReader
    hoisted: Mapping[object, str]
    shared: Mapping[tuple[str, int], int]

    def cut(self, place: tuple[str, int]) -> ast.expr:
        """Expression for a field of the first segment, cut into repetitions and components."""
        segment = _load(self.reader.segments[place[0]])
        made = self.repetitions(segment, place[1], self.shared[place])
        return ast.IfExp(ast.Compare(segment, [ast.IsNot()], [constant(None)]), made, constant(()))

    def repetitions(self, segment: ast.expr, field: int, least: int) -> ast.expr:
        """Expression for a field of a segment, cut into repetitions and components."""
        return self.code.call(repetitions, segment, constant(field), constant(least))

    def answer(self) -> ast.stmt:
        """Return what was found so far."""
        return ast.Return(ast.Tuple([_load(part) for part in _PARTS], ast.Load()))

    def rule(self, when: Test | None, absent: Absent, into: str, rule: str, gate: Gate | None = None) -> ast.stmt:
        """Put a rule's id among the denied or the granted, if it holds."""
        conditions = [] if gate is None else gate.conditions(self.code)
        if when is not None:
            conditions.append(self.test(when, absent))
        return self.guarded(_if(conditions, [_add(into, _one(constant(rule)))]), rule)

    def test(self, test: Test, absent: Absent, reader: RuleReader | None = None) -> ast.expr:
        """A condition as an expression."""
        return body_of(reader or self.reader, self.code, absent, self.hoisted).test(test)

    def guarded(self, statements: list[ast.stmt], rule: str, more: Sequence[ast.stmt] = ()) -> ast.stmt:
        """Statements of one rule; if they fail the rule erred."""
        failed = [_add("erred", _one(constant(rule))), *more]
        handler = ast.ExceptHandler(self.code.hold(ERRORS), None, failed)
        return ast.Try(statements, [handler], [], [])

    def check(self, check: Check) -> ast.stmt:
        """Run a check; one of error level that can't be decided refuses."""
        tell = teller(check)
        if tell.departures is not None:
            inner = [_add("findings", self.code.call(tell.departures, context()))]
        elif check.each is None:
            demand = ast.UnaryOp(ast.Not(), self.test(check.require, "passes"))
            inner = _if([demand], [_add("findings", _one(self.code.call(tell.whole, context())))])
        else:
            inner = self.loop(check, tell.part)
        when = [] if check.when is None else [self.test(check.when, "false")]
        undecided = Finding(check.severity, check.code, UNDECIDED, tell.field, check.id)
        more = [_add("findings", _one(self.code.hold(undecided)))] if check.severity == "error" else []
        return self.guarded(_if(when, inner), check.id, more)

    def loop(self, check: Check, tell: Callable[..., Finding]) -> list[ast.stmt]:
        """Go over the repetitions of a field that were sent, in every such segment."""
        each = check.each
        if each is None:
            raise TypeError(check.id)
        segment, number = local(each.variable), local(number_of(each.variable))
        demand = [check.require] if each.where is None else [each.where, check.require]
        reader = RuleReader(
            self.reader.segments, {each.variable: each.field}, {each.variable: "parts"}, self.reader.cut
        )
        hoisted = hoist(demand, reader, self.code, prefix=f"r_{segment}_")
        body = body_of(reader, self.code, "passes", {**self.hoisted, **hoisted.names})
        fails: list[ast.expr] = [ast.UnaryOp(ast.Not(), body.test(check.require))]
        if each.where is not None:
            fails.insert(0, body_of(reader, self.code, "false", body.hoisted).test(each.where))
        told = self.code.call(tell, context(), _load(segment), _load(number))
        once = [*hoisted.statements, *_if(fails, [_add("findings", _one(told))])]
        sent = self.repetitions(_load(segment), each.field, _least(check))
        place = (each.segment, each.field)
        if place in self.reader.cut:
            first = ast.Compare(_load(segment), [ast.Is()], [_load(self.reader.segments[each.segment])])
            sent = ast.IfExp(first, _load(self.reader.cut[place]), sent)
        pair = ast.Tuple([ast.Name(number, ast.Store()), ast.Name("parts", ast.Store())], ast.Store())
        inner = ast.For(pair, self.code.call(enumerate, sent, constant(1)), [ast.If(_load("parts"), once, [])], [])
        return [ast.For(ast.Name(segment, ast.Store()), self.reader.all(each.segment), [inner], [])]

    def route(self, route: Route) -> ast.stmt:
        """Add where a route leads, if it holds."""
        when = [] if route.when is None else [self.test(route.when, "false")]
        if route.order is None:
            places = tuple(Routing(route.id, t.name, t.on_failure, t.hold, None) for t in route.targets)
            return self.guarded(_if(when, [_add("routes", self.code.hold(places))]), route.id)
        # the first repetition, where it repeats
        leaf = replace(route.order, type=replace(route.order.type, many=False))
        value = self.reader.value(leaf, self.code)
        order = value if leaf.type.kind == "text" or leaf.type.raw else self.code.call(_shown, value)
        led = [
            # what Routing._make calls; it is called for every target of every message
            self.code.call(
                tuple.__new__,
                self.code.hold(Routing),
                ast.Tuple(
                    [
                        constant(route.id),
                        constant(target.name),
                        constant(target.on_failure),
                        self.code.hold(target.hold),
                        _load("order"),
                    ],
                    ast.Load(),
                ),
            )
            for target in route.targets
        ]
        statements = [_assign("order", order), _add("routes", ast.Tuple(led, ast.Load()))]
        return self.guarded(_if(when, statements), route.id)


def _shown(value: object) -> str | None:
    """What messages that keep their order share, as text."""
    return None if value is None else str(value)


def _settled(test: Test | None, message_type: str) -> bool | None:
    """Whether a condition holds for this message type, where it reads nothing else; None where it has to be asked."""
    if test is None:
        return True
    if any(not isinstance(leaf, Fact) or leaf.name != "message.type" for leaf in leaves(test)):
        return None
    return possible(test, message_type)


def settle(rules: Applying, message_type: str) -> Applying:
    """The rules without the conditions, and the rules, that the message type alone settles."""
    checks = [replace(c, when=None) if _settled(c.when, message_type) else c for c in rules.checks]
    routes = [replace(r, when=None) if _settled(r.when, message_type) else r for r in rules.routes]
    return replace(
        rules,
        checks=tuple(c for c in checks if _settled(c.when, message_type) is not False),
        routes=tuple(r for r in routes if _settled(r.when, message_type) is not False),
    )


def _if(conditions: list[ast.expr], statements: list[ast.stmt]) -> list[ast.stmt]:
    if not conditions:
        return statements
    whole = conditions[0] if len(conditions) == 1 else ast.BoolOp(ast.And(), conditions)
    return [ast.If(whole, statements, [])]
