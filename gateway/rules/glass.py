"""`route ... on break-glass`, checked: where uses of broken glass are told.

Source: `rules-language.md` of the design, meaning 13: each use is an audit event of its own and can be routed.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.language.check import check as check_test
from gateway.language.nodes import BreaksGlass, Named, Test, parts
from gateway.rules import messages
from gateway.rules.clauses import Report, every, one
from gateway.rules.declared import Applies, Route, RouteTarget
from gateway.rules.flow import targets
from gateway.rules.grants import because
from gateway.rules.ground import Ground, resource_type
from gateway.rules.nodes import GLASS, Asked, InOrder, On, Said, Statement
from gateway.rules.reading import PATIENT, reads
from gateway.source import Span


def is_of_glass(statement: Statement) -> bool:
    """Whether a `route` leads uses of broken glass, and no submissions."""
    return any(word.text == GLASS for on in every(statement, On)[:1] for word in on.data_types)


def route(statement: Statement, ground: Ground, report: Report) -> Route | None:
    """One `route ... on break-glass`; None where it can't be used."""
    clause = one(statement, On, report)
    words = () if clause is None else clause.types
    types = tuple(word.text for word in words if resource_type(word, ground.vocabulary, report))
    on = Applies((GLASS,), types)
    when = _when(statement, ground, on, report)
    if when is not None and PATIENT in reads(when):
        for word in words:
            if word.text in types and not ground.vocabulary.elements.in_patient_compartment(word.text):
                report.say(messages.NO_PATIENT.at(word.span, word=word.text))
    order = one(statement, InOrder, report)
    if order is not None:
        report.say(messages.GLASS_ORDER.at(order.span))
    for failure in every(statement, Said):
        if failure.kind == "on failure" and failure.words[0].text == "reject":
            report.say(messages.GLASS_REJECT.at(failure.span))
    led: tuple[RouteTarget, ...] = targets(statement, on, ground, report)
    if not led or len(types) < len(words):
        return None
    reason = because(statement, ground, report)
    return Route(statement.name.text, statement.title, on, when, led, None, reason, statement.span)


def _when(statement: Statement, ground: Ground, on: Applies, report: Report) -> Test | None:
    """The condition: of the request, and of what was shown; absence is spelled out, or a use could go untold."""
    clause = one(statement, Asked, report)
    if clause is None:
        return None
    # of any type, what all types have can be read, as `resource. ...`
    checked = check_test(clause.test, ground.scope(on, "spelled", ingest=False, resources=on.types or ("Resource",)))
    report.diagnostics.extend(checked.diagnostics)
    for span in () if checked.test is None else _asks_glass(checked.test):
        report.say(messages.GLASS_SAID.at(span))
    return checked.test


def _asks_glass(test: Test) -> Iterator[Span]:
    """Where a condition asks whether glass is broken; of a named one, where its name stands."""
    if isinstance(test, BreaksGlass):
        yield test.span
    for part in parts(test):
        found = tuple(_asks_glass(part))
        yield from (test.span,) if found and isinstance(test, Named) else found
