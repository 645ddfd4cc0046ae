"""Days, instants and lengths of time: moving one by the other, how long ago a day was, and ages.

A date may tell less than its day (`2010`, `201005`). Where the answer is the same for all days that it may mean, that
is the answer; where it isn't, it can't be told.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from gateway.language.functions import LONDON, EvaluationError, day, moment
from gateway.language.kinds import Unit

FINE: frozenset[Unit] = frozenset({"second", "minute", "hour"})
"""Units finer than a day."""

_SECONDS: Mapping[Unit, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MONTHS: Mapping[Unit, int] = {"month": 1, "year": 12}
_PARTIAL = re.compile(r"(\d{4})(?:-?(\d{2}))?", re.ASCII)


def moved_day(value: object, count: int, unit: Unit) -> date:
    """A day and so much time, `count` below 0 for earlier; of a month that has no such day, its last one.

    Errors: EvaluationError where the value is no day, or the calendar ends before.
    """
    return _day_moved(day(value), count, unit)


def moved_moment(value: object, count: int, unit: Unit) -> datetime:
    """An instant and so much time; days and longer are those of the calendar in Europe/London.

    Errors: EvaluationError where the value is no instant, or the calendar ends before.
    """
    start = moment(value)
    try:
        if unit in FINE:
            return start + timedelta(seconds=count * _SECONDS[unit])
        there = start.astimezone(LONDON)
        return datetime.combine(_day_moved(there.date(), count, unit), there.timetz())
    except OverflowError as error:
        raise EvaluationError("the calendar ends before") from error


def _day_moved(start: date, count: int, unit: Unit) -> date:
    try:
        if unit in _MONTHS:
            months = start.year * 12 + start.month - 1 + count * _MONTHS[unit]
            year, month = divmod(months, 12)
            return date(year, month + 1, min(start.day, _days_of(year, month + 1)))
        return start + timedelta(seconds=count * _SECONDS[unit])
    except (OverflowError, ValueError) as error:
        raise EvaluationError("the calendar ends before") from error


def _days_of(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def days(value: object) -> tuple[date, date]:
    """The first and the last day that a value may mean; of an instant, its day in Europe/London.

    Errors: EvaluationError where it is no date.
    Source: HL7 v2 DT and DTM, FHIR date and dateTime: both may end after the year or the month.
    """
    match = _PARTIAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        whole = day(value)
        return whole, whole
    year, month = int(match[1]), int(match[2] or 0)
    try:
        if month:
            return date(year, month, 1), date(year, month, _days_of(year, month))
        return date(year, 1, 1), date(year, 12, 31)
    except (ValueError, calendar.IllegalMonthError) as error:
        raise EvaluationError("a value is not a date") from error


_TIMED = re.compile(r"\d{8}\d{4}.*|\d{4}-\d{2}-\d{2}T.*", re.ASCII)


def instants(value: object) -> tuple[datetime, datetime]:
    """The first and the last instant that a value may mean: of one without a time, those of its days.

    Errors: EvaluationError where it is no date or instant.
    """
    if isinstance(value, datetime) or (isinstance(value, str) and _TIMED.fullmatch(value)):
        known = moment(value)
        return known, known
    first, last = days(value)
    return moment(first), moved_moment(moment(last), 1, "day") - timedelta(microseconds=1)


def within(value: object, count: int, unit: Unit, today: date, now: datetime) -> bool:
    """Whether a day or an instant is no longer ago than so much time, and not to come.

    Units: lengths in days and longer go by days, finer ones by instants.
    Errors: EvaluationError where the value is no date, or tells too little.
    """
    if unit in FINE:
        return _between(instants(value), moved_moment(now, -count, unit), now)
    return _between(days(value), moved_day(today, -count, unit), today)


def _between(span: tuple[Any, Any], first: Any, last: Any) -> bool:
    if first <= span[0] and span[1] <= last:
        return True
    if span[1] < first or span[0] > last:
        return False
    raise EvaluationError("a date tells too little")


def under_age(born: object, count: int, unit: Unit, today: date) -> bool:
    """Whether someone born on that day is not yet so old.

    Shape: an age is reached on the birthday; who was born on 29 February reaches it on 1 March of other years.
    Errors: EvaluationError where the value is no date, or tells too little.
    """
    oldest, youngest = days(born)
    if today < _reached(oldest, count, unit):
        return True
    if today >= _reached(youngest, count, unit):
        return False
    raise EvaluationError("a birth date tells too little")


def _reached(born: date, count: int, unit: Unit) -> date:
    found = _day_moved(born, count, unit)
    # a month that lacks the day ends before the age is reached
    return found if unit not in _MONTHS or found.day == born.day else _day_moved(found, 1, "day")


MOVES: Mapping[str, Callable[[object, int, Unit], date]] = {"date": moved_day, "instant": moved_moment}
"""How values of a kind are moved."""
