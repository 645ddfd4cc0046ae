"""HL7 v2 chapter 2.A.28: places in a message."""

from __future__ import annotations

import pytest

from gateway.hl7v2 import STANDARD
from gateway.hl7v2.place import Place, at_offset, parse


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("PID", Place("PID")),
        ("MSH[2]", Place("MSH", 2)),
        ("PID-3", Place("PID", 1, 3)),
        ("PID-3[1].1", Place("PID", 1, 3, 1, 1)),
        ("PID-3.4.2", Place("PID", 1, 3, None, 4, 2)),
        ("OBX[12]-5[2].3.1", Place("OBX", 12, 5, 2, 3, 1)),
        ("ZZ1-7", Place("ZZ1", 1, 7)),
    ],
)
def test_places_are_read_and_written_alike(text: str, place: Place) -> None:
    assert parse(text) == place
    assert str(place) == text


@pytest.mark.parametrize(
    "text", ["", "Patient.birthDate", "source-domain", "PID-", "PID-3[1", "PID3", "PID-3.1.1.1", "pid-3", "PID-٣"]
)
def test_what_is_no_place_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("before", "place"),
    [
        ("MSH|^~\\&|A|B", "MSH-4[1]"),
        ("MSH|^~\\&|A\rPID|1||1~2^^x", "PID-3[2].3"),
        ("MSH|^~\\&|A\rOBX|1\rOBX|2|TX|", "OBX[2]-3[1]"),
        ("MSH|^~\\&|A\nOBX|1", "OBX-1[1]"),
        ("MSH|^~\\&|A\r\nOBX|1", "OBX-1[1]"),
        ("MSH|^~\\&|A\rOB", None),
        ("", None),
    ],
)
def test_the_place_that_a_text_leads_up_to(before: str, place: str | None) -> None:
    assert at_offset(before, STANDARD) == place
