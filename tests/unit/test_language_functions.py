"""Values as numbers, days and instants; organisations of references; predicates."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway import specs
from gateway.fhir.identity import valid_nhs_number
from gateway.language.functions import (
    EvaluationError,
    day,
    elements,
    moment,
    nhs_number,
    number,
    organisation_code,
)


@pytest.mark.parametrize("value", ["5", "5.0", "+5", "5.", 5, Decimal(5)])
def test_numbers(value: object) -> None:
    assert number(value) == 5


@pytest.mark.parametrize("value", ["", "five", "1e9", "NaN", "Infinity", "\u0665", True, None, 5.0, "9" * 31, " 5"])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(EvaluationError):
        number(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20260515", date(2026, 5, 15)),
        ("202605152359", date(2026, 5, 15)),
        ("20260515235959.1234", date(2026, 5, 15)),
        ("20260515233000+0000", date(2026, 5, 16)),  # summer time in London
        ("20260515033000+0500", date(2026, 5, 14)),
        ("2026-05-15", date(2026, 5, 15)),
        ("2026-05-15T23:30:00Z", date(2026, 5, 16)),
        ("2026-01-15T23:30:00-01:00", date(2026, 1, 16)),
        (date(2026, 5, 15), date(2026, 5, 15)),
        (datetime(2026, 5, 15, 23, 30, tzinfo=UTC), date(2026, 5, 16)),
    ],
)
def test_days_are_londons(value: object, expected: date) -> None:
    assert day(value) == expected


@pytest.mark.parametrize("value", ["2026", "202605", "2026-05", "20260230", "2026-02-30", "soon", "", None, 5])
def test_what_is_no_day(value: object) -> None:
    with pytest.raises(EvaluationError):
        day(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20260515120000", datetime(2026, 5, 15, 11, tzinfo=UTC)),
        ("20260115120000", datetime(2026, 1, 15, 12, tzinfo=UTC)),
        ("202605151200+0200", datetime(2026, 5, 15, 10, tzinfo=UTC)),
        ("2026-05-15T12:00:00.5-05:30", datetime(2026, 5, 15, 17, 30, tzinfo=UTC)),
        (date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_instants_without_offset_are_londons(value: object, expected: datetime) -> None:
    assert moment(value) == expected


@pytest.mark.parametrize("value", ["20260515250000", "2026", "noon", None, 5])
def test_what_is_no_instant(value: object) -> None:
    with pytest.raises(EvaluationError):
        moment(value)


ODS = specs.fhir().systems.ods


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ({"reference": "Organization/R0D"}, "R0D"),
        ({"reference": "Organization/r0d/_history/3"}, "R0D"),
        ({"reference": "Patient/R0D"}, None),
        ({"reference": "http://elsewhere.example.org/Organization/R0D"}, None),
        ({"identifier": {"system": ODS, "value": "r0d"}}, "R0D"),
        ({"identifier": {"system": ODS, "value": 5}}, None),
        ({"identifier": {"system": "urn:x", "value": "r0d"}}, None),
        ({"identifier": "r0d"}, None),
        ({"reference": 5}, None),
        ({"reference": "Organization/RXX", "identifier": {"system": ODS, "value": "r0d"}}, "RXX"),
        ({}, None),
    ],
)
def test_the_organisation_of_a_reference(reference: dict[str, Any], code: str | None) -> None:
    assert organisation_code(reference, ODS) == code


def test_a_text_is_no_reference() -> None:
    with pytest.raises(EvaluationError):
        organisation_code("Organization/R0D", ODS)


def test_elements_open_lists_at_each_step() -> None:
    patient = {"name": [{"family": "A", "given": ["B", "C"]}, {"given": ["D"]}], "gender": None}
    assert elements(patient, ("name", "given")) == ["B", "C", "D"]
    assert elements(patient, ("name", "family")) == ["A"]
    assert elements(patient, ("gender",)) == []
    with pytest.raises(EvaluationError):
        elements(patient, ("name", "family", "text"))


def test_a_choice_by_its_type_or_as_a_whole() -> None:
    assert elements({"deceasedBoolean": False}, ("deceased[x]",)) == [False]
    assert elements({"deceasedBoolean": False}, ("deceasedBoolean",)) == [False]
    assert elements({"deceasedly": False, "deceased": 1}, ("deceased[x]",)) == []


NUMBERS = ["9990000018", "9990000019", "1111111111", "0000000000", "999 000 0018", "999-000-0018", "", "999000001X"]


@pytest.mark.parametrize("text", [*NUMBERS, "\u0669990000018", "99900000181", "999000 0018"])
def test_nhs_numbers_as_identity_has_them(text: str) -> None:
    assert nhs_number(text) is valid_nhs_number(text)
