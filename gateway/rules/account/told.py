"""An account as text: the rule as its author wrote it, a caret under each condition, and what was seen there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.finding import Finding
from gateway.language import nodes
from gateway.rules.account.data import KINDS, did, values
from gateway.rules.account.explain import Account
from gateway.rules.account.judge import Judged
from gateway.rules.account.nearest import Nearest
from gateway.rules.account.release import Released
from gateway.rules.account.walk import Seen
from gateway.rules.declared import Route
from gateway.source import Span

Style = Literal["", "head", "good", "bad", "dim"]

MOST = 6
"""Most repetitions of which one condition is told."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text, and what it is."""

    text: str
    style: Style = ""


def told(account: Account) -> tuple[Line, ...]:
    """The whole account."""
    near = () if account.nearest is None else (Line(""), *nearest(account.nearest))
    return (*head(account), *_deciding(account), *near, *_beside(account))


def head(account: Account) -> Iterator[Line]:
    """Who asked for what, and what was decided."""
    facts = account.facts
    asked = [facts.action, facts.type or "", f"to {facts.domain}" if facts.domain else ""]
    by = [f"as {facts.organisation}" if facts.organisation else "", f"for {facts.purpose}" if facts.purpose else ""]
    yield Line(" ".join(filter(None, (f"{facts.caller.name}:", *asked, *by))), "dim")
    words: str = account.effect
    if account.by:
        words += f" by {', '.join(account.by)}"
    elif account.nearest is not None:
        words += f" for want of {account.nearest.judged.rule.id}"
    yield Line(words, "good" if account.effect == "permit" else "bad")
    for finding in account.findings:
        yield Line(f"  {_finding(finding)}", "bad" if finding.severity in {"error", "fatal"} else "")
    if account.overlays:
        yield Line(f"  converted with {', '.join(account.overlays)}")
    for route in account.routes:
        kept = "" if route.order_key is None else f", in order of {route.order_key}"
        yield Line(f"  to {route.target} by {route.rule}, on failure {route.on_failure}{kept}")
    for notice in account.notices:
        yield Line(f"  the use of broken glass is told to {notice.target} by {notice.rule}")
    if account.effect == "deny" and all(isinstance(judged.rule, Route) for judged in account.rules):
        yield from (Line(f"  {finding.diagnostics}", "bad") for finding in account.decision.wanting)


def _finding(finding: Finding) -> str:
    place = f" at {finding.expression}" if finding.expression else ""
    return f"{finding.severity}[{finding.rule or finding.code}]{place}: {finding.diagnostics}"


def _deciding(account: Account) -> Iterator[Line]:
    for judged in account.deciding():
        yield Line("")
        yield from source(judged)


def nearest(found: Nearest) -> Iterator[Line]:
    """The nearest permit, with what kept it from granting."""
    yield Line(f"the nearest permit, and what kept it from granting: {found.judged.rule.id}", "head")
    for seen in found.failed:
        yield Line(f"  {_one_line(seen.test.span)} {says(seen)}", "bad")
    yield from (Line(f"  {words}", "bad") for words in found.lacks)
    yield from source(found.judged, "does not grant this")


def release(found: Released) -> Iterator[Line]:
    """What becomes of one resource that came back, with the rules that decided it."""
    words = f"{found.name} is {'released' if found.released else 'kept back'}"
    by = f" by {', '.join(found.by)}" if found.by else ""
    yield Line(f"{words}{by}", "good" if found.released else "bad")
    if found.decided.hide:
        yield Line(f"  without {', '.join(sorted(found.decided.hide))}")
    rest: list[Judged] = []
    for judged in found.rules:
        if judged.rule.id in {*found.by, *found.erred} or not found.by:
            yield Line("")
            yield from source(judged)
        else:
            rest.append(judged)
    yield from _others(rest)


def _beside(account: Account) -> Iterator[Line]:
    """The rules that decided nothing."""
    near = None if account.nearest is None else account.nearest.judged.rule.id
    yield from _others([judged for judged in account.others() if judged.rule.id != near])


def _others(others: Sequence[Judged]) -> Iterator[Line]:
    if others:
        yield Line("")
        yield Line("the other rules that apply", "head")
    for judged in others:
        yield Line(f"  {judged.rule.id} {did(judged)}: {judged.rule.title}", "dim")
        for seen in _why_not(judged):
            yield Line(f"    {_one_line(seen.test.span)} {says(seen)}", "dim")


