"""All rules of a message as one function: places, orders, loops, agreements; and what it reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import hl7v2
from gateway.rules.reading import repetitions
from tests.bounded import examples
from tests.conformance.rules.support import INGEST, message, question, ruled, rules_of, submission

LOOP = """
check C "Numbers"
  on Hl7v2
  for each id in PID-3 where id.5 is "NH"
  require id.1 is present and id.1 is nhs-number
  otherwise error code-invalid "`{id.1}` of `{id.4.2}` in `{PV1-2}` for `{organisation}`"
"""


def test_places_name_segment_and_repetition() -> None:
    rules = ruled(INGEST + LOOP)
    sent = message("PID|1||1^^^^NH~~9990000018^^^^NH~2^^^^NH", "PV1|1|E", "PID|2||3^^^a&b^NH")
    decision = rules.decide(submission(rules, sent))
    assert rules_of(decision.findings) == [("C", "PID-3[1].1"), ("C", "PID-3[4].1"), ("C", "PID[2]-3[1].1")]
    assert decision.findings[2].diagnostics == "`3` of `b` in `E` for `R0D`"
    assert decision.findings[0].diagnostics == "`1` of `` in `E` for `R0D`"


@pytest.mark.parametrize(
    ("pid", "key"),
    [
        ("PID|1||A^^^X~B", "A"),
        ("PID|1||A&x^^^X~B", "A"),
        (r"PID|1||A\S\B^^^X", "A^B"),
        ("PID|1||~B", None),
        ('PID|1||""^^^X~B', None),
        ("PID|1", None),
        ("PV1|1", None),
    ],
)
@pytest.mark.parametrize("looped", [True, False])
def test_an_order_takes_the_first_repetition(pid: str, key: str | None, looped: bool) -> None:  # noqa: FBT001 - a table's column
    routed = INGEST.replace("  to record", "  to record\n  in order of PID-3.1")
    rules = ruled(routed + (LOOP if looped else ""))
    (routing,) = rules.decide(submission(rules, message(pid))).routes
    assert routing.order_key == key


def test_an_order_by_a_fact_or_a_number() -> None:
    rules = ruled(INGEST.replace("  to record", "  to record\n  in order of message.received"))
    (routing,) = rules.decide(submission(rules)).routes
    assert routing.order_key == "2026-05-15 12:00:00+00:00"


def test_an_agreement_limits_days_and_purposes() -> None:
    rules = ruled(INGEST.replace("to ingest", "to ingest\n  because DSA-2"))
    facts = submission(rules)
    assert rules.decide(facts).effect == "deny"
    assert rules.decide(facts).wanting[0].expression == "purpose-of-use"
    for today, effect in [(date(2026, 5, 31), "permit"), (date(2026, 6, 1), "deny"), (date(2026, 3, 31), "deny")]:
        assert rules.decide(replace(facts, purpose="TREAT", today=today)).effect == effect
    assert rules.decide(replace(facts, purpose="HOPERAT")).effect == "deny"


def test_an_agreement_limits_queries_too() -> None:
    rules = ruled('permit S "x"\n  to read Patient\n  all rows\n  because DSA-2\n')
    assert rules.decide(question(rules, "Patient", action="read")).effect == "permit"
    assert rules.decide(question(rules, "Patient", action="read", purpose="HOPERAT")).effect == "deny"
    late = rules.decide(question(rules, "Patient", action="read", today=date(2026, 6, 1)))
    assert late.wanting[0].diagnostics == "the agreement DSA-2 is not in force on 2026-06-01", "nothing works on a day"


def test_every_check_runs() -> None:
    rules = ruled(
        INGEST
        + """
check A "x"
  on Hl7v2
  require PV1-44.1 is present
  otherwise error required
check B "y"
  on Hl7v2 ADT^A01
  require PV1-45.1 is present
  otherwise information required
check D "z"
  on Hl7v2 ADT^A03
  require PV1-45.1 is present
  otherwise error required
"""
    )
    decision = rules.decide(submission(rules))
    assert (decision.effect, decision.by) == ("refuse", ("A",))
    assert [(f.rule, f.severity, f.diagnostics) for f in decision.findings] == [
        ("A", "error", "x"),
        ("B", "information", "y"),
    ]


def test_a_composite_is_present_if_any_part_is() -> None:
    rules = ruled(
        INGEST
        + """
check A "x"
  on Hl7v2
  require PID-5 is present
  otherwise error required
check B "x"
  on Hl7v2
  for each id in PID-3
  require id.4 is present and id is present
  otherwise error required
