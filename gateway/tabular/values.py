"""Texts of cells to the values of their columns.

A reader takes a text that isn't empty, without blanks at its ends, and gives the value or the words of what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import re2

from gateway.tabular.layout import Column, Value

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text is no value of its column. Shape: `code` is FHIR's issue type."""

    words: str
    code: str = "value"


Read = Callable[[str], Value | Fault]


@dataclass(frozen=True, slots=True)
class Known:
    """The codes of a code map.

    Shape: `find` answers None for a code that it has not; `codes` are all of them, None where there are patterns.
    """

    find: Callable[[str], object]
    codes: frozenset[str] | None


TOKENS = {
    "YYYY": r"(?P<YYYY>\d{4})",
    "MM": r"(?P<MM>\d{2})",
    "DD": r"(?P<DD>\d{2})",
    "hh": r"(?P<hh>\d{2})",
    "mm": r"(?P<mm>\d{2})",
    "ss": r"(?P<ss>\d{2})",
    "ZZ": r"(?P<ZZ>Z|[+-]\d{2}:?\d{2})",
}
"""What forms of dates are made of."""

NEEDS = {"date": frozenset({"YYYY", "MM", "DD"}), "instant": frozenset({"YYYY", "MM", "DD", "hh", "mm"})}
_TOKEN = re.compile("|".join(TOKENS))
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)


def shown(text: str) -> str:
    """A sender's text as the words of a fault hold it."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def tokens(form: str) -> tuple[str, ...]:
    """The parts of a form of dates, in its order."""
    return tuple(_TOKEN.findall(form))


def compiled(form: str) -> re.Pattern[str]:
    """A form as a regular expression; each part may stand once."""
    at, parts = 0, []
    for match in _TOKEN.finditer(form):
        parts += [re.escape(form[at : match.start()]), TOKENS[match[0]]]
        at = match.end()
    return re.compile("".join([*parts, re.escape(form[at:])]), re.ASCII)


def reader(column: Column, zone: str, known: Known | None) -> Read:
    """What reads the cells of a column; `known` is the code map of a code."""
    match column.kind:
        case "text":
            return _text(column)
        case "code":
            return _code(column, known)
        case "boolean":
            return _boolean(column)
        case "integer":
            return _integer
        case "decimal":
            return _decimal
        case _:
            return _timed(column, zone)


def _text(column: Column) -> Read:
    longest = column.longest
    matches = re2.compile(column.pattern).fullmatch if column.pattern is not None else None

    def read(text: str) -> Value | Fault:
        if longest is not None and len(text) > longest:
            return Fault(f"{shown(text)} has {len(text)} characters; at most {longest} are taken", "too-long")
        if matches is not None and not matches(text):
            return Fault(f"{shown(text)} is not of the form {column.pattern}")
        return text

    return read


def _code(column: Column, known: Known | None) -> Read:
    def read(text: str) -> Value | Fault:
        if known is None or known.find(text) is None:
            return Fault(f"{shown(text)} is no code of {column.codes}", "code-invalid")
        return text

    return read


def _boolean(column: Column) -> Read:
    meanings = dict.fromkeys(column.true, True) | dict.fromkeys(column.false, False)
    listed = ", ".join(meanings)

    def read(text: str) -> Value | Fault:
        found = meanings.get(text)
        return found if found is not None else Fault(f"{shown(text)} is none of {listed}")

    return read


def _integer(text: str) -> Value | Fault:
    return int(text) if _INTEGER.fullmatch(text) else Fault(f"{shown(text)} is no whole number")


def _decimal(text: str) -> Value | Fault:
    return Decimal(text) if _DECIMAL.fullmatch(text) else Fault(f"{shown(text)} is no number")


def _timed(column: Column, zone: str) -> Read:
    forms = [compiled(form) for form in column.formats]
    listed = " or ".join(column.formats)
    london = ZoneInfo(zone)

    def read(text: str) -> Value | Fault:
        for form in forms:
            match = form.fullmatch(text)
            if match is not None:
                try:
                    return _moment(match.groupdict(), london) if column.kind == "instant" else _day(match.groupdict())
                except (ValueError, OverflowError):
                    return Fault(f"{shown(text)} is no day and time of the calendar")
        return Fault(f"{shown(text)} is not of the form {listed}")

    return read


def _day(parts: dict[str, str]) -> date:
    return date(int(parts["YYYY"]), int(parts["MM"]), int(parts["DD"]))


def _moment(parts: dict[str, str], zone: ZoneInfo) -> datetime:
    offset = parts.get("ZZ")
    return datetime(
        int(parts["YYYY"]), int(parts["MM"]), int(parts["DD"]), int(parts["hh"]), int(parts["mm"]),
        int(parts.get("ss") or 0), tzinfo=zone if offset is None else _offset(offset),
    )  # fmt: skip


def _offset(text: str) -> timezone:
    if text == "Z":
        return timezone.utc  # noqa: UP017 - one type for both branches
    hours, minutes = int(text[1:3]), int(text[-2:])
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if text[0] == "-" else span)
