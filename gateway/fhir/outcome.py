"""Findings as an OperationOutcome that fits into an acknowledgement.

Source: https://hl7.org/fhir/R4/operationoutcome.html; the limits and the shape are those of the gateway's interface.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

from gateway import specs
from gateway.fhir.cleaning import clean
from gateway.fhir.jsonformat import Resource, dump
from gateway.finding import Finding, Severity

MAX_ISSUES = 20
MAX_BYTES = 8192
_LONGEST_DIAGNOSTICS = 1000
_LONGEST_EXPRESSION = 200
_ISSUE_TYPES = specs.VALUE_SETS + "issue-type"
_OTHER_TYPE = "processing"
_SEVERITIES: tuple[Severity, ...] = ("fatal", "error", "warning", "information")


def operation_outcome(
    findings: Sequence[Finding],
    *,
    id: str,  # noqa: A002  the element's name
    last_updated: str,
    max_issues: int = MAX_ISSUES,
    max_bytes: int = MAX_BYTES,
) -> Resource:
    """OperationOutcome of the findings, the gravest first; those that don't fit are counted in a last issue.

    Shape: `details.coding[0].code` is the rule's id, `expression[0]` the place; a code that R4 doesn't know becomes
    `processing`. Without findings one issue says so, as the standard asks for one.
    Units: `max_bytes` of compact UTF-8 JSON; one issue stays whatever its size.
    """
    ordered = sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))
    issues = [_issue(finding) for finding in ordered]
    if not issues:
        issues = [_issue(Finding("information", "informational", "there is nothing to report"))]
    shown = min(len(issues), max_issues)
    while True:
        rest = ordered[shown:]
        outcome = _outcome([*issues[:shown], *([_issue(_counted(rest))] if rest else [])], id, last_updated)
        fits = len(outcome["issue"]) <= max_issues and len(dump(outcome)) <= max_bytes
        if fits or shown <= 1:
            return outcome
        shown -= 1


def _outcome(issues: list[Resource], identifier: str, last_updated: str) -> Resource:
    return {
        "resourceType": "OperationOutcome",
        "id": identifier,
        "meta": {"lastUpdated": last_updated},
        "issue": issues,
    }


def _issue(finding: Finding) -> Resource:
    issue: Resource = {"severity": finding.severity, "code": _issue_type(finding.code)}
    if finding.rule is not None:
        issue["details"] = {"coding": [{"code": _bounded(finding.rule, _LONGEST_EXPRESSION)}]}
    if finding.expression:
        issue["expression"] = [_bounded(finding.expression, _LONGEST_EXPRESSION)]
    if finding.diagnostics:
        issue["diagnostics"] = _bounded(finding.diagnostics, _LONGEST_DIAGNOSTICS)
    return issue


def _issue_type(code: str) -> str:
    """An issue type of R4; `processing` for what is none, since targets send what they like."""
    return code if code in _issue_types() else _OTHER_TYPE


@functools.cache
def _issue_types() -> frozenset[str]:
    return specs.fhir(specs.ROOT).codes[_ISSUE_TYPES]


def _bounded(text: str, longest: int) -> str:
    cleaned = clean(text)
    return cleaned if len(cleaned) <= longest else cleaned[: longest - 3] + "..."


def _counted(rest: Sequence[Finding]) -> Finding:
    numbers = Counter(finding.severity for finding in rest)
    listed = ", ".join(f"{numbers[severity]} {severity}" for severity in _SEVERITIES if numbers[severity])
    return Finding("information", "informational", f"{len(rest)} more issues are not shown: {listed}")
