"""Views: what a search must carry, may carry, and what nobody may use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.rules.support import question, ruled

SEEN = """
permit S "GP viewers"
  to search, read Patient, Encounter
  when caller has role gp-viewer and purpose is TREAT
  asking _id or identifier or patient or (family and birthdate)
  allowing gender, _lastUpdated, status
  all rows
  hide Patient.telecom
permit C "Counters"
  to search Patient
  when caller has role counter
  asking name
  allowing phone
  all rows
"""
RULES = ruled(SEEN)
GOOD = [
    ("_id", "9990000018"),
    ("_id", "1,2,3"),
    ("identifier", "https://fhir.nhs.uk/Id/nhs-number|9990000018"),
    ("identifier", "|9990000018"),
]


@pytest.mark.parametrize("pair", GOOD)
def test_one_alternative_is_enough(pair: tuple[str, str]) -> None:
    assert RULES.decide(question(RULES, "Patient", pair)).by == ("S",)


def test_parameters_that_go_together() -> None:
    both = (("family", "Smith"), ("birthdate", "1990-01-01"))
    assert RULES.decide(question(RULES, "Patient", *both)).effect == "permit"
    assert RULES.decide(question(RULES, "Patient", both[0])).effect == "deny"
    assert RULES.decide(question(RULES, "Patient", both[1])).effect == "deny"


@pytest.mark.parametrize(
    "pairs",
    [
        (("_id:not", "1"),),
        (("_id:missing", "false"),),
        (("identifier", "https://fhir.nhs.uk/Id/nhs-number|"),),
        (("_id", ",".join(str(i) for i in range(11))),),
        (("family", "Smith"), ("birthdate", "ne1990-01-01")),
        (("_id", "1"), ("identifier:not", "2")),
        (),
        (("gender", "male"),),
    ],
)
def test_values_that_ask_for_everything_are_none(pairs: tuple[tuple[str, str], ...]) -> None:
    decision = RULES.decide(question(RULES, "Patient", *pairs))
    assert (decision.effect, decision.unusable) == ("deny", False)


OPEN = [
    (("birthdate", "ge1900-01-01"), "of birthdate, send a day or a month, or two bounds"),
    (("birthdate", "1980"), "of birthdate, send a day or a month"),
    (("birthdate", "ap1980-02-14"), "of birthdate, send a day"),
    (("birthdate", "gt1980-02-14"), "of birthdate, send a day"),
    (("birthdate", "sa1980-02-14"), "of birthdate, send a day"),
    (("birthdate", "le1980-02-14"), "of birthdate, send a day"),
    (("birthdate", "1980-02-14,ge1900"), "of birthdate, send a day"),
    (("family", "S"), "of family, send 2 characters or more"),
    (("family", " S "), "of family, send 2 characters or more"),
    (("family", "Smith,S"), "of family, send 2 characters or more"),
    (("family:exact", "S"), "of family, send 2 characters or more"),
]


@pytest.mark.parametrize(("pair", "words"), OPEN)
def test_what_is_asked_for_may_not_be_open(pair: tuple[str, str], words: str) -> None:
    other = ("birthdate", "1980-02-14") if pair[0].startswith("family") else ("family", "Smith")
    decision = RULES.decide(question(RULES, "Patient", other, pair))
    assert (decision.effect, decision.unusable) == ("deny", False)
    assert any(words in finding.diagnostics for finding in decision.wanting), decision.wanting


def bounds(low: str, high: str) -> str:
    facts = question(RULES, "Patient", ("family", "Smith"), ("birthdate", low), ("birthdate", high))
    return RULES.decide(facts).effect


def test_two_bounds_at_most_a_year_apart_are_closed() -> None:
    closed = [
        ("ge1980-01-01", "le1980-12-31"), ("gt1979-12-31", "lt1981-01-01"), ("sa1979-12-31", "eb1981-01-01"),
        ("le1980-12-31", "ge1980-01-01"), ("ge1980-02", "le1980-02"), ("ge1980", "le1980"),
        ("ge1980-02-14", "le1980-02-13"),
    ]  # fmt: skip
    open_ = [
        ("ge1980-01-01", "le1981-01-02"), ("ge1980", "le1981"), ("ge1900", "ge1980-01-01"), ("le1980", "le1981"),
        ("ge1980-01-01,ge1900", "le1980-12-31"), ("ge1980-01-01", "ne1980-12-31"), ("ge1980-01-01", "ap1980-12-31"),
        ("ge1980-01-01", "le1980-12-31,le2020"),
    ]  # fmt: skip
    assert {pair: bounds(*pair) for pair in closed} == dict.fromkeys(closed, "permit")
    assert {pair: bounds(*pair) for pair in open_} == dict.fromkeys(open_, "deny")


@pytest.mark.parametrize(
    "value", ["1980-02-14", "1980-02", "eq1980-02-14", "1980-02-14,1981-02-14", "1980-02-14T10:00Z"]
)
def test_a_day_or_a_month_is_narrow_enough(value: str) -> None:
    facts = question(RULES, "Patient", ("family", "Smith"), ("birthdate", value))
    assert RULES.decide(facts).effect == "permit"


def test_what_is_allowed_may_be_open() -> None:
    facts = question(RULES, "Patient", ("_id", "1"), ("_lastUpdated", "ge1900"))
    assert RULES.decide(facts).effect == "permit"


def test_ten_alternatives_are_taken() -> None:
    ten = ("_id", ",".join(str(i) for i in range(10)))
    assert RULES.decide(question(RULES, "Patient", ten)).effect == "permit"


def test_result_parameters_are_always_allowed() -> None:
    pairs = (("_id", "1"), ("_count", "5"), ("_total", "accurate"), ("_format", "json"), ("_pretty", "true"))
    assert RULES.decide(question(RULES, "Patient", *pairs)).effect == "permit"


def test_allowed_parameters_may_narrow() -> None:
    assert RULES.decide(question(RULES, "Patient", ("_id", "1"), ("gender:not", "male"))).effect == "permit"


def test_a_parameter_that_nobody_may_use_is_unusable() -> None:
    decision = RULES.decide(question(RULES, "Patient", ("_id", "1"), ("address", "x")))
    assert (decision.effect, decision.unusable) == ("deny", True)
    (wanted,) = decision.wanting
    assert wanted.expression == "address"
    assert wanted.diagnostics == (
        "address can not be used to search Patient; "
        "usable are: _id, _lastUpdated, birthdate, family, gender, identifier, name, phone"
    )


def test_it_is_unusable_whoever_asks() -> None:
    nobody = question(RULES, "Patient", ("address", "x"), caller="nobody", purpose=None)
    assert RULES.decide(nobody).unusable


def test_a_parameter_of_another_view_is_named_and_what_would_work_too() -> None:
    decision = RULES.decide(question(RULES, "Patient", ("_id", "1"), ("phone", "2")))
    assert (decision.effect, decision.unusable) == ("deny", False)
    mine = [f.diagnostics for f in decision.wanting if f.rule == "S"]
    (words,) = mine
    assert words.startswith("phone is not among the parameters that this rule allows; this would work: ")
    assert words.endswith("GET /Patient?_id=[value] with purpose-of-use: TREAT")


def test_two_views_are_not_added_up() -> None:
    registry_role = RULES.caller("partner")
    assert registry_role is not None
    decision = RULES.decide(question(RULES, "Patient", ("_id", "1"), ("name", "x")))
    assert decision.effect == "deny"


@pytest.mark.parametrize(
    ("sort", "effect"), [("_lastUpdated", "permit"), ("-gender", "permit"), ("phone", "deny"), ("address", "deny")]
)
def test_sorting_is_by_what_may_be_searched(sort: str, effect: str) -> None:
    assert RULES.decide(question(RULES, "Patient", ("_id", "1"), ("_sort", sort))).effect == effect


def test_an_alternative_counts_for_types_that_have_it_whole() -> None:
    assert RULES.decide(question(RULES, "Encounter", ("patient", "Patient/1"))).effect == "permit"
    assert RULES.decide(question(RULES, "Encounter", ("status", "finished"))).effect == "deny"
    wanting = RULES.decide(question(RULES, "Encounter")).wanting
    assert wanting[0].diagnostics.startswith("a search of Encounter must carry _id or identifier or patient;")


def test_a_read_needs_no_parameters() -> None:
    decision = RULES.decide(question(RULES, "Patient", action="read"))
    assert (decision.effect, decision.by) == ("permit", ("S",))
    denied = RULES.decide(question(RULES, "Patient", action="read", caller="nobody"))
    assert denied.wanting[0].diagnostics == "the principal does not have the role gp-viewer"


READERS = """
permit A "Viewers"
  to read Patient
  when caller has role gp-viewer and purpose is TREAT
  all rows
