"""Checks of primitives: JSON type, format, range, calendar, required codes.

Source: https://hl7.org/fhir/R4/datatypes.html#primitive, https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal
from typing import Any

import re2

from gateway.fhir.faults import Faults, fault, shown
from gateway.source import nearest

Check = Callable[[Any, object], Faults]
"""What is wrong with a primitive's value; empty where nothing is. All checks have a second argument, unused here."""

_INTEGERS = {"integer": -(2**31 - 1), "positiveInt": 1, "unsignedInt": 0}
"""The least that each holds; the most is the same for all. Source: https://hl7.org/fhir/R4/datatypes.html#integer"""
_LARGEST = 2**31 - 1
_DATED = frozenset({"date", "dateTime", "instant"})
# the standard's own expression for base64 takes exponential time with an engine that tries again
_RETRIED = frozenset({"base64Binary"})
_NONE: Faults = ()


def check_of(code: str, form: str | None, allowed: AbstractSet[str] | None, value_set: str | None) -> Check:
    """The check of a primitive type with a format, and with the codes of a required binding."""
    if code == "boolean":
        return _boolean
    if code in _INTEGERS:
        return _integer(code)
    if code == "decimal":
        return _decimal
    fits = _format(code, form)
    if allowed is not None and value_set is not None:
        return _code(code, fits, allowed, value_set)
    return _dated(code, fits) if code in _DATED else _text(code, fits)


def _format(code: str, form: str | None) -> Callable[[str], object]:
    if form is None:
        return lambda _: True
    # as in the standard's flavour of regular expressions, blanks are those of ASCII
    return re2.compile(form).fullmatch if code in _RETRIED else re.compile(form, re.ASCII).fullmatch


def format_of(code: str, form: str | None) -> Callable[[str], object]:
    """Whether a text has the format of a primitive type."""
    return _format(code, form)


def _kind(code: str, kind: str) -> Faults:
    return fault("structure", "FHIR-JSON", f"{code} is {kind} in JSON")


def _boolean(value: Any, _: object) -> Faults:
    return _NONE if value is True or value is False else _kind("boolean", "true or false")


def _integer(code: str) -> Check:
    least = _INTEGERS[code]

    def check(value: Any, _: object) -> Faults:
        if type(value) is not int:
            return _kind(code, "a whole number")
        if least <= value <= _LARGEST:
            return _NONE
        if abs(value) > _LARGEST:
            return fault("value", "FHIR-FORMAT", f"`{shown(value)}` is beyond what a {code} holds")
        return _no(value, code)

    return check


def _decimal(value: Any, _: object) -> Faults:
    if type(value) is int or (isinstance(value, Decimal) and value.is_finite()):
        return _NONE
    return _kind("decimal", "a number")


def _text(code: str, fits: Callable[[str], object]) -> Check:
    def check(value: Any, _: object) -> Faults:
        if type(value) is not str:
            return _kind(code, "a string")
        return _NONE if fits(value) else _no(value, code)

    return check


def _dated(code: str, fits: Callable[[str], object]) -> Check:
    def check(value: Any, _: object) -> Faults:
        if type(value) is not str:
            return _kind(code, "a string")
        if not fits(value):
            return _no(value, code)
        if len(value) >= 10 and not _in_calendar(value[:10]):  # noqa: PLR2004 - YYYY-MM-DD
            return fault("value", "FHIR-FORMAT", f"`{shown(value)}` is no day of the calendar")
        return _NONE

    return check


def _code(code: str, fits: Callable[[str], object], allowed: AbstractSet[str], value_set: str) -> Check:
    def check(value: Any, _: object) -> Faults:
        if type(value) is not str:
            return _kind(code, "a string")
        if value in allowed:
            return _NONE
        near = nearest(value, allowed)
        words = f"`{shown(value)}` is not in {value_set}" + (f": did you mean `{near}`?" if near else "")
        found = fault("code-invalid", "FHIR-CODE", words)
        return found if fits(value) else (*_no(value, code), *found)

    return check


def _no(value: object, code: str) -> Faults:
    return fault("value", "FHIR-FORMAT", f"`{shown(value)}` is not a {code}")


def _in_calendar(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True
