"""`require message conforms`, `require resource conforms`: a check's own way with departures from the standard.

What it tells of them is here too: each departure on its own.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.fhir import Resource
from gateway.finding import Finding
from gateway.hl7v2 import Message
from gateway.hl7v2.conformance import KINDS, MOST, USER_TABLE, Conformance, more, severity_of
from gateway.language import messages
from gateway.language.asking import MESSAGE
from gateway.language.nodes import Conforms, Test, Word
from gateway.rules.clauses import Report, choose, every
from gateway.rules.declared import SEVERITIES, Holding, Judging, Severity
from gateway.rules.nodes import Said, Statement

Excepted = dict[str, Severity | None]
"""What a check says itself of kinds of departures: a severity, or None for what it ignores."""

IGNORED = "ignored"
"""What an `except` says of departures that are not told."""


def exceptions(statement: Statement, report: Report, *, judges: bool) -> Excepted:
    """What the `except` clauses of a check say, by kind: a severity, or None for `ignored`.

    Shape: `judges` is whether the check judges by kind; if not, such a clause means nothing.
    """
    found: Excepted = {}
    for clause in every(statement, Said):
        if clause.kind != "except":
            continue
        if not judges:
            report.say(messages.NOTHING_BY_KIND.at(clause.span, word=statement.name.text))
            continue
        *kinds, chosen = clause.words
        severity = choose(chosen, (*SEVERITIES, IGNORED), "severity", report)
        for word in kinds:
            kind = choose(word, KINDS, "kind of departure from the standard", report)
            if kind in found:
                report.say(messages.TWICE.at(word.span, word=word.text))
            elif kind is not None and severity is not None:
                found[kind] = next((one for one in SEVERITIES if one == severity), None)
    return found


def is_judging(test: Test) -> bool:
    """Whether a requirement, as written, is that the message conforms and nothing else."""
    return isinstance(test, Conforms) and isinstance(test.operand, Word) and test.operand.text == MESSAGE


def is_holding(test: Test) -> bool:
    """Whether a requirement, as written, is that a resource conforms and nothing else."""
    return isinstance(test, Conforms) and not is_judging(test)


def holding(test: Test, severity: Severity, code: str | None, *, worded: bool) -> Holding | None:
    """How a check tells of a resource's departures. Shape: `test` is resolved."""
    if not isinstance(test, Conforms) or test.departures is None:
        return None
    return Holding(test.departures, severity, code, worded)


def departed(how: Holding, rule: str, resource: Resource, words: str) -> tuple[Finding, ...]:
    """What a check finds in a resource: each departure. Shape: as `found`."""
    departures = sorted(how.departures(resource), key=lambda one: one.severity != "error")
    told = tuple(_told(how, rule, one, words) for one in departures[:MOST])
    if len(departures) > MOST:
        return (*told, Finding("information", "informational", more(MOST), None, rule))
    return told


def _told(how: Holding, rule: str, departure: Finding, words: str) -> Finding:
    """A departure as the check tells it; what the standard warns of is no error, whatever the check says."""
    severity = how.severity
    if departure.severity != "error" and severity == "error":
        severity = "warning"
    text = f"{words}: {departure.diagnostics}" if words else departure.diagnostics
    return Finding(severity, how.code or departure.code, text, departure.expression, rule)


def judging(
    conformance: Conformance, excepted: Excepted, severity: Severity, code: str | None, *, worded: bool
) -> Judging:
    """How a check tells of departures. Shape: `severity` is what its `otherwise` says."""
    told = {kind: excepted[kind] if kind in excepted else severity_of(kind, severity) for kind in KINDS}
    severities: dict[str, Severity] = {kind: one for kind, one in told.items() if one is not None and one != "fatal"}
    return Judging(conformance, severities, excepted, code, worded)


def found(how: Judging, rule: str, message: Message, words: str) -> tuple[Finding, ...]:
    """What a check finds in a message: each departure that it tells. Shape: `words` stand before each, unless empty.

    At most `MOST` are told, and then that there are more; that there is an error among those is never left out.
    """
    told: list[Finding] = []
    refused = beyond = False
    for one in how.conformance.departures(message, suggested=USER_TABLE in how.severities):
        severity = how.severities.get(one.kind)
        if severity is None:
            continue
        beyond = len(told) >= MOST
        if beyond and refused:
            break
        if beyond and severity != "error":
            continue
        refused = severity == "error" or refused
        finding = one.finding(severity, rule, how.code)
        told[MOST - 1 :] = [replace(finding, diagnostics=f"{words}: {finding.diagnostics}") if words else finding]
    if beyond:
        told.append(Finding("information", "informational", more(MOST), None, rule))
    return tuple(told)
