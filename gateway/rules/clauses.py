"""Clauses of one statement, taken by kind; what is wrong with them is collected."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeVar

from gateway.language import messages
from gateway.language.nodes import Word
from gateway.rules.nodes import Said, Statement
from gateway.source import Diagnostic, nearest

C = TypeVar("C")

_UNITS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(slots=True)
class Report:
    """What was found so far, over all files."""

    diagnostics: list[Diagnostic] = field(default_factory=list)

    def say(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic."""
        self.diagnostics.append(diagnostic)


def every(statement: Statement, kind: type[C]) -> tuple[C, ...]:
    """All clauses of a shape, in order."""
    return tuple(clause for clause in statement.clauses if isinstance(clause, kind))


def one(statement: Statement, kind: type[C], report: Report, name: str | None = None) -> C | None:
    """The only clause of a shape (and name); a second one is an error, the first counts."""
    found: C | None = None
    for clause in statement.clauses:
        if isinstance(clause, kind) and (name is None or clause.kind == name):
            if found is None:
                found = clause
            else:
                report.say(messages.TWICE.at(clause.span, word=clause.kind))
    return found


def said(statement: Statement, name: str, report: Report) -> Said | None:
    """The only clause of words of that name."""
    return one(statement, Said, report, name)


def words(statement: Statement, name: str, report: Report) -> tuple[Word, ...]:
    """Words of the only clause of that name; none where it is missing."""
    clause = said(statement, name, report)
    return () if clause is None else clause.words


def missing(statement: Statement, clause: str, report: Report, hint: str) -> None:
    """Say that a clause is missing."""
    report.say(
        messages.MISSING.at(statement.name.span, hint, kind=statement.kind, word=statement.name.text, clause=clause)
    )


def choose(word: Word, known: Iterable[str], kind: str, report: Report) -> str | None:
    """One of a few words; anything else is an error that suggests the nearest."""
    names = tuple(known)
    if word.text in names:
        return word.text
    near = nearest(word.text, names)
    hint = f"did you mean `{near}`?" if near else "it is one of " + ", ".join(f"`{n}`" for n in names)
    report.say(messages.NOT_ONE_OF.at(word.span, hint, word=word.text, kind=kind))
    return None


def declared(word: Word, known: Iterable[str], kind: str, report: Report) -> str | None:
    """A declared name; anything else is an error that suggests the nearest."""
    names = tuple(known)
    name = word.text.upper() if kind == "organisation" else word.text
    if name in names:
        return name
    near = nearest(word.text, names)
    shown = near.lower() if near and kind == "organisation" and word.text.islower() else near
    hint = f"did you mean `{shown}`?" if shown else f"declare it: `{kind} {word.text} ...`"
    report.say(messages.UNDECLARED.at(word.span, hint, kind=kind, word=word.text))
    return None


def day(word: Word, report: Report) -> date | None:
    """A day as `2027-03-31`."""
    if _DAY.fullmatch(word.text):
        with contextlib.suppress(ValueError):  # a form that is right and a day that there is not
            return date.fromisoformat(word.text)
    report.say(messages.BAD_DAY.at(word.span, word=word.text))
    return None


def duration(count: Word, unit: Word, report: Report) -> timedelta | None:
    """A length of time as `7 days`. Units: the two words give it."""
    seconds = _UNITS.get(unit.text.removesuffix("s"))
    if seconds is None or not re.fullmatch(r"[1-9]\d{0,3}", count.text):
        near = nearest(unit.text, [unit + "s" for unit in _UNITS]) if seconds is None else None
        hint = f"did you mean `{near}`?" if near else None
        report.say(messages.BAD_DURATION.at(count.span, hint, word=f"{count.text} {unit.text}"))
        return None
    return timedelta(seconds=int(count.text) * seconds)
