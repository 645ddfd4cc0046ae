"""Conditions in words about texts, times, ages and quantities: values, absence, and what can't be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.language.check import check
from gateway.language.codings import UCUM
from gateway.language.compile import compile_test
from gateway.language.functions import ERRORS, LONDON, PREDICATES, EvaluationError
from gateway.language.kinds import Type
from gateway.language.moments import days, instants, moved_day, moved_moment, under_age
from tests.conditions import (
    SCOPE,
    encounter,
    of,
    patient,
    resolved,
    sent,
)
from tests.conformance.rules.support import message
from tests.unit.test_language_compile import SCOPE as PLAIN
from tests.unit.test_language_compile import Reader, tree

# --- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-05-15", True),
        ("2025-05-15", True),
        ("2025-05-14", False),
        ("2026-05-16", False),  # to come
        ("2026-05-14T23:30:00Z", True),
        ("2026-05-15T22:59:00Z", True),  # later today
        ("2026-05-15T23:30:00Z", False),  # tomorrow in London
        ("2026-03", True),
        ("2024", False),
        ("2027", False),
    ],
)
def test_within_months(start: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert of("Encounter.period.start within 12 months", encounter(period={"start": start})) is expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-05-15T12:00:00Z", True),
        ("2026-05-12T12:00:00Z", True),
        ("2026-05-12T11:59:59Z", False),
        ("2026-05-15T12:00:01Z", False),
        ("2026-05-13", True),
        ("2026-05-11", False),
    ],
)
def test_within_hours(start: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert of("Encounter.period.start within 72 hours", encounter(period={"start": start})) is expected


@pytest.mark.parametrize(
    ("length", "start"),
    [
        ("12 months", "2025"),
        ("12 months", "2025-05"),
        ("12 months", "2026"),
        ("12 months", "soon"),
        ("12 months", 5),
        ("72 hours", "2026-05-12"),
        ("72 hours", "2026-05-15"),
        ("9999 years", "2026-05-15"),
    ],
)
def test_what_tells_too_little_is_an_error(length: str, start: object) -> None:
    with pytest.raises(ERRORS):
        of(f"Encounter.period.start within {length}", encounter(period={"start": start}))


def test_moved_days_and_instants() -> None:
    born = patient(birthDate="2010-05-15")
    assert of("Patient.birthDate <= today - 16 years", born)
    assert not of("Patient.birthDate < today - 16 years", born)
    assert of("Patient.birthDate > today - 16 years", patient(birthDate="2010-05-16"))
    seen = encounter(period={"start": "2026-05-15T11:00:00Z"})
    assert of("Encounter.period.start > now - 90 minutes", seen)
    assert not of("Encounter.period.start > now - 30 minutes", seen)
    assert of("Encounter.period.start < now + 1 week", seen)
    assert of("Encounter.period.start > Encounter.period.start - 1 day", seen)
    assert not of("Encounter.period.start > Encounter.period.end - 1 day", seen)


def test_the_calendar_of_moves() -> None:
    assert moved_day("2024-02-29", -1, "year") == date(2023, 2, 28)
    assert moved_day("20260331", 1, "month") == date(2026, 4, 30)
    assert moved_day(date(2026, 1, 31), -3, "month") == date(2025, 10, 31)
    assert moved_day("2026-05-15", 2, "week") == date(2026, 5, 29)
    # the clocks go forward on 29 March 2026: a day later is the same time by the clock, 24 hours later is not
    before = datetime(2026, 3, 28, 12, tzinfo=LONDON)
    assert moved_moment(before, 1, "day").astimezone(UTC) - before.astimezone(UTC) == timedelta(hours=23)
    assert moved_moment(before, 24, "hour") - before == timedelta(hours=24)
    for value, unit in (("0001-01-01", "day"), ("0001-01-01", "month")):
        with pytest.raises(EvaluationError):
            moved_day(value, -1, unit)  # type: ignore[arg-type]  # units, from a table
    with pytest.raises(EvaluationError):
        moved_moment(datetime(1, 1, 1, tzinfo=UTC), -1, "hour")


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("202602", date(2026, 2, 1), date(2026, 2, 28)),
        ("2028-02", date(2028, 2, 1), date(2028, 2, 29)),
        ("20260515", date(2026, 5, 15), date(2026, 5, 15)),
        ("202605152330", date(2026, 5, 15), date(2026, 5, 15)),
        ("2026-05-15T23:30:00Z", date(2026, 5, 16), date(2026, 5, 16)),
    ],
)
def test_days_that_a_value_may_mean(value: str, first: date, last: date) -> None:
    assert days(value) == (first, last)


@pytest.mark.parametrize("value", ["", "20", "2026-13", "202613", "0000", "2026-5", 2026, None])
def test_what_is_no_day(value: object) -> None:
    with pytest.raises(EvaluationError):
        days(value)
    with pytest.raises(EvaluationError):
        instants(value)


# --- ages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("born", "under"),
    [
        ("2010-05-15", False),  # today is the birthday
        ("2010-05-16", True),
        ("2010-05-14", False),
        ("2011", True),
        ("2009", False),
        ("2010-06", True),
        ("2010-04", False),
        ("2027-01-01", True),  # not yet born: nobody is younger
    ],
)
def test_ages_of_patients(born: str, under: bool) -> None:  # noqa: FBT001 - a table's column
    someone = patient(birthDate=born)
    assert of("patient has age under 16 years", encounter(), someone) is under
    assert of("patient has age 16 years or over", encounter(), someone) is not under
    assert of("Patient.birthDate has age under 16 years", someone) is under


@pytest.mark.parametrize("born", ["2010", "2010-05", "soon", None, 2010])
def test_an_age_that_can_not_be_told_is_an_error(born: object) -> None:
    someone = patient() if born is None else patient(birthDate=born)
    for text in ("patient has age under 16 years", "not patient has age 16 years or over"):
        with pytest.raises(ERRORS):
            of(text, encounter(), someone)


def test_ages_in_other_units() -> None:
    assert of("patient has age under 6 months", encounter(), patient(birthDate="2025-11-16"))
    assert not of("patient has age under 6 months", encounter(), patient(birthDate="2025-11-15"))
    assert of("patient has age 28 days or over", encounter(), patient(birthDate="2026-04-17"))
    assert not of("patient has age 28 days or over", encounter(), patient(birthDate="2026-04-18"))


def test_who_was_born_on_29_february() -> None:
    assert under_age("2008-02-29", 18, "year", date(2026, 2, 28))
    assert not under_age("2008-02-29", 18, "year", date(2026, 3, 1))
    assert not under_age("2008-02-29", 16, "year", date(2024, 2, 29))
    assert under_age("2026-01-31", 1, "month", date(2026, 2, 28))
    assert not under_age("2026-01-31", 1, "month", date(2026, 3, 1))


def test_ages_of_messages() -> None:
    child = message("PID|1||9990000018^^^NHS^NH||||20150101")
    assert sent("PID-7.1 has age under 16 years", child)
    assert not sent("PID-7.1 has age under 16 years", message("PID|1||9990000018^^^NHS^NH"))
    assert sent("PID-7.1 has age under 16 years", message("PID|1"), "passes")


# --- texts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ('text starts with "ab"', "abc", True),
        ('text starts with "ab"', "ABC", False),
        ('text starts with "ab"', "xab", False),
        ('text matches "a+"', "aaa", True),
        ('text matches "a+"', "aab", False),  # the whole text
        ('text matches "(?i)a+|b"', "AA", True),
        ('text matches "(?i)a+|b"', "ba", False),
    ],
)
def test_texts(text: str, value: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert compile_test(resolved(text, PLAIN), Reader())({"text": value}) is expected
    for absent in ("false", "passes", "fails"):
        nothing = compile_test(resolved(text, PLAIN), Reader(), absent=absent)({})
        assert nothing is (absent == "passes")
    with pytest.raises(EvaluationError):
        compile_test(resolved(text, PLAIN), Reader())({"text": 5})


def test_lacks() -> None:
    assert of("caller.organisations lacks rdz", encounter())
    assert not of("caller.organisations lacks r0d", encounter())
    named = patient(name=[{"use": "official"}])
    assert not of('Patient.name.use lacks "official"', named)
    assert of('Patient.name.use lacks "official"', patient())  # an empty list is no absence
    assert of("source.organisations lacks rdz", encounter())


def test_lists_of_numbers_and_days_are_read_as_such() -> None:
    scope = replace(PLAIN, facts={**PLAIN.facts, "days": Type("date", many=True), "sums": Type("number", many=True)})
    given = {"days": ("20260515", "2026-05-16"), "sums": ("5.0", "6")}
    for text, expected in (
        ("days lacks 2026-05-15", False),
        ("days lacks 2026-05-17", True),
        ("sums lacks 5", False),
        ("sums lacks 7", True),
        ("number in sums", True),
    ):
        asked = compile_test(resolved(text, scope), Reader())
        assert asked({**given, "number": "6.00"}) is expected
        with pytest.raises(EvaluationError):
            asked({"days": ("2026-05-15", "soon"), "sums": ("5", "x"), "number": 5})


# --- quantities ----------------------------------------------------------------------------------------------------


def measured(value: Any, code: Any = "mg", **more: Any) -> dict[str, Any]:
    quantity = {"value": value, "code": code, "system": UCUM, **more}
    return {"resourceType": "Observation", "valueQuantity": quantity}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Observation.valueQuantity is 5 "mg"', True),
        ('Observation.valueQuantity is not 5 "mg"', False),
        ('Observation.valueQuantity >= 5 "mg"', True),
        ('Observation.valueQuantity < 4.9 "mg"', False),
        ('Observation.valueQuantity in 4 "mg", 5 "mg"', True),
        ("Observation.valueQuantity is present", True),
    ],
)
def test_quantities(text: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert of(text, measured(Decimal("5.0"))) is expected
    assert of(text, {"resourceType": "Observation"}) is False
    if "present" not in text:
        for wrong in (
            measured(5, "g"),
            measured(5, comparator="<"),
            measured("5"),
            measured(True),  # noqa: FBT003 - a value of the wrong kind
            measured(5, None),
            measured(5, system="other"),
            {"resourceType": "Observation", "valueQuantity": 5},
        ):
            with pytest.raises(ERRORS):
                of(text, wrong)


def test_lengths_of_time_are_quantities() -> None:
    stay = encounter(length={"value": 24, "code": "h", "system": UCUM})
    assert of("Encounter.length < 72 hours", stay)
    with pytest.raises(EvaluationError):
        of("Encounter.length < 3 days", stay)


# --- the rest ------------------------------------------------------------------------------------------------------


def test_glass() -> None:
    assert of("caller breaks glass", encounter(), glass=True)
    assert of("not caller breaks glass", encounter())


def test_resources_that_conform() -> None:
    good = {"resourceType": "Patient", "gender": "female"}
    assert of("resource conforms", good)
    assert of("Patient conforms", good)
    assert not of("resource conforms", {**good, "gender": "femle"})


def test_predicates() -> None:
    good = {
        "ods-code": ["R0D", "8hk01", "A81001"],
        "uk-postcode": ["BH15 2JB", "SW1A1AA", "m1 1ae", "GIR 0AA", "ZZ99 3VZ"],
        "snomed-concept": ["22298006", "404684003", "900000000000207008", "999000011000001104"],
        "date": ["20260515", "2026-05-15", "20260515120000", "2028-02-29"],
    }
    bad = {
        "ods-code": ["R0", "R0D ", "R-D", "", "R0D" * 5],
        "uk-postcode": ["BH15  2JB", "QQ1 1AA", "BH15 2CB", "BH152J", "", "ZZ98 3VZ"],
        "snomed-concept": ["22298007", "0404684003", "29857", "12345678901234567890", "680946014", "", "٢٢٢٩٨٠٠٦"],
        "date": ["2026", "20260230", "soon", "", "2026-02-30"],
    }
    assert {*good, *bad, "nhs-number", "numeric"} == set(PREDICATES)
    for name, texts in good.items():
        assert [t for t in texts if not PREDICATES[name](t)] == []
    for name, texts in bad.items():
        assert [t for t in texts if PREDICATES[name](t)] == []


@pytest.mark.parametrize("text", ["day within 3 days", "day has age under 3 days", "text listed in ndoo"])
def test_where_no_day_is_known_none_is_asked(text: str) -> None:
    found = check(tree(text), replace(PLAIN, lists=SCOPE.lists))
    assert [d.code for d in found.diagnostics] == ["R122"]
