"""What expressions call while they run: predicates, and readings of text as number, date and instant.

A value of the wrong kind is an `EvaluationError`: the rule errs, which is never the same as "no match".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from gateway.fhir.identity import valid_nhs_number
from gateway.language.kinds import Kind
from gateway.language.predicates import ods_code, snomed_concept, uk_postcode

LONDON = ZoneInfo("Europe/London")
"""The zone of days, and of times without an offset."""


class EvaluationError(Exception):
    """A condition that could not be decided; its text says why, without the value."""


# what a condition may raise when a value is not what its type says; the caller makes the rule err
ERRORS: tuple[type[Exception], ...] = (
    EvaluationError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A predicate on the caller in words: what follows is among an attribute of the caller.

    Shape: `right` is the kind of what follows; `by` is the attribute of the request by whose value the caller's is
    looked up.
    """

    right: Kind
    attribute: str
    by: str | None = None


PHRASES: Mapping[str, Phrase] = {
    "connects as": Phrase("organisation", "connects_as"),
    "sends as": Phrase("organisation", "sends_as"),
    "sends category": Phrase("category", "categories", by="domain"),
    "has role": Phrase("role", "roles"),
}


_SCOTLANDS = ("010", "311")  # its numbers begin with a birth date


def _sums(*weights: int) -> dict[str, int]:
    """Weighted sum of the digits, for every group of three."""
    digits = [f"{number:03}" for number in range(1000)]
    return {text: sum(w * int(digit) for w, digit in zip(weights, text, strict=True)) for text in digits}


_FIRST = {text: total for text, total in _sums(10, 9, 8).items() if not _SCOTLANDS[0] <= text <= _SCOTLANDS[1]}
_SECOND, _THIRD = _sums(7, 6, 5), _sums(4, 3, 2)
_CHECKS = ("0", None, *"987654321")  # by what is left of the sum over eleven; a check digit of 10 is none
_EQUAL = frozenset(digit * 10 for digit in "0123456789")


def nhs_number(text: str) -> bool:
    """Whether a text is a valid NHS number, in any spelling that the gateway takes.

    Ten digits outside of Scotland's range, which is how messages have it, are summed here by three at a time: the
    package that `valid_nhs_number` asks takes longer than all other rules of a message together. A test holds the two
    together.
    Source: NHS Data Dictionary, NHS NUMBER, modulus 11.
    """
    try:
        total = _FIRST[text[:3]] + _SECOND[text[3:6]] + _THIRD[text[6:9]]
    except KeyError:
        return valid_nhs_number(text)
    return text[9:] == _CHECKS[total % 11] and text not in _EQUAL


