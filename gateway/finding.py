"""What is wrong, or worth telling, about a submission or a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One issue of an OperationOutcome, or one ERR segment.

    Shape: `severity` and `code` are FHIR's (issue-severity, issue-type); `diagnostics` is for people and holds no
    quote, backslash, line break or HL7 delimiter of the gateway's own; `expression` is the place
    (`PID-3[1].1`, `Patient.birthDate`, `source-domain`); `rule` the rule or reader code that found it (`EC-C1`).
    Source: https://hl7.org/fhir/R4/operationoutcome.html
    """

    severity: Severity
    code: str
    diagnostics: str
    expression: str | None = None
    rule: str | None = None


def refuses(findings: tuple[Finding, ...]) -> bool:
    """Whether any finding is an error, so that the submission may not go on."""
    return any(f.severity in {"error", "fatal"} for f in findings)