permit B "Those who count"
  to read Patient
  when caller has role counter and purpose is HOPERAT
  all rows
permit C "Anybody for operations, in an emergency"
  to read Patient
  when purpose is HOPERAT and environment is "production"
  all rows
"""


def test_what_would_work_is_what_this_caller_may_do() -> None:
    rules = ruled(READERS)

    def lacked(**asked: Any) -> dict[str | None, list[str]]:
        found: dict[str | None, list[str]] = {}
        for finding in rules.decide(question(rules, "Patient", action="read", **asked)).wanting:
            found.setdefault(finding.rule, []).append(finding.diagnostics)
        return found

    would = "this would work: GET /Patient/[id] with purpose-of-use: TREAT"
    # a viewer, who may not count
    told = lacked(purpose=None)
    assert told["A"] == [f"purpose-of-use must be TREAT; {would}"]
    assert not any("would work" in words for rule, each in told.items() if rule != "A" for words in each)
    # B lacks the role alone, A the purpose alone; what would work is A, as before
    told = lacked(purpose="HOPERAT")
    assert told["A"] == [f"purpose-of-use must be TREAT; {would}"]
    assert told["B"] == ["the principal does not have the role counter"]
    # who is neither is offered nothing
    told = lacked(caller="nobody", purpose="TREAT")
    assert told
    assert "would work" not in str(told)


def test_a_type_or_action_that_no_rule_grants() -> None:
    for facts in (question(RULES, "Observation"), question(RULES, "Patient", action="history")):
        decision = RULES.decide(facts)
        assert (decision.effect, decision.unusable) == ("deny", False)
        assert decision.wanting[0].diagnostics.startswith("no rule lets anyone ")


def test_a_search_without_a_query_is_one_without_parameters() -> None:
    rules = ruled(SEEN)
    facts = question(rules, "Patient", ("_id", "1"))
    bare = type(facts)(facts.action, facts.caller, "test", facts.now, facts.today, purpose="TREAT", type="Patient")
    assert rules.decide(bare).effect == "deny"


# --- 10. views together --------------------------------------------------------------------------------------------

TWO = """
permit A "Finished ones without class"
  to read Encounter
  when caller has role gp-viewer
  rows Encounter where Encounter.status is "finished"
  hide Encounter.class, Encounter.period.start
