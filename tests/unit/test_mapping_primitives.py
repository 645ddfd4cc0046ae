from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.mapping.primitives import PRIMITIVES, VARIANTS, counted

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", " a b ", "a b"),
        ("string", "   ", None),
        ("code", " a  b ", "a b"),
        ("code", " ", None),
        ("uri", " urn:oid:1.2 ", "urn:oid:1.2"),
        ("uri", "a b", None),
        ("uri", " ", None),
        ("id", "a-1.B", "a-1.B"),
        ("id", "a b", None),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("boolean", "Y", None),
        ("decimal", "+007.50", Decimal("7.50")),
        ("decimal", "-0.5", Decimal("-0.5")),
        ("decimal", "5.", Decimal(5)),
        ("decimal", "1e3", None),
        ("integer", "12", 12),
        ("integer", "12.0", 12),
        ("integer", "1.5", None),
        ("integer", "99999999999", None),
        ("unsignedInt", "0", 0),
        ("unsignedInt", "-1", None),
        ("positiveInt", "3", 3),
        ("positiveInt", "0", None),
        ("positiveInt", "x", None),
        ("date", "1980", "1980"),
        ("date", "198002", "1980-02"),
        ("date", "19800229", "1980-02-29"),
        ("date", "19810229", None),
        ("date", "198013", None),
        ("date", "00000101", None),
        ("date", "19800214233000-0500", "1980-02-14"),
        ("date", "14/02/1980", None),
        ("dateTime", "2026", "2026"),
        ("dateTime", "20260501", "2026-05-01"),
        ("dateTime", "2026050110", "2026-05-01T10:00:00+01:00"),
        ("dateTime", "202605011030", "2026-05-01T10:30:00+01:00"),
        ("dateTime", "202601011030", "2026-01-01T10:30:00+00:00"),
        ("dateTime", "20260501103015.25", "2026-05-01T10:30:15.25+01:00"),
        ("dateTime", "20260501103015-0530", "2026-05-01T10:30:15-05:30"),
        ("dateTime", "20260501103060", "2026-05-01T10:30:60+01:00"),
        ("dateTime", "202605012430", None),
        ("dateTime", "202605011060", None),
        ("dateTime", "20260501103015+1500", None),
        ("dateTime", "20260501103015+1400", "2026-05-01T10:30:15+14:00"),
        ("dateTime", "20260501103015+1401", None),
        ("dateTime", "20260231103015", None),
        ("dateTime", "yesterday", None),
        ("instant", "20260501", None),
        ("instant", "202605011030", "2026-05-01T10:30:00+01:00"),
        ("time", "1030", "10:30:00"),
        ("time", "103015.5", "10:30:15.5"),
        ("time", "2560", None),
        ("time", "noon", None),
    ],
)
def test_reads_hl7_text_as_fhir_value(kind: str, text: str, value: Any) -> None:
    found = PRIMITIVES[kind](text, LONDON)
    assert found == value
    assert type(found) is type(value)


def test_an_hour_that_comes_twice_is_the_first() -> None:
    assert PRIMITIVES["dateTime"]("202610250130", LONDON) == "2026-10-25T01:30:00+01:00"


def test_offsets_west_of_greenwich() -> None:
    assert PRIMITIVES["dateTime"]("202601010130", ZoneInfo("America/St_Johns")) == "2026-01-01T01:30:00-03:30"


def test_a_date_alone_tells_no_time() -> None:
    timed = VARIANTS["dateTime", "timed"]
    assert timed("20260501", LONDON) is None
    assert timed("202605010000", LONDON) == "2026-05-01T00:00:00+01:00"
    assert timed("x", LONDON) is None


def test_an_nhs_number_is_ten_digits_however_spaced() -> None:
    digits = VARIANTS["string", "nhs-number"]
    assert digits("999 000 0018", LONDON) == "9990000018"
    assert digits("9990000019", LONDON) is None
    assert digits("1111111111", LONDON) is None


@pytest.mark.parametrize(
    ("length", "unit", "wanted", "value"),
    [
        ("2", "h", "min", "120"),
        ("90", "s", "min", "1.5"),
        ("0", "d", "h", "0"),
        ("100", "wk", "s", "60480000"),
        ("1", "mo", "d", None),
        ("1", "h", "fortnight", None),
        ("soon", "h", "min", None),
        ("99999999999", "h", "min", None),
    ],
)
def test_a_length_of_time_in_another_unit(length: str, unit: str, wanted: str, value: str | None) -> None:
    assert counted(length, unit, wanted, LONDON) == value
