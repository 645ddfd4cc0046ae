"""What a target that answered 4xx said: its own issues, passed on with its name.

Nothing is taken for granted: a target may answer any bytes.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.finding import Finding
from gateway.interactions.refused import error
from gateway.upstream import Answer

MOST = 20


def issues(target: str, answer: Answer) -> tuple[Finding, ...]:
    """Findings of a target's refusal.

    Shape: the error issues of its OperationOutcome; one finding with the status where it sent none.
    """
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    told = body.get("issue") if isinstance(body, dict) else None
    listed = told if isinstance(told, list) else []
    faults = [
        issue for issue in listed if isinstance(issue, dict) and _text(issue.get("severity")) in {"error", "fatal"}
    ]
    found = tuple(_finding(target, issue) for issue in faults[:MOST])
    return found or (error("processing", f"target {target} refused it with status {answer.status}"),)


def _finding(target: str, issue: dict[str, Any]) -> Finding:
    details, expression = issue.get("details"), issue.get("expression")
    words = _text(issue.get("diagnostics")) or _text(details.get("text") if isinstance(details, dict) else None)
    place = _text(expression[0]) if isinstance(expression, list) and expression else ""
    return error(_text(issue.get("code")) or "processing", f"target {target}: {words or 'no words'}", place or None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