permit B "Those of R0D without period"
  to read Encounter
  when caller has role gp-viewer
  rows Encounter where Encounter.serviceProvider is r0d
  hide Encounter.period
"""


def test_an_element_is_hidden_if_every_releasing_view_hides_it() -> None:
    rules = ruled(TWO)
    facts = question(rules, "Encounter", action="read")
    decision = rules.decide(facts)
    assert decision.by == ("A", "B")
    ours = {"resourceType": "Encounter", "serviceProvider": {"reference": "Organization/R0D"}}
    assert rules.release(facts, decision, {**ours, "status": "planned"}).hide == {"Encounter.period"}
    both = rules.release(facts, decision, {**ours, "status": "finished"})
    assert both.by == ("A", "B")
    assert both.hide == {"Encounter.period.start"}
    other = rules.release(facts, decision, {"resourceType": "Encounter", "status": "finished"})
    assert other.by == ("A",)
    assert other.hide == {"Encounter.class", "Encounter.period.start"}
    assert not rules.release(facts, decision, {"resourceType": "Encounter", "status": "planned"}).released
    assert not rules.release(facts, decision, {"resourceType": "Patient"}).released
    assert not rules.release(facts, decision, {}).released


def test_rows_become_parameters_where_they_can() -> None:
    rules = ruled(
        """