"""
    )
    good = message("PID|1||1^^^&x||^John")
    assert rules.decide(submission(rules, good)).effect == "permit"
    bad = rules.decide(submission(rules, message("PID|1||1^^^&^NH||^&~")))
    assert rules_of(bad.findings) == [("A", "PID-5"), ("B", "PID-3[1].4")]
    deleted = rules.decide(submission(rules, message('PID|1||1^^^""||""')))
    assert rules_of(deleted.findings) == [("A", "PID-5"), ("B", "PID-3[1].4")]


def test_a_repeated_path_is_looked_in() -> None:
    rules = ruled(INGEST + '\ncheck A "x"\n  on Hl7v2\n  require "NH" in PID-3.5\n  otherwise error required\n')
    assert rules.decide(submission(rules, message("PID|1||1^^^^MR~2^^^^NH"))).effect == "permit"
    assert rules.decide(submission(rules, message("PID|1||1^^^^MR", "PID|2||1^^^^NH"))).effect == "permit"
    assert rules.decide(submission(rules, message("PID|1||1^^^^MR"))).effect == "refuse"
    assert rules.decide(submission(rules, message("PV1|1"))).effect == "refuse"


def test_a_condition_that_the_type_settles_is_not_asked() -> None:
    rules = ruled(
        INGEST
        + """
condition leaving on Hl7v2
  means message.type is ADT^A03
check A "x"
  on Hl7v2
  when leaving or message.type in ADT^A03
  require PV1-45.1 is present
  otherwise error required
check B "x"
  on Hl7v2
  when not (message.type is not ADT^A03) and PV1-2.1 is "E"
  require PV1-45.1 is present
  otherwise warning required
"""
    )
    assert rules.decide(submission(rules)).findings == ()
    discharge = rules.decide(submission(rules, message(kind="ADT^A03")))
    assert rules_of(discharge.findings) == [("A", "PV1-45.1"), ("B", "PV1-45.1")]


def test_results_are_checked_where_a_condition_holds() -> None:
    rules = ruled(
        INGEST
        + """
check A "x"
  on result Encounter, Condition
  when message.type is ADT^A01
  require resource.id is present and "tag" in resource.meta.tag.code
  otherwise warning required
check B "x"
  on result Encounter
  require Encounter.status is "finished"
  otherwise warning required
check D "x"
  on result Encounter
  require Encounter.period.start < now
  otherwise error required
"""
    )
    facts = submission(rules)
    good = {"resourceType": "Condition", "id": "1", "meta": {"tag": [{"code": "tag"}]}}
    assert rules.check_result(facts, [good]) == ()
    assert rules_of(rules.check_result(facts, [{"resourceType": "Condition"}])) == [("A", "resource.id")]
    assert rules.check_result(replace(facts, type="ADT^A03"), [{"resourceType": "Condition"}]) == ()
    # a warning that can't be decided says nothing, an error refuses
    odd = {"resourceType": "Encounter", "id": "1", "status": 3, "meta": good["meta"], "period": {"start": "soon"}}
    assert [(f.rule, f.severity) for f in rules.check_result(facts, [odd])] == [("D", "error")]


def test_a_message_without_a_route_is_refused() -> None:
    rules = ruled(INGEST.replace("on Hl7v2\n  to", 'on Hl7v2\n  when PV1-2.1 is "I"\n  to'))
    decision = rules.decide(submission(rules))
    assert (decision.effect, decision.by) == ("refuse", ())
    assert decision.findings[0].diagnostics == "no route of the domain takes this message"


PARTS = st.lists(st.sampled_from(["", "A", '""', "B&C", r"D\S\E", "NH"]), max_size=6).map("^".join)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(PARTS, max_size=4).map("~".join), st.integers(0, 6))
def test_cutting_a_field_at_once_is_reading_its_leaves(field: str, least: int) -> None:
    sent = hl7v2.read(rf"MSH|^~\&|A|B|C|D|20260515||ADT^A01|1|P|2.4{chr(13)}PID|1||{field}|x".encode())
    segment = sent.first("PID")
    assert segment is not None
    rows = repetitions(segment, 3, least)
    assert len(rows) == len(segment.field(3))
    for number, row in enumerate(rows, 1):
        assert row == [] or len(row) >= least
        for component in range(1, 8):
            expected = segment.text(3, component, 1, number)
            assert (row[component - 1] if component <= len(row) else "") == (expected or "")


def test_the_header_is_numbered_as_the_reader_does() -> None:
    sent = message(msh11="T~P")
    header = sent.first("MSH")
    assert header is not None
    assert [row[0] for row in repetitions(header, 11, 1)] == ["T", "P"]
    assert [row[0] for row in repetitions(header, 2, 1)] == ["^~\\&"]
    assert repetitions(header, 99, 1) == ()
