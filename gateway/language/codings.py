"""What resources hold in several elements at once: codings, quantities, a patient's birth date and NHS numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from gateway.language.functions import EvaluationError
from gateway.language.kinds import Quantity
from gateway.language.lists import CodeList, NamedList, spelled
from gateway.language.systems import may_be

UNCLEAR = "a coding names no system, or may name this one in another way"
UCUM = "http://unitsofmeasure.org"


def codings(value: object) -> Iterator[tuple[str | None, str]]:
    """System and code of every coding of a Coding, a CodeableConcept, or several of them; None holds none.

    Errors: EvaluationError where it is something else.
    Source: FHIR R4 Coding, CodeableConcept.
    """
    values = value if isinstance(value, list | tuple) else () if value is None else (value,)
    for one in values:
        if not isinstance(one, Mapping):
            raise EvaluationError("an element is not of its type")
        # what has a code or a system itself is a Coding
        inner = (one,) if "code" in one or "system" in one else one.get("coding", ())
        if not isinstance(inner, list | tuple):
            raise EvaluationError("an element is not of its type")
        for coding in inner:
            yield from _coding(coding)


def _coding(coding: object) -> Iterator[tuple[str | None, str]]:
    if not isinstance(coding, Mapping):
        raise EvaluationError("an element is not of its type")
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str | None) or not isinstance(code, str | None):
        raise EvaluationError("an element is not of its type")
    if code is not None:  # a coding of words alone has no code
        yield system, code


def has_code(value: object, code: str, system: str) -> bool:
    """Whether some coding is of this code and system.

    Errors: EvaluationError where only one is of this code that names its system not at all, or in another way.
    """
    unclear = False
    for found, own in codings(value):
        if own == code:
            if found == system:
                return True
            unclear = unclear or may_be(found, system)
    if unclear:
        raise EvaluationError(UNCLEAR)
    return False


def has_listed_code(value: object, listing: CodeList) -> bool:
    """Whether some coding is among declared codes.

    Errors: EvaluationError where the codes are missing, and where only a coding is of one of them that names its system
    not at all, or in another way.
    """
    unclear = False
    found = list(codings(value))
    for system, code in found:
        if listing.holds(system, code):
            return True
        unclear = unclear or listing.may_hold(system, code)
    if not found:
        listing.holds(None, None)  # a list that is missing has no answer for nothing either
    if unclear:
        raise EvaluationError(UNCLEAR)
    return False


def listed(value: str | None, listing: NamedList, today: date) -> bool:
    """Whether a text is in a list; one that is absent is not.

    Errors: EvaluationError where the list is missing or stale, and where the text is not of the list's form.
    """
    listing.usable(today)
    return value is not None and listing.holds(spelled(listing.form, value), today)


def patient_listed(patient: Mapping[str, Any], listing: NamedList, today: date, system: str) -> bool:
    """Whether a Patient is in a list of NHS numbers. Shape: `system` is that of NHS numbers.

    Errors: EvaluationError as in `listed`, and where the Patient has no NHS number.
    """
    numbers = list(_identifiers(patient, system))
    if not numbers:
        raise EvaluationError("a patient has no NHS number")
    return any([listed(number, listing, today) for number in numbers])  # noqa: C419 - each is asked, so that a bad one errs


def _identifiers(patient: Mapping[str, Any], system: str) -> Iterator[str]:
    found = patient.get("identifier", ())
    if not isinstance(found, list | tuple):
        raise EvaluationError("an element is not of its type")
    for identifier in found:
        if not isinstance(identifier, Mapping):
            raise EvaluationError("an element is not of its type")
        if identifier.get("system") == system and identifier.get("value") is not None:
            yield identifier["value"]


def birth_date(patient: object) -> str:
    """Birth date of a Patient. Errors: EvaluationError where there is none."""
    found = patient.get("birthDate") if isinstance(patient, Mapping) else None
    if not isinstance(found, str):
        raise EvaluationError("a patient has no birth date")
    return found


def quantity(value: object) -> Quantity:
    """A FHIR Quantity as number and UCUM code.

    Errors: EvaluationError where it has no number or no UCUM code, or stands for more or less than it says.
    Source: FHIR R4 Quantity.
    """
    if not isinstance(value, Mapping) or "comparator" in value or value.get("system") != UCUM:
        raise EvaluationError("a quantity has no UCUM unit")
    number, code = value.get("value"), value.get("code")
    if isinstance(number, bool) or not isinstance(number, int | Decimal) or not isinstance(code, str):
        raise EvaluationError("a quantity has no number or no unit")
    return Quantity(Decimal(number), code)


def difference(left: Quantity, right: Quantity) -> Decimal:
    """By how much one quantity is more than another.

    Errors: EvaluationError where their units differ; nothing is converted.
    """
    if left.unit != right.unit:
        raise EvaluationError("two quantities are of different units")
    return left.number - right.number


def equals_one(value: Quantity, options: Iterable[Quantity]) -> bool:
    """Whether a quantity is one of several. Errors: EvaluationError where a unit differs."""
    return any(difference(value, option) == 0 for option in options)
