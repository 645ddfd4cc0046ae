"""What the index keeps of a value."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.upstream.store.values import CONVERTERS, DAY, FIRST, LAST, LEAST, MOST, fold, microseconds, stretch


def day(year: int, month: int, date: int) -> int:
    return microseconds(datetime(year, month, date, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "low", "width"),
    [
        ("2024", day(2024, 1, 1), 366 * DAY),
        ("2023", day(2023, 1, 1), 365 * DAY),
        ("2024-02", day(2024, 2, 1), 29 * DAY),
        ("9999-12-31", day(9999, 12, 31), DAY),
        ("1969-12-31", -DAY, DAY),
        ("2024-02-13T14:49:32Z", day(2024, 2, 13) + 53_372_000_000, 1_000_000),
        ("2024-02-13T14:49:32+01:00", day(2024, 2, 13) + 49_772_000_000, 1_000_000),
        ("2024-02-13T14:49:32.5Z", day(2024, 2, 13) + 53_372_500_000, 100_000),
        ("2024-02-13T14:49:32.581123999Z", day(2024, 2, 13) + 53_372_581_123, 1),
        ("2024-02-13T14:49Z", day(2024, 2, 13) + 53_340_000_000, 60_000_000),
        ("2024-02-13T14:49:32", day(2024, 2, 13) + 53_372_000_000, 1_000_000),
    ],
)
def test_a_date_is_as_wide_as_its_precision(text: str, low: int, width: int) -> None:
    assert stretch(text) == (low, low + width)


@pytest.mark.parametrize("text", ["", "2024-13", "2024-02-30", "2024-02-13T25:00:00Z", "yesterday", "20240213", "0000"])
def test_what_is_no_date_has_no_place_in_time(text: str) -> None:
    assert stretch(text) is None


def test_text_is_folded() -> None:
    assert fold("  MÜLLER-\tStraße ") == "muller- strasse"
    assert fold("Anne  B") == "anne b"


UCUM = {"system": "urn:u", "code": "mg", "unit": "milli"}
CASES: list[tuple[str, str, Any, list[Any]]] = [
    ("date", "Period", {"start": "2024"}, [(day(2024, 1, 1), LAST)]),
    ("date", "Period", {"end": "2024"}, [(FIRST, day(2025, 1, 1))]),
    ("date", "Period", {}, []),
    ("date", "Timing", {"event": ["2024", "x"], "repeat": {"boundsPeriod": {"start": "2023"}}},
     [(day(2023, 1, 1), LAST)]),
    ("date", "Timing", {"event": ["2024-03-24", "2024-01-31"]}, [(day(2024, 1, 31), day(2024, 3, 25))]),
    ("date", "Timing", {"repeat": {"boundsDuration": {}}}, []),
    ("date", "dateTime", 2024, []),
    ("string", "string", "", []),
    ("string", "string", 7, []),
    ("string", "HumanName", {"family": "A", "given": ["B", None], "use": "old"}, [("a", "A"), ("b", "B")]),
    ("string", "HumanName", "x", []),
    ("string", "HumanName", {"family": "De la Cruz"},
     [("de la cruz", "De la Cruz"), ("la cruz", ""), ("cruz", "")]),
    ("string", "string", "O'Neill-Smith", [("o'neill-smith", "O'Neill-Smith"), ("oneill smith", "")]),
    ("string", "string", "%", [("%", "%")]),
    ("string", "string", "De la Cruz", [("de la cruz", "De la Cruz")]),
    ("token", "code", "A", [("A", "")]),
    ("token", "string", "A", [("a", "")]),
    ("token", "string", 1, []),
    ("token", "code", 1, []),
    ("token", "boolean", False, [("false", "")]),
    ("token", "boolean", "false", []),
    ("token", "Coding", {"display": "x"}, []),
    ("token", "Coding", {"code": "a"}, [("a", "")]),
    ("token", "CodeableConcept", {"text": "x"}, []),
    ("token", "CodeableConcept", {"coding": [{"code": "a", "system": "s"}, "x"]}, [("a", "s")]),
    ("token", "Identifier", {"system": "s"}, [("", "s")]),
    ("token", "Identifier", {"assigner": {}}, []),
    ("token", "ContactPoint", {"system": "phone", "value": "1"}, [("1", "")]),
    ("number", "decimal", Decimal("0.80"), [(0.8, 0.8)]),
    ("number", "decimal", True, []),
    ("number", "decimal", Decimal("1e400"), []),
    ("number", "Range", {"low": {"value": 1}}, [(1.0, MOST)]),
    ("number", "Range", {}, []),
    ("quantity", "Quantity", {"value": 5, **UCUM}, [(5.0, 5.0, "urn:u", "mg", "milli")]),
    ("quantity", "Quantity", {"value": 5, "comparator": "<="}, [(LEAST, 5.0, "", "", "")]),
    ("quantity", "Quantity", {"value": 5, "comparator": ">"}, [(5.0, MOST, "", "", "")]),
    ("quantity", "Quantity", {"unit": "mg"}, []),
    ("quantity", "Range", {"high": {"value": 2, **UCUM}}, [(LEAST, 2.0, "urn:u", "mg", "milli")]),
    ("quantity", "Range", {"low": {"value": 1, **UCUM}}, [(1.0, MOST, "urn:u", "mg", "milli")]),
    ("quantity", "Range", {}, []),
    ("quantity", "Money", {"value": 1, "currency": "GBP"}, [(1.0, 1.0, "urn:iso:std:iso:4217", "GBP", "")]),
    ("quantity", "Money", {}, []),
    ("quantity", "SampledData", {"lowerLimit": 1, "upperLimit": 2, "origin": UCUM},
     [(1.0, 2.0, "urn:u", "mg", "milli")]),
    ("quantity", "SampledData", {"lowerLimit": 1}, []),
    ("reference", "Reference", {"reference": "Patient/a"}, [("a", "Patient")]),
    ("reference", "Reference", {"reference": "Patient/a/_history/2"}, [("a", "Patient")]),
    ("reference", "Reference", {"reference": "http://x/Patient/a/_history/2"}, [("http://x/Patient/a", "")]),
    ("reference", "Reference", {"reference": "urn:uuid:1"}, [("urn:uuid:1", "")]),
    ("reference", "Reference", {"reference": "#a"}, []),
    ("reference", "Reference", {"display": "x"}, []),
    ("reference", "canonical", "http://x|1", [("http://x", "|1")]),
    ("reference", "canonical", "", []),
    ("reference", "Resource", {"resourceType": "Patient", "id": "a"}, [("a", "Patient")]),
    ("reference", "Resource", {"resourceType": "Patient"}, []),
    ("uri", "uri", "urn:x", [("urn:x",)]),
    ("uri", "uri", None, []),
]  # fmt: skip


@pytest.mark.parametrize(("table", "type_", "value", "rows"), CASES)
def test_a_value_gives_rows(table: str, type_: str, value: Any, rows: list[Any]) -> None:
    assert list(CONVERTERS[table, type_](value)) == rows