def _why_not(judged: Judged) -> list[Seen]:
    """The comparisons by which a rule came out as it did, the first of its first clause."""
    clauses = [c for c in judged.clauses if c.seen.outcome is not True]
    return list(_leaves(clauses[0].seen, asked=True))[:1] if clauses and judged.asked else []


# --- a rule with its carets ----------------------------------------------------------------------------------------


def source(judged: Judged, what: str | None = None) -> Iterator[Line]:
    """A rule as its author wrote it, with what was seen under each condition; `what` says what it did."""
    rule = judged.rule
    yield Line(f"{KINDS[type(rule)]} {rule.id} {what or did(judged)}", "head")
    span = rule.span
    text = span.text.rstrip()
    first, last = span.line, span.line + text.count("\n")
    width = len(str(last))
    yield Line(f"{' ' * width}--> {span.source.name}:{first}", "dim")
    for closed in judged.closed:
        yield Line(f"{' ' * width} = {closed}", "bad")
    marks = list(_marks(judged))
    for number in range(first, last + 1):
        yield Line(f"{number:>{width}} | {span.source.line(number)}")
        for mark in marks:
            if mark.span.source is span.source and mark.span.line == number:
                yield _caret(mark, width)
    elsewhere = [m for m in marks if m.span.source is not span.source or not first <= m.span.line <= last]
    for mark in elsewhere:
        yield Line(f"{' ' * width} = {_one_line(mark.span)} ({mark.span}) {mark.words}", mark.style)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What was seen of one condition."""

    span: Span
    words: str
    style: Style


def _caret(mark: _Mark, width: int) -> Line:
    line, column = mark.span.source.position(mark.span.start)
    text = mark.span.source.line(line)
    pad = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
    carets = "^" * max(1, min(mark.span.end - mark.span.start, len(text) - column + 1))
    return Line(f"{' ' * width} | {pad}{carets} {mark.words}", mark.style)


def _marks(judged: Judged) -> Iterator[_Mark]:
    """What was seen of every condition; of one that was asked of many, of those first that did not hold."""
    found: dict[int, list[tuple[str | None, Seen]]] = {}
    for clause in judged.clauses:
        for seen in _leaves(clause.seen, asked=None):
            found.setdefault(seen.test.span.start, []).append((clause.at, seen))
    for several in found.values():
        in_order = sorted(several, key=lambda one: one[1].outcome is True)
        for at, seen in in_order[:MOST]:
            place = f"{at}: " if at is not None else ""
            yield _Mark(seen.test.span, f"{place}{says(seen)}", _style(seen))
        if len(in_order) > MOST:
            yield _Mark(in_order[0][1].test.span, f"and of {len(in_order) - MOST} more", "dim")


def _leaves(seen: Seen, *, asked: bool | None) -> Iterator[Seen]:
    """The comparisons that a condition is made of. Shape: with `asked`, those alone that the decision came to."""
    if asked and not seen.asked:
        return
    if isinstance(seen.test, nodes.Named) or not seen.parts:
        yield seen
    for part in seen.parts:
        yield from _leaves(part, asked=asked)


def _style(seen: Seen) -> Style:
    if not seen.asked:
        return "dim"
    return "good" if seen.outcome else "bad"


def says(seen: Seen) -> str:
    """What became of a condition, with the values: `false: PV1-2 is "I"`."""
    outcome = {True: "true", False: "false", None: "can't be decided"}[seen.outcome]
    if not seen.asked:
        outcome = f"not come to, would be {outcome}"
    reasons = [seen.why] if seen.why else []
    reasons += [f"{name} is {shown(value)}" for name, value in values(seen)]
    return f"{outcome}{': ' if reasons else ''}{', '.join(reasons)}"


def shown(value: Any) -> str:
    """A value in a line of text."""
    if value is None:
        return "absent"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value) or "empty"
    return json.dumps(value, ensure_ascii=False)


def _one_line(span: Span) -> str:
    return " ".join(span.text.split())


def text(lines: Iterable[Line]) -> str:
    """Lines without their styles."""
    return "\n".join(line.text for line in lines)
