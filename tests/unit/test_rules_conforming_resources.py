"""`require resource conforms`, `conforms to model`, `conforms to uk-core`: what a check tells, and where that is said.

Source: `conversion.md` of the design, FHIR R4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway import fhir
from gateway.documents.offering import offered
from gateway.documents.rule_words import TOLD
from gateway.documents.words import demand
from gateway.editor.book import book
from gateway.editor.complete import complete
from gateway.editor.hover import hover
from gateway.finding import Finding
from gateway.hl7v2.conformance import MOST
from gateway.rules import Facts, RuleSet, load_sources
from gateway.rules.account import told
from gateway.rules.account.difference import difference
from gateway.rules.account.explain import Explainer
from gateway.rules.account.words import UNTITLED
from gateway.rules.card import card
from gateway.rules.declared import Check
from gateway.rules.layout import lay
from gateway.source import Source
from tests.conformance.rules.support import INGEST, REGISTRY, loaded, ruled, submission, vocabulary

CHECK = """
check C "Resources are as agreed"
  on result Patient, MedicationRequest
  require resource conforms{}
  otherwise {}
"""
SYSTEM = "https://fhir.nhs.uk/Id/nhs-number"
PATIENT = {"resourceType": "Patient", "id": "9990000018", "identifier": [{"system": SYSTEM, "value": "9990000018"}]}
TWICE = {**PATIENT, "identifier": [*PATIENT["identifier"], {"system": SYSTEM, "value": "9990000026"}]}
REQUEST = {
    "resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"display": "x"},
    "medicationCodeableConcept": {"text": "x"},
}  # fmt: skip
MARITAL = "https://fhir.hl7.org.uk/CodeSystem/UKCore-PersonMaritalStatusEngland"
ADVISED = {**PATIENT, "maritalStatus": {"coding": [{"system": MARITAL, "code": "Q"}]}}
WRONG = {**PATIENT, "gender": "femle", "name": [{"famly": "Tallis"}]}


DOMAIN = """language 1
domain here "Here"
accept Fhir Bundle, Patient
permit P "Anyone"
  to ingest
route R "All"
  on Fhir
  to record
  on failure reject
check C "Resources are as agreed"
  on Fhir Patient
  require {}
  otherwise error
"""


ROUTED = """language 1
domain here "Here"
accept Hl7v2 ADT^A01, ADT^A03
permit P "Anyone"
  to ingest
route R "What is sound"
  on Hl7v2
  when message conforms
  to record
  on failure reject
"""


def submitting(requirement: str) -> RuleSet:
    registry = REGISTRY.replace("ADT^A01, ADT^A03", "Bundle, Patient")
    sources = [Source("0.rules", registry), Source("1.rules", DOMAIN.format(requirement))]
    return loaded(load_sources(sources, vocabulary()))


def sent(rules: RuleSet, resource: Any) -> Facts:
    facts, name = submission(rules), resource["resourceType"]
    return replace(facts, data_type="Fhir", message=None, type=name, resources=fhir.placed(resource))


def check(to: str = "", otherwise: str = "error") -> RuleSet:
    return ruled(INGEST + CHECK.format(to, otherwise))


def found(rules: RuleSet, *resources: Any) -> Sequence[Finding]:
    return rules.check_result(submission(rules), list(resources))


def places(findings: Sequence[Finding]) -> list[tuple[str, str, str | None]]:
    return [(one.severity, one.code, one.expression) for one in findings]


@pytest.mark.parametrize("to", ["", " to model", " to uk-core"])
def test_what_conforms_is_taken(to: str) -> None:
    assert found(check(to), PATIENT) == ()


def test_each_departure_from_r4_is_a_finding_of_its_own() -> None:
    told_ = found(check(), WRONG)
    assert places(told_) == [
        ("error", "code-invalid", "Patient.gender"),
        ("error", "structure", "Patient.name[0].famly"),
    ]
    assert {one.rule for one in told_} == {"C"}


def test_uk_core_asks_more_than_r4() -> None:
    assert found(check(), TWICE, REQUEST) == ()
    assert places(found(check(" to uk-core"), TWICE, REQUEST)) == [
        ("error", "structure", "Patient.identifier[1]"),
        ("error", "required", "MedicationRequest"),
    ]
    assert places(found(check(" to uk-core"), WRONG)) == places(found(check(), WRONG))


def test_the_model_is_asked_where_a_rule_says_so() -> None:
    (one,) = found(check(" to model"), {**PATIENT, "birthDate": "x"})
    assert (one.severity, one.code, one.expression, one.rule) == ("error", "structure", "Patient.birthDate", "C")
    assert one.diagnostics.startswith("the model says: ")
    # what the models do not see, as facts.md of the design has it
    assert found(check(" to model"), {**PATIENT, "gender": "femle"}) == ()


def test_what_a_model_can_not_judge_is_not_taken_for_sound() -> None:
    inner = {"resourceType": "MedicinalProduct", "name": [{"productName": "x"}]}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]}
    rules = ruled(INGEST + CHECK.format(" to model", "error").replace("Patient, MedicationRequest", "Bundle"))
    (one,) = found(rules, bundle)
    assert (one.severity, one.code) == ("error", "not-supported")
    assert "could not be judged by its model" in one.diagnostics


def test_what_a_profile_advises_is_a_warning_whatever_the_check_says() -> None:
    assert places(found(check(" to uk-core"), ADVISED)) == [("warning", "code-invalid", "Patient.maritalStatus")]
    (one,) = found(check(" to uk-core", "information"), ADVISED)
    assert one.severity == "information"


def test_the_check_s_own_issue_type_and_words_stand_where_it_gives_them() -> None:
    (one,) = found(check(" to uk-core", 'warning business-rule "ask the help desk"'), TWICE)
    assert (one.severity, one.code) == ("warning", "business-rule")
    assert one.diagnostics == "ask the help desk: UKCore-Patient takes at most 1 `identifier:nhsNumber`"


def test_no_more_than_so_many_are_told_and_errors_first() -> None:
    extension = {"url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-None", "valueString": "x"}
    many = {**TWICE, "extension": [extension] * (MOST + 5)}
    told_ = found(check(" to uk-core"), many)
    assert len(told_) == MOST + 1
    assert (told_[0].severity, told_[1].severity, told_[-1].severity) == ("error", "warning", "information")
    assert told_[-1].diagnostics.startswith(f"the first {MOST} departures")


def test_in_a_condition_it_is_one_yes_or_no() -> None:
    rules = ruled(
        INGEST
        + """
