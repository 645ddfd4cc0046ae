"""A loop reads fields of the segment that it is in: `rules-language.md`, checks; HL7's segments repeat in groups."""

from __future__ import annotations

import pytest

from tests.conformance.rules.support import INGEST, message, ruled, rules_of, submission

RESULTS = """
check N "Numbers are numbers"
  on Hl7v2
  for each value in OBX-5 where OBX-2 is present and OBX-2 is "NM"
  require value is numeric
  otherwise error value "`{value}` of `{OBX-3.1}`"
check S "Every result has a state"
  on Hl7v2
  for each code in OBX-3
  require OBX-11 is present
  otherwise error required
check H "A flag in some repetition"
  on Hl7v2
  for each code in OBX-3 where OBX-8 is present
  require "H" in OBX-8.1
  otherwise warning value
"""


def found(*segments: str) -> list[tuple[str | None, str | None]]:
    rules = ruled(INGEST + RESULTS)
    return rules_of(rules.decide(submission(rules, message("PID|1||1", *segments))).findings)


def test_each_segment_is_judged_by_its_own_fields() -> None:
    assert found("OBX|1|ST|a^A||low||||||F", "OBX|2|NM|b^B||4~hot||||||F") == [("N", "OBX[2]-5[2]")]
    assert found("OBX|1|NM|a||4||||||F", "OBX|2|ST|b||hot||||||F") == []


def test_what_is_absent_is_told_at_its_segment() -> None:
    assert found("OBX|1|ST|a||x||||||F", "OBX|2|ST|b||y") == [("S", "OBX[2]-11")]
    assert found("OBX|1|ST|a||x", 'OBX|2|ST|b||y||||||""') == [("S", "OBX-11"), ("S", "OBX[2]-11")]


def test_a_field_that_repeats_is_that_of_the_segment() -> None:
    assert found("OBX|1|ST|a||x|||L~H|||F", "OBX|2|ST|b||y|||L|||F", "OBX|3|ST|c||z||||||F") == [("H", "OBX[2]-8.1")]


def test_a_message_reads_the_segment_in_hand() -> None:
    rules = ruled(INGEST + RESULTS)
    sent = message("PID|1||1", "OBX|1|NM|a||1||||||F", "OBX|2|NM|b||hot||||||F")
    (finding,) = rules.decide(submission(rules, sent)).findings
    assert finding.diagnostics == "`hot` of `b`"


@pytest.mark.parametrize(
    ("text", "numeric"), [("4", True), ("-4.50", True), (".5", True), ("4,5", False), ("<4", False)]
)
def test_numeric_is_what_hl7_takes_as_a_number(text: str, numeric: bool) -> None:  # noqa: FBT001 - a table's column
    assert (found(f"OBX|1|NM|a||{text}||||||F") == []) is numeric