def number(value: object) -> Decimal:
    """A value as a number.

    Errors: EvaluationError where it is none.
    Source: HL7 v2 NM, FHIR decimal and integer.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    raise EvaluationError("a value is not a number")


_NUMBER = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})", re.ASCII)


def numeric(text: str) -> bool:
    """Whether a text is a number. Source: HL7 v2.5.1, 2.A.45 (NM)."""
    return _NUMBER.fullmatch(text) is not None


_HL7 = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(?:(\d{2})(?:\.\d{1,6})?)?)?([+-]\d{4})?", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?(Z|[+-]\d{2}:\d{2})?", re.ASCII)


def day(value: object) -> date:
    """A value as a day; of an instant, the day in Europe/London.

    Errors: EvaluationError where it is none, or tells less than the day.
    Source: HL7 v2 DT, DTM, TS; FHIR date, dateTime, instant.
    """
    if isinstance(value, datetime):
        return value.astimezone(LONDON).date()
    if isinstance(value, date):
        return value
    match = (_HL7.fullmatch(value) or _ISO.fullmatch(value)) if isinstance(value, str) else None
    if match is None:
        raise EvaluationError("a value is not a date")
    if match[7] and match[4]:
        return moment(value).astimezone(LONDON).date()
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError as error:
        raise EvaluationError("a value is not a date") from error


def among(value: object, values: Iterable[object], convert: Callable[[object], object]) -> bool:
    """Whether a value is one of several, each read as number, day or instant.

    Errors: EvaluationError where one is none.
    """
    return any([convert(one) == value for one in values])  # noqa: C419 - each is read, so that a bad one errs


def starts(value: object, prefix: str) -> bool:
    """Whether a text starts with another, letter for letter. Errors: EvaluationError where it is no text."""
    if not isinstance(value, str):
        raise EvaluationError("a value is not a text")
    return value.startswith(prefix)


def is_date(text: str) -> bool:
    """Whether a text is a day of the calendar, or an instant of one."""
    try:
        day(text)
    except EvaluationError:
        return False
    return True


PREDICATES: Mapping[str, Callable[[Any], bool]] = {
    "nhs-number": nhs_number,
    "numeric": numeric,
    "ods-code": ods_code,
    "uk-postcode": uk_postcode,
    "snomed-concept": snomed_concept,
    "date": is_date,
}
"""What may follow `is`, by name; each takes one text."""


def moment(value: object) -> datetime:
    """A value as an instant; without an offset it is Europe/London's, without a time the day's start.

    Errors: EvaluationError where it is none.
    Source: HL7 v2 DTM, TS; FHIR dateTime, instant.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=LONDON)
    match = (_HL7.fullmatch(value) or _ISO.fullmatch(value)) if isinstance(value, str) else None
    if match is None:
        raise EvaluationError("a value is not an instant")
    year, month, dayth, hour, minute, second = (int(match[i] or 0) for i in range(1, 7))
    try:
        return datetime(year, month, dayth, hour, minute, second, tzinfo=_zone(match[7]))
    except ValueError as error:
        raise EvaluationError("a value is not an instant") from error


def _zone(offset: str | None) -> timezone | ZoneInfo:
    if offset is None:
        return LONDON
    if offset == "Z":
        return UTC
    digits = offset[1:].replace(":", "")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-span if offset[0] == "-" else span)


def elements(resource: Mapping[str, Any], steps: Sequence[str]) -> list[Any]:
    """Every value at a path of a resource, lists opened at each step.

    Errors: EvaluationError where a step goes into a value that has no elements.
    """
    found: list[Any] = [resource]
    for step in steps:
        below: list[Any] = []
        for item in found:
            if not isinstance(item, dict):
                raise EvaluationError("an element is not of its type")
            for value in _members(item, step):
                if isinstance(value, list):
                    below.extend(value)
                elif value is not None:
                    below.append(value)
        found = below
    return found


def _members(item: Mapping[str, Any], step: str) -> list[Any]:
    """The member of a name; of a choice as a whole, those by each of its types."""
    if not step.endswith("[x]"):
        return [item.get(step)]
    stem = step[:-3]
    return [
        value for name, value in item.items() if name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper()
    ]


def organisation_code(reference: object, system: str) -> str | None:
    """ODS code that a Reference(Organization) points to, upper case; None where it tells none.

    Shape: `system` is that of identifiers which are ODS codes.
    Errors: EvaluationError where it is no Reference.
    Source: FHIR R4 Reference; the gateway's Organization ids are ODS codes.
    """
    if not isinstance(reference, dict):
        raise EvaluationError("an element is not a reference")
    target = reference.get("reference")
    if isinstance(target, str):
        match = _ORGANISATION.fullmatch(target)
        if match is not None:
            return match[1].upper()
    identifier = reference.get("identifier")
    if isinstance(identifier, dict) and identifier.get("system") == system:
        code = identifier.get("value")
        return code.upper() if isinstance(code, str) else None
    return None


# relative alone: what another server calls Organization/R0D is not known to be the ODS code R0D
_ORGANISATION = re.compile(r"Organization/([A-Za-z0-9.-]{1,64})(?:/_history/.+)?")
