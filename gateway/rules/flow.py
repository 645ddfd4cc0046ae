"""`check` and `route`, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from gateway.language import messages
from gateway.language.check import check as check_test
from gateway.language.check import check_operand
from gateway.language.nodes import Chain, Equal, Field, Leaf, Member, Named, Not, Operand, Test, Text, Word
from gateway.language.nodes import Fact as FactLeaf
from gateway.language.nodes import Literal as LiteralNode
from gateway.language.presence import present_in
from gateway.language.types import Bound, Scope
from gateway.rules.clauses import Report, choose, declared, duration, every, missing, one, said
from gateway.rules.conforming import exceptions, holding, is_holding, is_judging, judging
from gateway.rules.declared import SEVERITIES, Applies, Check, Each, Route, RouteTarget
from gateway.rules.grants import because
from gateway.rules.ground import Ground, applies, submitted
from gateway.rules.nodes import GLASS, Asked, ForEach, InOrder, On, Said, Statement
from gateway.source import Diagnostic, Span

_ISSUE_TYPES = "http://hl7.org/fhir/ValueSet/issue-type"
_STRUCTURE = "structure"
_ENGINES_SHOW_WRONGLY = '"\\|^~&'  # http-interface.md, MSA-3: an engine which doesn't unescape still reads it
_HOLE = re.compile(r"\{([^{}]*)\}")
_CONVERTED: dict[str, frozenset[str]] = {
    GLASS: frozenset({"Fhir"}),  # it is told as an AuditEvent
    "Hl7v2": frozenset({"Fhir", "Hl7v2"}),
    "Fhir": frozenset({"Fhir"}),
    "Csv": frozenset({"Fhir"}),
}


def check(statement: Statement, ground: Ground, report: Report) -> Check | None:
    """One `check`; None where it can't be used."""
    on = applies(one(statement, On, report), ground, report, result=True, entries=True)
    resources = on.types if on.data_types == ("result",) else submitted(on)
    scope = ground.scope(on, "free", ingest=True, resources=resources)
    when = _asked(statement, "when", scope, report)
    each, scope = _each(statement, scope, report)
    requirement = one(statement, Asked, report, "require")
    if requirement is None:
        missing(statement, "require", report, "add `require ...`")
        return None
    known = [key for test in (when, each.where if each else None) if test is not None for key in present_in(test)]
    required = check_test(requirement.test, replace(scope, absence="warned"), known)
    report.diagnostics.extend(required.diagnostics)
    otherwise = said(statement, "otherwise", report)
    if otherwise is None:
        missing(statement, "otherwise", report, "add `otherwise error CODE`")
        return None
    severity = choose(otherwise.words[0], SEVERITIES, "severity", report)
    judges = each is None and is_judging(requirement.test)
    holds = each is None and is_holding(requirement.test)
    code = _code(statement, otherwise, ground, report, judges=judges or holds)
    excepted = exceptions(statement, report, judges=judges)
    text = _text(otherwise.texts[0], scope, report) if otherwise.texts else (_plain(statement.title),)
    reason = because(statement, ground, report)
    if required.test is None or severity is None or code is None:
        return None
    level = SEVERITIES[SEVERITIES.index(severity)]
    how = held = None
    own = code if len(otherwise.words) > 1 else None
    if holds:
        held = holding(required.test, level, own, worded=bool(otherwise.texts))
    if judges and ground.vocabulary.conformance is not None:
        how = judging(ground.vocabulary.conformance, excepted, level, own, worded=bool(otherwise.texts))
    return Check(
        statement.name.text,
        statement.title,
        on,
        when,
        each,
        required.test,
        level,
        code,
        text,
        reason,
        statement.span,
        how,
        held,
    )


def _code(statement: Statement, otherwise: Said, ground: Ground, report: Report, *, judges: bool) -> str | None:
    """The issue type of what a check finds; one that judges by kind may leave it to the kinds."""
    if len(otherwise.words) > 1:
        codes = sorted(ground.vocabulary.tables.codes[_ISSUE_TYPES])
        return choose(otherwise.words[1], codes, "FHIR issue type", report)
    if judges:
        return _STRUCTURE
    hint = f"name it behind the severity: `otherwise {otherwise.words[0].text} business-rule`"
    word = statement.name.text
    report.say(messages.MISSING.at(otherwise.span, hint, kind="check", word=word, clause="a FHIR issue type"))
    return None


