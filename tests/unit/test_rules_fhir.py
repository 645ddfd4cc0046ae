"""Rules `on Fhir`: what is submitted, and every resource in it. Source: rules/README.md, "Rules about FHIR"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway import fhir
from gateway.rules import Facts, RuleSet, load_sources
from gateway.source import Source
from tests.conformance.rules.support import REGISTRY, loaded, rules_of, submission, vocabulary

DOMAIN = """language 1
domain here "Here"
accept Fhir Bundle, Encounter
permit P "Anyone"
  to ingest
route R "All"
  on Fhir
  to record
  on failure reject
"""
CATEGORIES = REGISTRY.replace("ADT^A01, ADT^A03", "Bundle, Encounter")


def ruled(rules: str, domain: str = DOMAIN) -> RuleSet:
    return loaded(load_sources([Source("0.rules", CATEGORIES), Source("1.rules", domain + rules)], vocabulary()))


def asked(rules: RuleSet, sent: dict[str, Any]) -> Facts:
    facts = submission(rules)
    name = sent["resourceType"]
    return replace(facts, data_type="Fhir", message=None, type=name, resources=fhir.placed(sent))


def encounter(status: str | None = "finished", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Encounter", **({} if status is None else {"status": status}), **more}


def bundle(*resources: dict[str, Any], kind: str = "collection") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": r} for r in resources]}


PATIENT = {"resourceType": "Patient", "gender": "female"}

CHECK = """
check C "Visits are over"
  on Fhir Encounter
  require Encounter.status is present and Encounter.status is "finished"
  otherwise error business-rule "{Encounter.status} is not over"
"""


@pytest.mark.parametrize(
    ("sent", "places"),
    [
        (encounter(), []),
        (encounter("planned"), ["Encounter.status"]),
        (bundle(PATIENT), []),
        (bundle(PATIENT, encounter(), encounter("planned"), encounter(None)),
         ["Bundle.entry[2].resource.status", "Bundle.entry[3].resource.status"]),
    ],
)  # fmt: skip
def test_a_check_runs_on_every_resource_of_its_type(sent: dict[str, Any], places: list[str]) -> None:
    rules = ruled(CHECK)
    decision = rules.decide(asked(rules, sent))
    assert rules_of(decision.findings) == [("C", place) for place in places]
    assert decision.effect == ("refuse" if places else "permit")
    assert decision.by == (("C",) if places else ("P",))


def test_a_check_says_what_it_read_of_the_one_it_found() -> None:
    rules = ruled(CHECK)
    (finding,) = rules.decide(asked(rules, bundle(encounter("planned")))).findings
    assert finding.diagnostics == "planned is not over"


@pytest.mark.parametrize(
    ("sent", "effect"),
    [(bundle(PATIENT), "permit"), (bundle(encounter(), encounter("planned")), "deny"), (encounter("planned"), "deny")],
)
def test_a_forbid_is_triggered_by_any_resource_of_its_type(sent: dict[str, Any], effect: str) -> None:
    rules = ruled("""
forbid F "No plans"
  to ingest
  on Fhir Encounter
  when Encounter.status is present and Encounter.status is "planned"
""")
    decision = rules.decide(asked(rules, sent))
    assert (decision.effect, decision.by) == (effect, ("F",) if effect == "deny" else ("P",))


def test_a_forbid_without_a_condition_forbids_the_type() -> None:
    rules = ruled('\nforbid F "No people"\n  to ingest\n  on Fhir Patient\n')
    assert rules.decide(asked(rules, bundle(PATIENT))).effect == "deny"
    assert rules.decide(asked(rules, bundle(encounter()))).effect == "permit"


def test_a_forbid_that_cannot_be_decided_denies_and_such_a_check_refuses() -> None:
    odd = encounter(period={"start": ["not", "one"]})
    forbidden = ruled("""
forbid F "x"
  to ingest
  on Fhir Encounter
  when Encounter.period.start is present and Encounter.period.start > today
""")
    decision = forbidden.decide(asked(forbidden, bundle(odd)))
    assert (decision.effect, decision.erred) == ("deny", ("F",))
    checked = ruled("""
check C "x"
  on Fhir Encounter
  require Encounter.period.start is present and Encounter.period.start <= today
  otherwise error value
""")
    decision = checked.decide(asked(checked, bundle(odd)))
    assert decision.effect == "refuse"
    assert rules_of(decision.findings) == [("C", "Bundle.entry[0].resource.period.start")]


def test_permits_and_routes_read_what_is_submitted() -> None:
    rules = ruled("", """language 1
domain here "Here"
accept Fhir Bundle, Encounter
permit P "Finished visits, and transactions"
  to ingest
  on Fhir Encounter
  when Encounter.status is present and Encounter.status is "finished"
permit Q "x"
  to ingest
  on Fhir Bundle
  when Bundle.type is present and Bundle.type is "transaction"
route R "x"
  on Fhir Encounter
  when Encounter.class.code is "EMER"
  to record
  in order of Encounter.subject.reference
  on failure reject
route S "x"
  on Fhir Bundle
  to record
  on failure reject
""")  # fmt: skip
    visit = encounter("finished", subject={"reference": "Patient/1"}, **{"class": {"code": "EMER"}})
    decision = rules.decide(asked(rules, visit))
    assert (decision.effect, decision.by, decision.routes[0].order_key) == ("permit", ("P",), "Patient/1")
    assert rules.decide(asked(rules, {**visit, "status": "planned"})).effect == "deny"
    assert (
        rules.decide(asked(rules, encounter())).findings[0].diagnostics == "no route of the domain takes this message"
    )
    assert rules.decide(asked(rules, bundle(encounter("planned"), kind="transaction"))).by == ("Q",)
    assert rules.decide(asked(rules, bundle(visit))).effect == "deny"


def test_what_was_sent_without_a_submission_is_checked_alike() -> None:
    """The facade asks for the checks of the domain that serves a type, with no submission around the resource."""
    rules = ruled(CHECK)
    facts = asked(rules, encounter())
    found = rules.check_submitted(facts, "here", [("Encounter", encounter("planned"))])
    assert rules_of(found) == [("C", "Encounter.status")]
    assert rules.check_submitted(facts, "elsewhere", [("Encounter", encounter("planned"))]) == ()


def test_other_data_types_are_not_asked() -> None:
    rules = ruled(
        CHECK
        + '\naccept Hl7v2 ADT^A01\n  versions 2.4 to 2.4\nroute M "x"\n  on Hl7v2\n  to record\n  on failure reject\n'
    )
    assert rules.decide(submission(rules)).effect == "permit"