set shown = "finished", "in-progress"
condition own
  means caller has role gp-viewer
permit N "x"
  to read Encounter
  when own
  rows Encounter where Encounter.serviceProvider in r0d, rdz and Encounter.status in shown
    and (Encounter.class.code is "EMER" or Encounter.length is present)
permit O "x"
  to read Encounter
  rows Encounter where Encounter.status is "finished" or Encounter.status is "planned"
permit Q "x"
  to read Encounter
  rows Encounter where Encounter.status is "finished" and not Encounter.status is "planned"
"""
    )
    decision = rules.decide(question(rules, "Encounter", action="read"))
    assert {view.permit: view.narrow for view in decision.views} == {
        "N": (
            ("service-provider", ("Organization/R0D", "Organization/RDZ")),
            ("status", ("finished", "in-progress")),
        ),
        "O": (),
        "Q": (("status", ("finished",)),),
    }


def test_a_permit_about_the_resource_is_asked_of_each() -> None:
    rules = ruled(
        """
permit A "x"
  to read Encounter
  when purpose is TREAT and Encounter.status is present and Encounter.status is "finished"
  all rows
permit B "x"
  to read Patient
  when Patient.active is present and Patient.active is true
    or Patient.gender is present
  all rows
""".replace("and Patient.active is true\n    or", "and (Patient.active is true or Patient.active is false)\n    and")
    )
    facts = question(rules, "Encounter", action="read")
    decision = rules.decide(facts)
    assert rules.release(facts, decision, {"resourceType": "Encounter", "status": "finished"}).released
    assert not rules.release(facts, decision, {"resourceType": "Encounter", "status": "planned"}).released
    assert not rules.release(facts, decision, {"resourceType": "Encounter"}).released
    assert rules.decide(question(rules, "Encounter", action="read", purpose=None)).effect == "deny"
    patients = question(rules, "Patient", action="read")
    seen = rules.decide(patients)
    active = {"resourceType": "Patient", "active": True, "gender": "female"}
    assert rules.release(patients, seen, active).released
    assert not rules.release(patients, seen, {**active, "active": "yes"}).released


def test_a_forbid_about_the_request_denies_whatever_is_permitted() -> None:
    rules = ruled(
        SEEN
        + """
forbid F "Never at night"
  to search Patient
  when environment is "test" and purpose is present and purpose is TREAT
forbid G "Encounters are closed"
  to read Encounter
"""
    )
    search = rules.decide(question(rules, "Patient", ("_id", "1")))
    assert (search.effect, search.by, search.findings[0].diagnostics) == ("deny", ("F",), "Never at night")
    assert rules.decide(question(rules, "Encounter", action="read")).by == ("G",)
    assert rules.decide(question(rules, "Patient", action="read")).effect == "permit"


def test_a_forbid_that_errs_denies_a_search() -> None:
    rules = ruled(SEEN + '\nforbid F "x"\n  to search Patient\n  when now < today\n')
    facts = question(rules, "Patient", ("_id", "1"))
    assert rules.decide(facts).effect == "permit"
    decision = rules.decide(replace(facts, now="soon"))  # type: ignore[arg-type]  # what is wrong on purpose
    assert (decision.effect, decision.erred) == ("deny", ("F",))


def test_only_the_nearest_permits_are_named() -> None:
    decision = RULES.decide(question(RULES, "Patient", ("family", "Smith")))
    assert {f.rule for f in decision.wanting} == {"S"}
