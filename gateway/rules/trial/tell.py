"""Why a test failed, as the best compilers would say it: the place, what was expected, what was decided, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.language import nodes
from gateway.rules.account.walk import Read, Seen
from gateway.rules.decide import RuleSet
from gateway.rules.declared import Permit
from gateway.rules.trial.declared import Expected, Trial
from gateway.rules.trial.judge import Miss
from gateway.rules.trial.run import Answer
from gateway.rules.trial.walked import Rule, known, steps
from gateway.source import Span

MOST = 12
"""So many lines of why are told: a long message has a repetition for each line of it."""

_WHOLE = frozenset({"caller", "patient", "resource"})
"""Facts that are no single value."""

_SEVERE = ("fatal", "error", "warning", "information")


def told(trial: Trial, miss: Miss, rules: RuleSet) -> str:
    """One expectation that was not met, as text with the author's line and a caret."""
    span, answer = miss.expected.span, miss.answer
    why = list(dict.fromkeys((*miss.why, *_why(miss.expected, answer, rules))))
    more = [f"and {len(why) - MOST} more"] if len(why) > MOST else []
    lines = [
        f"expected: {said(miss.expected)}",
        f"decided:  {decided(answer)}",
        *(f"why:      {words}" for words in (*why[:MOST], *more)),
    ]
    margin = " " * len(str(span.line))
    return "\n".join([f"failed: {trial.title}", *framed(span), *(f"{margin}  = {line}" for line in lines)])


def framed(span: Span) -> tuple[str, str, str, str]:
    """The place of a span, its line, and carets below what it covers of it."""
    line, column = span.source.position(span.start)
    text = span.source.line(line)
    margin = " " * len(str(line))
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    return (
        f"{margin} --> {span}",
        f"{margin}  |",
        f"{line}  | {text}",
        f"{margin}  | {' ' * (column - 1)}{'^' * width}",
    )


def said(expected: Expected) -> str:
    """An expectation in words."""
    names = ", ".join(sorted(expected.names))
    match expected.outcome:
        case "accept":
            return f"it is accepted{' to ' + names if names else ''}"
        case "refuse" | "warn":
            verb = "refuses it" if expected.outcome == "refuse" else "warns of it"
            return f"{expected.rule} {verb}{' at ' + expected.at if expected.at else ''}"
        case "deny":
            return f"{expected.rule} forbids it"
        case "want":
            return f"it is denied because {expected.rule} wants {names or 'something'}"
        case "permit":
            return f"{expected.rule} permits it{', hiding ' + names if names else ''}"
        case "notice":
            return f"the use of broken glass is told to {names}"
        case "silence":
            return "nobody is told of broken glass"


def decided(answer: Answer) -> str:
    """What was decided, with the rules that did."""
    by = f" by {', '.join(answer.by)}" if answer.by else ""
    match answer.effect:
        case "accept":
            return f"{answer.name} is accepted to {', '.join(sorted(answer.targets))}{by}"
        case "refuse":
            return f"{answer.name} is refused{by}"
        case "permit":
            hidden = f", hiding {', '.join(sorted(answer.hide))}" if answer.hide else ""
            return f"{answer.name} is permitted{by}{hidden}"
        case "deny":
            return f"{answer.name} is denied{by}{'' if by else ', for no permit grants it'}"
        case "unread":
            return f"{answer.name} can't be read or is not accepted, so no rule is asked"


def _why(expected: Expected, answer: Answer, rules: RuleSet) -> Iterator[str]:
    """The findings, what permits want, and how the rule that was expected to decide came out."""
    for finding in sorted(answer.findings, key=lambda f: _SEVERE.index(f.severity)):
        at = f" at {finding.expression}" if finding.expression else ""
        rule = f"{finding.rule}{_place(finding.rule, rules)}: " if finding.rule else ""
        yield f"{rule}{finding.severity}{at}: {finding.diagnostics}"
    for rule, wants in sorted(answer.lacks.items()):
        if wants:
            yield f"{rule}{_place(rule, rules)} wants: {', '.join(sorted(wants))}"
    for rule in answer.erred:
        yield f"{rule}{_place(rule, rules)} could not be decided{_unstored(answer)}"
    named = known(rules).get(expected.rule)
    if named is not None and answer.effect != "unread":
        yield from _conditions(named, expected, answer, rules)


def _conditions(rule: Rule, expected: Expected, answer: Answer, rules: RuleSet) -> Iterator[str]:
    """The conditions because of which the rule did not decide as expected."""
    if any(finding.rule == rule.id for finding in answer.findings):
        return  # what it found, or what it lacks, is told
    came = list(steps(rule, answer))
    if not came and not isinstance(rule, Permit):
        yield f"{rule.id}{_place(rule.id, rules)} was not asked: it does not apply to {answer.name}"
    for step in came:
        # a check is expected to find its requirement not met, a permit that is wanting not to hold
        against = step.clause == "require" or expected.outcome == "want"
        if step.seen.outcome is None or step.seen.outcome is against:
            for seen in deciding(step.seen):
                yield f"{rule.id} {step.clause}: {condition(seen)}"


def _unstored(answer: Answer) -> str:
    """What the test does not say is stored."""
    missing = [want for want, found in answer.around.items() if found is None]
    return f": the test says nothing of {', '.join('/'.join(want[:2]) for want in missing)}" if missing else ""


def _place(rule: str, rules: RuleSet) -> str:
    place = rules.places.get(rule)
    return f" ({place})" if place else ""


def deciding(seen: Seen) -> Iterator[Seen]:
    """The smallest conditions that made a condition what it is."""
    inner = [part for part in seen.parts if part.asked]
    if not inner:
        yield seen
        return
    if isinstance(seen.test, nodes.Chain):
        stops = seen.test.word == "or"
        # of `and` that holds, and of `or` that doesn't, every part had its say
        whole = seen.outcome is not None and seen.outcome is not stops
        inner = inner if whole else inner[-1:]
    for part in inner:
        yield from deciding(part)


def condition(seen: Seen) -> str:
    """A condition with what was seen: `MSH-11.1 is "T"` is false (MSH-11.1 is "P")."""
    outcome = {True: "is true", False: "is false", None: "could not be decided"}[seen.outcome]
    text = " ".join(seen.test.span.text.split())
    values = "; ".join(_value(read) for read in seen.reads if _says(read.operand))
    because = f", {seen.why}" if seen.why else ""
    return f"`{text}` {outcome}{because}{f' ({values})' if values else ''}"


def _says(operand: nodes.Operand) -> bool:
    """Whether the value of an operand tells anything that the condition doesn't."""
    return not isinstance(operand, nodes.Literal) and not (isinstance(operand, nodes.Fact) and operand.name in _WHOLE)


def _value(read: Read) -> str:
    return f"{read.operand.span.text} {_shown(read.value)}"


def _shown(value: Any) -> str:
    if value is None:
        return "is absent"
    if isinstance(value, tuple | list | frozenset | set):
        return f"is {_listed(value)}"
    return f'is "{value}"' if isinstance(value, str) else f"is {value}"


def _listed(values: Iterable[Any]) -> str:
    words = sorted(str(value) for value in values)
    return ", ".join(words) if words else "empty"