def _asked(statement: Statement, name: str, scope: Scope, report: Report) -> Test | None:
    clause = one(statement, Asked, report, name)
    if clause is None:
        return None
    checked = check_test(clause.test, scope)
    report.diagnostics.extend(checked.diagnostics)
    return checked.test


def _each(statement: Statement, scope: Scope, report: Report) -> tuple[Each | None, Scope]:
    """The loop, and the scope with its variable bound."""
    clause = one(statement, ForEach, report)
    if clause is None:
        return None, scope
    name = clause.variable.text
    if name in scope.facts or name in scope.unreadable or "." in name or ("-" in name and name.upper() == name):
        report.say(messages.SHADOWS.at(clause.variable.span, word=name))
        return None, replace(scope, bound={name: Bound({})})
    field = check_operand(clause.path, scope)
    if isinstance(field, Diagnostic):
        report.say(field)
        # the variable is bound all the same, so that its uses are not reported as well
        return None, replace(scope, bound={name: Bound({})})
    if not isinstance(field, Field) or field.component is not None:
        report.say(messages.NOT_LOOPED.at(clause.path.span, word=clause.path.text))
        return None, replace(scope, bound={name: Bound({})})
    datatypes: dict[str, str | None] = {}
    for version, dictionary in scope.dictionaries.items():
        definition = dictionary.field(field.segment, field.field)
        datatypes[version] = definition.datatype if definition else None
    inner = replace(scope, bound={name: Bound(datatypes)}, own={field.segment: name})
    where = None
    if clause.where is not None:
        checked = check_test(clause.where, inner)
        report.diagnostics.extend(checked.diagnostics)
        where = checked.test
    return Each(name, field.segment, field.field, where), inner


def _plain(title: str) -> str:
    """A title as a message: it is read out where no other text is given."""
    return "".join(c for c in title if c not in _ENGINES_SHOW_WRONGLY)


def _text(text: Text, scope: Scope, report: Report) -> tuple[str | Leaf, ...]:
    """Parts of a message: texts, and what stands between braces."""
    found: list[str | Leaf] = []
    at = 0
    for match in _HOLE.finditer(text.value):
        found.append(text.value[at : match.start()])
        at = match.end()
        leaf = check_operand(Word(match[1].strip(), text.span), replace(scope, first=True))
        if isinstance(leaf, Diagnostic):
            report.say(messages.BAD_HOLE.at(text.span, leaf.help, word="{" + match[1] + "}"))
        elif leaf.type.kind in {"complex", "caller"}:
            report.say(messages.BAD_HOLE.at(text.span, word="{" + match[1] + "}"))
        else:
            found.append(leaf)
    found.append(text.value[at:])
    for part in found:
        wrong = next((c for c in part if c in _ENGINES_SHOW_WRONGLY + "{}"), None) if isinstance(part, str) else None
        if wrong is not None:
            report.say(messages.BAD_TEXT.at(text.span, word=wrong))
    return tuple(part for part in found if part != "")


# --- routes --------------------------------------------------------------------------------------------------------


def route(statement: Statement, ground: Ground, report: Report) -> Route | None:
    """One `route`; None where it can't be used."""
    on = applies(one(statement, On, report), ground, report)
    scope = ground.scope(on, "free", ingest=True, resources=submitted(on))
    when = _asked(statement, "when", scope, report)
    led = targets(statement, on, ground, report)
    clause = one(statement, InOrder, report)
    order: Leaf | None = None
    if clause is not None:
        leaf = check_operand(clause.path, scope)
        if isinstance(leaf, Diagnostic):
            report.say(leaf)
        else:
            order = leaf
    reason = because(statement, ground, report)
    if not led:
        return None
    return Route(statement.name.text, statement.title, on, when, led, order, reason, statement.span)


def targets(statement: Statement, on: Applies, ground: Ground, report: Report) -> tuple[RouteTarget, ...]:
    """Targets with their `on failure`: one on a target's own line is that target's, else it is for all the others."""
    first = one(statement, Said, report, "to target")
    if first is None:
        missing(statement, "to", report, "add `to TARGET`")
        return ()
    named = [c for c in every(statement, Said) if c is first or c.kind == "and to target"]
    own, rest = _failures(statement, named, report)
    found = [_target(c.words[0], on, ground, own.get(c.span.start, rest), report) for c in named]
    return tuple(target for target in found if target is not None)


