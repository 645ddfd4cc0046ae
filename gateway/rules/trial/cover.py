"""Which conditions the tests of a rule set reached, with which outcomes, and why one was never reached.

Conditions are asked again by a tree walk, in the author's order and as far as the decision came; the compiled rules are
not touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.language import nodes
from gateway.rules.account.walk import Seen
from gateway.rules.decide import RuleSet
from gateway.rules.declared import Check, Domain, Forbid, Mask, Permit, Route
from gateway.rules.nodes import GLASS
from gateway.rules.trial.run import Answer
from gateway.rules.trial.walked import Rule, all_of, applies, asked, steps
from gateway.source import Span

Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One condition: how often it came out each way, and why not both; `why` is None where it did."""

    rule: str
    span: Span
    true: int
    false: int
    erred: int
    why: str | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Every condition of a rule set, and the rules without one that no test came to."""

    lines: tuple[Line, ...]
    unreached: tuple[tuple[Rule, str], ...]

    @property
    def both(self) -> int:
        """How many conditions came out both ways."""
        return sum(line.why is None for line in self.lines)


@dataclass(slots=True)
class _Count:
    """What was seen so far."""

    outcomes: Counter[tuple[Place, bool | None]] = field(default_factory=Counter)
    stopped: dict[Place, Seen] = field(default_factory=dict)
    clauses: Counter[tuple[str, str]] = field(default_factory=Counter)
    held: Counter[tuple[str, str]] = field(default_factory=Counter)
    applied: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)

    def answer(self, rules: RuleSet, answer: Answer) -> None:
        """Add what one answer asked."""
        for domain in rules.domains.values():
            self.applied.update(rule.id for rule in all_of(domain) if applies(rule, domain, answer))
        for rule in asked(rules, answer):
            self.reached[rule.id] += 1
            for step in steps(rule, answer):
                self.clauses[rule.id, step.clause] += 1
                self.held[rule.id, step.clause] += step.seen.outcome is True
                self.seen(step.seen, None)

    def seen(self, seen: Seen, before: Seen | None) -> None:
        """Add one condition; `before` decided so that it was not asked."""
        place = _place(seen.test)
        if not seen.asked and before is not None:
            self.stopped.setdefault(place, before)
        if not _made_of(seen.test):
            if seen.asked:
                self.outcomes[place, seen.outcome] += 1
            return
        last: Seen | None = None
        for part in seen.parts:
            self.seen(part, before if not seen.asked else None if part.asked else last)
            last = part if part.asked else last


def coverage(rules: RuleSet, answers: Iterable[Answer]) -> Coverage:
    """What the answers of all tests reached of a rule set."""
    count = _Count()
    for answer in answers:
        count.answer(rules, answer)
    lines: dict[Place, Line] = {}
    unreached: list[tuple[Rule, str]] = []
    for domain in rules.domains.values():
        for rule in all_of(domain):
            conditions = list(_conditions(rule))
            if not conditions and not count.reached[rule.id]:
                unreached.append((rule, _unreached(rule, domain, count)))
            for clause, test in conditions:
                for one in _atoms(test):
                    line = _line(rule, domain, clause, one, count)
                    place = _place(one)
                    # a named condition may stand in several rules: what reached it once, reached it
                    if place not in lines or lines[place].why is not None:
                        lines[place] = line
    return Coverage(tuple(lines.values()), tuple(unreached))


def _line(rule: Rule, domain: Domain, clause: str, test: nodes.Test, count: _Count) -> Line:
    place = _place(test)
    true, false, erred = (count.outcomes[place, outcome] for outcome in (True, False, None))
    return Line(rule.id, test.span, true, false, erred, _why(rule, domain, clause, test, count))


def _why(rule: Rule, domain: Domain, clause: str, test: nodes.Test, count: _Count) -> str | None:
    """Why a condition did not come out both ways; None where it did."""
    place = _place(test)
    true, false = count.outcomes[place, True], count.outcomes[place, False]
    if true and false:
        return None
    if true or false:
        return "it is never false" if true else "it is never true"
    if not count.reached[rule.id]:
        return _unreached(rule, domain, count)
    if not count.clauses[rule.id, clause]:
        return _no_clause(rule, clause, count)
    stop = count.stopped.get(place)
    if stop is None:
        return "it could never be decided" if count.outcomes[place, None] else "it is never asked"
    words = " ".join(stop.test.span.text.split())
    return f"`{words}` before it is {'always' if stop.outcome else 'never'} true"


def _no_clause(rule: Rule, clause: str, count: _Count) -> str:
    """Why a clause of a rule that was reached is never asked."""
    if clause == "rows":
        return f"no test of {rule.id} returns such a resource to whom it grants"
    if clause == "when":
        return f"no test of {rule.id} returns a resource"
    if clause == "require" and count.clauses[rule.id, "where"]:
        return "its `where` never holds"
    if count.clauses[rule.id, "when"] and not count.held[rule.id, "when"]:
        return "its `when` never holds"
    return "what it goes over is never there"


def _unreached(rule: Rule, domain: Domain, count: _Count) -> str:
    """Why no test comes to a rule."""
    if count.applied[rule.id]:
        if isinstance(rule, Permit):
            return "a forbid holds in every test that could come to it"
        return "every test that could come to it is denied before"
    if isinstance(rule, Route) and rule.on.data_types == (GLASS,):
        return f"no test breaks glass{' for ' + _listed(rule.on.types) if rule.on.types else ''}"
    if isinstance(rule, Check | Route) or (not isinstance(rule, Mask) and "ingest" in rule.actions):
        if isinstance(rule, Check) and rule.on.data_types == ("result",):
            return f"no test of {domain.name} makes a {_listed(rule.on.types)}"
        what = _listed(rule.on.types) or _listed(rule.on.data_types) or "anything"
        return f"no test sends {what} to {domain.name}"
    return f"no test asks to {_listed(rule.actions)} {_listed(rule.types) or 'anything'}"


def _listed(names: Iterable[str]) -> str:
    return " or ".join(names)


def _conditions(rule: Rule) -> Iterator[tuple[str, nodes.Test]]:
    """The conditions of a rule, by clause."""
    match rule:
        case Permit():
            found = [("when", rule.when), *(("rows", rows.where) for rows in rule.rows.values())]
        case Check():
            found = [("when", rule.when), ("where", rule.each.where if rule.each else None), ("require", rule.require)]
        case Forbid() | Mask() | Route():
            found = [("when", rule.when)]
    return ((clause, test) for clause, test in found if test is not None)


def _made_of(test: nodes.Test) -> bool:
    """Whether a condition is made of others, which are counted in its place."""
    return isinstance(test, nodes.Chain | nodes.Not | nodes.Named)


def _atoms(test: nodes.Test) -> Iterator[nodes.Test]:
    if not _made_of(test):
        yield test
        return
    for part in nodes.parts(test):
        yield from _atoms(part)


def _place(test: nodes.Test) -> Place:
    span = test.span
    return span.source.name, span.start, span.end


def shown(found: Coverage) -> str:
    """Coverage as text: the conditions that did not come out both ways, by file and line, and how many did."""
    lines = sorted((line for line in found.lines if line.why is not None), key=lambda one: _order(one.span))
    rows: list[tuple[Span, str]] = [
        (line.span, f"{line.rule}: `{_one_line(line.span)}` true {line.true}, false {line.false}: {line.why}")
        for line in lines
    ]
    rows += [(rule.span, f"{rule.id}: {why}") for rule, why in found.unreached]
    words = [f"{span.source.name}:{span.line}: {text}" for span, text in sorted(rows, key=lambda row: _order(row[0]))]
    total = len(found.lines)
    percent = 100 * found.both // total if total else 100
    return "\n".join([*words, f"coverage: {found.both} of {total} conditions came out both ways ({percent}%)"])


def _order(span: Span) -> tuple[str, int]:
    return span.source.name, span.start


def _one_line(span: Span) -> str:
    return " ".join(span.text.split())