check C "x"
  on result Patient
  when resource conforms to uk-core
  require Patient.gender is present
  otherwise error required
check D "x"
  on result Patient
  require resource conforms to uk-core or "old" in resource.meta.tag.code
  otherwise error structure
"""
    )
    assert [one.rule for one in found(rules, PATIENT)] == ["C"]
    assert [one.rule for one in found(rules, TWICE)] == ["D"]
    assert [one.rule for one in found(rules, {**TWICE, "meta": {"tag": [{"code": "old"}]}})] == []
    assert [one.rule for one in found(rules, ADVISED)] == ["C"]  # advice breaks nothing


def test_a_submitted_resource_is_told_of_where_it_stands() -> None:
    rules = submitting("Patient conforms to uk-core")
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in (PATIENT, TWICE)]}
    decision = rules.decide(sent(rules, bundle))
    assert (decision.effect, decision.by) == ("refuse", ("C",))
    assert places(decision.findings) == [("error", "structure", "Bundle.entry[1].resource.identifier[1]")]
    assert rules.decide(sent(rules, PATIENT)).effect == "permit"


@pytest.mark.parametrize("to", ["", " to model", " to uk-core"])
def test_explain_says_what_is_decided(to: str) -> None:
    rules = submitting(f"resource conforms{to}")
    for resource in (PATIENT, TWICE, WRONG, {**PATIENT, "birthDate": "x"}):
        facts = sent(rules, resource)
        account = Explainer(rules).explain(facts)
        assert account.agrees()
        for one in rules.decide(facts).findings:
            assert one.diagnostics in told.text(told.told(account))


def test_diff_tells_another_standard() -> None:
    (change,) = difference(check(" to model"), check(" to uk-core")).changes
    assert change.words == "check C now says: the resource keeps to uk-core (before: the resource keeps to model)"
    assert difference(check(" to uk-core"), check(" to uk-core")).changes == ()


def test_documents_say_it_in_words() -> None:
    (own,) = check(" to uk-core").domains["here"].checks
    assert demand(own, UNTITLED) == "the resource keeps to uk-core"
    assert TOLD[Check](own, UNTITLED).endswith(
        "unless the resource keeps to uk-core. It tells each departure by itself."
    )
    (domain,) = offered(check(" to uk-core"), vocabulary().tables).domains
    assert domain.checks[0].words.startswith("error by kind of departure")
    assert domain.checks[0].words.endswith(": the resource keeps to uk-core")


def test_fmt_leaves_it_as_it_is_written() -> None:
    text = "language 1\n" + CHECK.format(" to uk-core", "error")
    assert lay(Source("x.rules", text)).text == text
    assert lay(Source("x.rules", text.replace("conforms to", "conforms   to"))).text == text


def test_editors_offer_the_standards_and_tell_what_each_is() -> None:
    text = "language 1\n" + CHECK.format(" to uk-core", "error")
    at = text.index("uk-core")
    standing = book([Source("a.rules", text)], vocabulary())
    assert {one.text for one in complete(standing, "a.rules", at)} == {"model", "uk-core"}
    said = hover(standing, "a.rules", at + 2)
    assert said is not None
    assert "profiles in specs/fhir/uk-core" in said.text


def test_a_route_may_go_on_behind_it() -> None:
    found = loaded(load_sources([Source("0.rules", REGISTRY), Source("1.rules", ROUTED)], vocabulary()))
    assert [[one.name for one in route.targets] for route in found.domains["here"].routes] == [["record"]]


def test_the_reference_card_has_the_form() -> None:
    assert "PATH conforms to NAME" in card()