def _failures(
    statement: Statement, named: list[Said], report: Report
) -> tuple[dict[int, RouteTarget], RouteTarget | None]:
    """What is said of failure: by the place of the target that it is said of, and for the others.

    A clause with an error counts all the same, so that no target is said to lack one.
    """
    own: dict[int, RouteTarget] = {}
    rest: RouteTarget | None = None
    for clause in every(statement, Said):
        if clause.kind != "on failure":
            continue
        before = [target for target in named if target.span.start < clause.span.start]
        failure = _failure(clause, report) or RouteTarget("", "reject", None)
        if not before:
            report.say(messages.NO_TARGET_FIRST.at(clause.span))
        elif before[-1].words[0].span.line == clause.span.line and before[-1].span.start not in own:
            own[before[-1].span.start] = failure
        elif rest is None:
            rest = failure
        else:
            report.say(messages.TWICE.at(clause.span, word="on failure"))
    return own, rest


def _target(word: Word, on: Applies, ground: Ground, failure: RouteTarget | None, report: Report) -> RouteTarget | None:
    known = ground.registry.targets
    name = declared(word, known, "target", report)
    if name is None:
        return None
    takes = known[name].takes
    for data_type in on.data_types or tuple(dict.fromkeys(a.data_type for a in ground.accepts)):
        if takes not in _CONVERTED[data_type]:
            kind = "AuditEvent" if data_type == GLASS else "data type"
            report.say(messages.TAKES.at(word.span, word=name, takes=takes, kind=kind))
    if failure is None:
        hint = "add `on failure queue for 30 days`" if on.data_types == (GLASS,) else None
        report.say(messages.NO_FAILURE.at(word.span, hint, word=name))
        return None
    return replace(failure, name=name)


def _failure(clause: Said, report: Report) -> RouteTarget | None:
    what, *length = clause.words
    answer = choose(what, ("reject", "queue"), "answer to a failure", report)
    if answer == "reject" and not length:
        return RouteTarget("", "reject", None)
    if answer == "queue" and length:
        hold = duration(length[0], length[1], report)
        return None if hold is None else RouteTarget("", "queue", hold)
    if answer is not None:
        hint = "write `on failure reject`" if answer == "reject" else "write `on failure queue for 72 hours`"
        report.say(messages.UNEXPECTED.at(clause.span, hint, word=clause.span.text))
    return None


def gaps(ground: Ground, routes: Iterable[Route], place: Span, report: Report) -> None:
    """Warn of accepted types that no route could take."""
    applying = tuple(routes)
    for data_type in dict.fromkeys(a.data_type for a in ground.accepts):
        for message_type in ground.accepted(data_type):
            if not any(covers(r.on, data_type, message_type) and _may(r.when, message_type) for r in applying):
                report.say(messages.ROUTE_GAP.at(place, domain=ground.name, word=message_type))


def covers(on: Applies, data_type: str | None, message_type: str | None) -> bool:
    """Whether a statement applies to a submission of that data type and type."""
    return (not on.data_types or data_type in on.data_types) and (not on.types or message_type in on.types)


def _may(test: Test | None, message_type: str) -> bool:
    return test is None or possible(test, message_type) is not False


def possible(test: Test, message_type: str) -> bool | None:
    """What a condition says of a message type alone: true, false, or None where it depends on more."""
    return _POSSIBLE[type(test)](test, message_type) if type(test) in _POSSIBLE else None


def _possible_chain(test: Chain, message_type: str) -> bool | None:
    answers = [possible(part, message_type) for part in test.parts]
    deciding = test.word == "or"
    if deciding in answers:
        return deciding
    return None if None in answers else not deciding


def _possible_not(test: Not, message_type: str) -> bool | None:
    inner = possible(test.part, message_type)
    return None if inner is None else not inner


def _possible_named(test: Named, message_type: str) -> bool | None:
    return None if test.test is None else possible(test.test, message_type)


def _possible_equal(test: Equal, message_type: str) -> bool | None:
    if not _is_type(test.left) or not isinstance(test.right, LiteralNode):
        return None
    return (test.right.value == message_type) is not test.negated


def _possible_member(test: Member, message_type: str) -> bool | None:
    options = [o.value for o in test.options if isinstance(o, LiteralNode)]
    return message_type in options if _is_type(test.left) and len(options) == len(test.options) else None


def _is_type(operand: Operand) -> bool:
    return isinstance(operand, FactLeaf) and operand.name == "message.type"


# the others read more than the message type
_POSSIBLE: Mapping[type, Callable[[Any, str], bool | None]] = {
    Chain: _possible_chain,
    Not: _possible_not,
    Named: _possible_named,
    Equal: _possible_equal,
    Member: _possible_member,
}
