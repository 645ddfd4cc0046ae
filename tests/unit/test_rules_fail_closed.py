"""The experiment that Cedar without schema, Rego, zen, oso and json-logic failed: nothing wrong ever permits.

A misspelt attribute, a wrong-typed value, a rule that can't be decided.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.rules.support import INGEST, message, question, read, ruled, submission

MISSPELT = [
    'MSH-11.1 is present and MSH-111.1 is "T"',
    'enviroment is "production"',
    "mesage.type is ADT^A01",
    "caller has role gp-veiwer",
    "organisation is r0x",
    "message.type in admisions",
    "trainning",
]


@pytest.mark.parametrize("condition", MISSPELT)
@pytest.mark.parametrize("kind", ["forbid", "permit"])
def test_a_misspelt_name_never_loads(kind: str, condition: str) -> None:
    found = read(f'{INGEST}\n{kind} X "x"\n  to ingest\n  on Hl7v2\n  when {condition}\n')
    assert found.rules is None
    assert [d.severity for d in found.diagnostics] == ["error"]


WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("PV1-44.1 is present and PV1-44.1 < today", "PV1|1|E" + "|" * 42 + "soon", {}),
    ("PID-1 is present and PID-1 > 5", "PID|one", {}),
    ("caller has role gp-viewer", "PV1|1|E", {"caller": None}),
    ("message.received < now", "PV1|1|E", {"received": "today"}),
    ("message.received < now", "PV1|1|E", {"received": None}),
    ("PV1-44.1 is present and PV1-44.1 within 12 months", "PV1|1|E" + "|" * 42 + "soon", {}),
    ("PV1-44.1 is present and PV1-44.1 within 12 months", "PV1|1|E" + "|" * 42 + "2025", {}),
    ("PV1-44.1 is present and PV1-44.1 > today - 1 day", "PV1|1|E" + "|" * 42 + "2025", {}),
    ("PID-7.1 is present and PID-7.1 has age under 16 years", "PID|1||||||201005", {}),
    ("PV1-44.1 is present and not PV1-44.1 within 12 months", "PV1|1|E" + "|" * 42 + "soon", {}),
    ("message.received within 72 hours", "PV1|1|E", {"now": None}),
    ("any o in caller.organisations satisfies o is r0d", "PV1|1|E", {"caller": None}),
    ("message.type in ADT^A01 and now > 2026-01-01", "PV1|1|E", {"now": "soon"}),
]


@pytest.mark.parametrize(("condition", "segment", "changed"), WRONG)
def test_a_wrong_typed_value_denies_by_a_forbid(condition: str, segment: str, changed: dict[str, Any]) -> None:
    rules = ruled(f'{INGEST}\nforbid X "x"\n  to ingest\n  on Hl7v2\n  when {condition}\n')
    decision = rules.decide(replace(submission(rules, message(segment)), **changed))
    assert decision.effect == "deny"
    assert decision.erred == ("X",)
    assert [f.rule for f in decision.findings] == ["X"]


@pytest.mark.parametrize(("condition", "segment", "changed"), WRONG)
def test_a_wrong_typed_value_grants_nothing_by_a_permit(condition: str, segment: str, changed: dict[str, Any]) -> None:
    only = INGEST.replace('permit P "Anyone"\n  to ingest\n', "")
    rules = ruled(f'{only}\npermit X "x"\n  to ingest\n  on Hl7v2\n  when {condition}\n')
    decision = rules.decide(replace(submission(rules, message(segment)), **changed))
    assert decision.effect == "deny"
    assert decision.erred == ("X",)
    assert decision.wanting


@pytest.mark.parametrize(("condition", "segment", "changed"), WRONG)
def test_an_error_level_check_that_errs_refuses(condition: str, segment: str, changed: dict[str, Any]) -> None:
    for clause in ("when", "require"):
        other = 'require environment is "test"' if clause == "when" else ""
        text = f'{INGEST}\ncheck X "x"\n  on Hl7v2\n  {clause} {condition}\n  {other}\n  otherwise error invalid\n'
        rules = ruled(text)
        decision = rules.decide(replace(submission(rules, message(segment)), **changed))
        assert (decision.effect, decision.by, decision.erred) == ("refuse", ("X",), ("X",))


def test_a_warning_level_check_that_errs_is_recorded_and_refuses_nothing() -> None:
    text = f'{INGEST}\ncheck X "x"\n  on Hl7v2\n  require PID-1 is present and PID-1 > 5\n  otherwise warning invalid\n'
    rules = ruled(text)
    decision = rules.decide(submission(rules, message("PID|one")))
    assert (decision.effect, decision.erred, decision.findings) == ("permit", ("X",), ())


def test_an_erring_route_leads_nowhere() -> None:
    rules = ruled(INGEST.replace("to record", "when PID-1 is present and PID-1 > 5\n  to record"))
    decision = rules.decide(submission(rules, message("PID|one")))
    assert (decision.effect, decision.erred) == ("refuse", ("R",))


def test_without_a_message_nothing_is_permitted() -> None:
    rules = ruled(f'{INGEST}\nforbid X "x"\n  to ingest\n  on Hl7v2\n  when PV1-2.1 is present and PV1-2.1 is "T"\n')
    decision = rules.decide(replace(submission(rules), message=None))
    assert decision.effect == "deny"
    assert decision.findings


def test_an_undeclared_domain_type_or_action_is_denied() -> None:
    rules = ruled(INGEST)
    facts = submission(rules)
    assert rules.decide(facts).effect == "permit"
    for changed in ({"domain": "elsewhere"}, {"domain": None}, {"type": "ADT^A08"}, {"data_type": "Csv"}):
        assert rules.decide(replace(facts, **changed)).effect == "deny"
    for action in ("delete", "", "search"):
        assert rules.decide(replace(facts, action=action)).effect == "deny"


ROWS = """
permit S "Seen"
  to search, read Encounter
  when caller has role gp-viewer
  rows Encounter where Encounter.status is "finished"
