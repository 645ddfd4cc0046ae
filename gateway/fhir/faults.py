"""What checks find, before it is known where: places grow from the inside out, so that what is right costs none."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.finding import Severity

Fault = tuple[str, Severity, str, str, str]
"""Place below what was checked (`.name[0].family`, `[2]`, empty: itself), severity, issue type, rule, words."""
Faults = Sequence[Fault]
"""In the order of the members. What is right is an empty tuple, made once."""

_LONGEST_SHOWN = 60


def fault(code: str, rule: str, words: str, place: str = "", severity: Severity = "error") -> tuple[Fault]:
    """One fault."""
    return ((place, severity, code, rule, words),)


def below(place: str, faults: Faults) -> list[Fault]:
    """The same faults, seen from one step further out."""
    return [(place + own, severity, code, rule, words) for own, severity, code, rule, words in faults]


def shown(value: object) -> str:
    """A sender's value, cut where it is long."""
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
