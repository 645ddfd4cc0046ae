"""Bars: what was measured beside what it has to be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. Shape: `measured` and `bar` as they are shown."""

    what: str
    measured: str
    bar: str
    met: bool


def at_least(what: str, value: float, bar: float, form: str = ",.0f") -> Bar:
    """A value that has to reach its bar. Shape: `form` is how the value is shown; the bar as it is written."""
    return Bar(what, format(value, form), f">= {_shown(bar, form)}", value >= bar)


def below(what: str, value: float, bar: float, form: str = ",.1f") -> Bar:
    """A value that has to stay below its bar."""
    return Bar(what, format(value, form), f"< {_shown(bar, form)}", value < bar)


def _shown(bar: float, form: str) -> str:
    return format(bar, ".0%") if form.endswith("%") else f"{bar:,g}"


def table(bars: Iterable[Bar]) -> list[str]:
    """Bars as Markdown, and whether each was met."""
    rows = [f"| {one.what} | {one.measured} | {one.bar} | {'yes' if one.met else 'NO'} |" for one in bars]
    return ["", "| what | measured | bar | met |", "|---|---|---|---|", *rows]