"""


@pytest.mark.parametrize("status", [3, {"a": 1}, ["finished", "finished"], None, "planned", True])
def test_a_wrong_typed_element_shows_no_row(status: object) -> None:
    rules = ruled(ROWS)
    facts = question(rules, "Encounter", action="read")
    decision = rules.decide(facts)
    assert rules.release(facts, decision, {"resourceType": "Encounter", "status": "finished"}).released
    release = rules.release(facts, decision, {"resourceType": "Encounter", "status": status})
    assert not release.released


def test_negation_of_an_absent_element_shows_no_row() -> None:
    rules = ruled(ROWS.replace('Encounter.status is "finished"', 'not Encounter.status is "planned"'))
    facts = question(rules, "Encounter", action="read")
    decision = rules.decide(facts)
    assert rules.release(facts, decision, {"resourceType": "Encounter", "status": "finished"}).released
    assert not rules.release(facts, decision, {"resourceType": "Encounter"}).released


FORBID = """
forbid F "Secret ones are nobody's"
  to search, read any
  when "secret" in resource.meta.tag.code
forbid G "Planned ones neither"
  to read Encounter
  when Encounter.status is present and Encounter.status is "planned"
"""


def test_a_forbid_about_the_resource_is_asked_of_each() -> None:
    rules = ruled(ROWS.replace('rows Encounter where Encounter.status is "finished"', "all rows") + FORBID)
    facts = question(rules, "Encounter", action="read")
    decision = rules.decide(facts)
    assert decision.effect == "permit"
    assert rules.release(facts, decision, {"resourceType": "Encounter", "status": "finished"}).released
    secret = {"resourceType": "Encounter", "meta": {"tag": [{"code": "x"}, {"code": "secret"}]}}
    assert rules.release(facts, decision, secret).by == ("F",)
    hidden = rules.release(facts, decision, {"resourceType": "Encounter", "status": "planned"})
    assert (hidden.released, hidden.by) == (False, ("G",))
    erring = rules.release(facts, decision, {"resourceType": "Encounter", "status": 3})
    assert (erring.released, erring.erred) == (False, ("G",))


@pytest.mark.parametrize("purpose", [None, "HOPERAT"])
@pytest.mark.parametrize(
    "condition",
    [
        "purpose is TREAT",
        "purpose is not HOPERAT",
        "not purpose is HOPERAT",
        "caller has role counter or purpose is TREAT",
    ],
)
def test_an_absent_purpose_matches_no_permit_that_names_one(purpose: str | None, condition: str) -> None:
    rules = ruled(f'permit S "x"\n  to read Patient\n  when {condition}\n  all rows\n')
    assert rules.decide(question(rules, "Patient", action="read", purpose=purpose)).effect == "deny"
    assert rules.decide(question(rules, "Patient", action="read", purpose="TREAT")).effect == "permit"


@pytest.mark.parametrize("action", ["read", "ingest"])
def test_a_permit_that_names_a_purpose_needs_one_even_where_another_way_is_open(action: str) -> None:
    to = "read Patient\n  all rows" if action == "read" else "ingest"
    rules = ruled(
        f'permit S "x"\n  to {to}\n  when caller connects as qvv\n    or purpose is TREAT\n'
        + INGEST.split("to ingest")[1]
    )
    facts = question(rules, "Patient", action="read") if action == "read" else submission(rules, caller="partner")
    assert rules.decide(replace(facts, purpose="HOPERAT")).effect == "permit"
    assert rules.decide(replace(facts, purpose=None)).effect == "deny"
