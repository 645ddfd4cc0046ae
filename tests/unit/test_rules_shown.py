"""What is shown of stored resources: masks, forbids on patients and sources, links, lists, glass, decided on facts.

Source: `rules-language.md` of the design, meaning 2 and 9 to 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from gateway import fhir, specs
from gateway.rules import Release, RuleSet, load_sources
from gateway.rules.around import NOTHING, Around, Reading, Referring
from gateway.source import Source, render
from tests.conformance.rules.support import DOMAIN, REGISTRY, TODAY, question, vocabulary

MARKS = fhir.Marks(specs.fhir().systems.marks)
LISTS = """
list optout "Opt-outs" of nhs-number from "lists/optout.csv" stale after 10 days
codes sexual "Sexual health" from "codes/sexual.csv"
principal breaker "May break glass"
  connects as qvv
  roles gp-viewer
  may assert purpose TREAT
  may break glass
"""
FILES = {
    "lists/optout.csv": b"# as of 2026-05-10\nnhs-number\n9990000026\n",
    "codes/sexual.csv": b"system,code\nhttp://snomed.info/sct,186729003\n",
}
PERMIT = """
permit P "GPs see"
  to search, count, read, history Patient, Condition, Encounter, Observation, Location
  when caller has role gp-viewer
  allowing _id, family, address-city, patient, status
  all rows
"""
PATIENT = {
    "resourceType": "Patient",
    "id": "1",
    "birthDate": "1980-01-01",
    "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}],
    "address": [{"city": "Poole"}],
    "telecom": [{"value": "01202 960001"}],
}
CHILD = {
    **PATIENT,
    "id": "2",
    "birthDate": "2015-01-01",
    "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000026"}],
}
AROUND: Around = {Reading("Patient", "1"): (PATIENT,), Reading("Patient", "2"): (CHILD,)}


def ruled(rules: str, files: Mapping[str, bytes] = FILES, today: date | None = None) -> RuleSet:
    sources = [Source("0.rules", REGISTRY + LISTS), Source("1.rules", DOMAIN + PERMIT + rules)]
    found = load_sources(sources, vocabulary(), read=files.get, today=today)
    assert found.rules is not None, "\n".join(render(d) for d in found.diagnostics)
    return found.rules


def released(
    rules: RuleSet, resource: Mapping[str, Any], around: Around = AROUND, *, glass: bool = False, **asked: Any
) -> Release:
    facts = question(rules, resource["resourceType"], caller="breaker", action=asked.pop("action", "read"), **asked)
    if glass:
        facts = type(facts)(**{name: getattr(facts, name) for name in facts.__slots__} | {"glass": True})
    decision = rules.decide(facts)
    assert decision.effect == "permit", decision
    wanted = rules.wants(facts, decision, [resource])
    return rules.release(facts, decision, resource, {want: found for want, found in around.items() if want in wanted})


def about(*patients: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    subject = {"reference": f"Patient/{patients[0]}"} if patients else {"display": "somebody"}
    others = {"asserter": {"reference": f"Patient/{patients[1]}"}} if len(patients) > 1 else {}
    return {"resourceType": "Condition", "id": "c", "subject": subject, **others, **(more or {})}


def told(resource: Mapping[str, Any], organisation: str) -> dict[str, Any]:
    return fhir.contributed(dict(resource), organisation=organisation, domain="here", marks=MARKS)


# --- masks ---------------------------------------------------------------------------------------------------------

MASK = """
mask M "RDZ's addresses stay at RDZ"
  to search, read, history Patient
  when rdz in source.organisations and caller.roles lacks counter
  hide Patient.address
"""


def test_a_mask_hides_where_it_holds_and_only_there() -> None:
    rules = ruled(MASK)
    theirs, ours = released(rules, told(PATIENT, "rdz")), released(rules, told(PATIENT, "r0d"))
    assert (theirs.released, theirs.hide, theirs.masked) == (True, frozenset({"Patient.address"}), ("M",))
    assert theirs.by == ("P", "M")
    assert (ours.released, ours.hide, ours.masked) == (True, frozenset(), ())


def test_a_mask_that_errs_hides_and_the_resource_is_shown() -> None:
    rules = ruled(MASK)
    seen = released(rules, {**PATIENT, "meta": {"tag": "nonsense"}})
    assert (seen.released, seen.hide, seen.erred) == (True, frozenset({"Patient.address"}), ("M",))


def test_what_is_masked_can_not_be_searched_or_sorted_by() -> None:
    rules = ruled(MASK)
    theirs = told(PATIENT, "rdz")
    for asked in ([("address-city", "Poole")], [("_id", "1"), ("_sort", "address-city")]):
        facts = question(rules, "Patient", *asked, caller="breaker")
        decision = rules.decide(facts)
        assert decision.judged, "what is held back has to be told from what is not"
        assert not rules.release(facts, decision, theirs).released
        assert rules.release(facts, decision, told(PATIENT, "r0d")).released
    facts = question(rules, "Patient", ("_id", "1"), caller="breaker")
    assert rules.release(facts, rules.decide(facts), theirs).released


def test_what_a_search_hides_is_not_counted_by() -> None:
    rules = ruled(MASK)
    facts = question(rules, "Patient", ("address-city", "Poole"), caller="breaker", action="count")
    assert not rules.release(facts, rules.decide(facts), told(PATIENT, "rdz")).released


def test_a_mask_on_the_request_alone_refuses_such_a_search() -> None:
    rules = ruled('\nmask M "x"\n  to search Patient\n  when caller.roles lacks counter\n  hide Patient.address\n')
    denied = rules.decide(question(rules, "Patient", ("address-city", "Poole"), caller="breaker"))
    assert (denied.effect, denied.by) == ("deny", ("M",))
    assert [(f.rule, f.expression) for f in denied.findings] == [("M", "address-city")]
    assert rules.decide(question(rules, "Patient", ("_id", "1"), caller="breaker")).effect == "permit"


# --- the patient ---------------------------------------------------------------------------------------------------

UNDER_16 = """
forbid F "Sexual health of the under-sixteens"
  to search, count, read, history Condition
  when Condition.code has code sexual and patient has age under 16 years and not caller breaks glass
"""
SEXUAL = {"code": {"coding": [{"system": "http://snomed.info/sct", "code": "186729003"}]}}
OTHER = {"code": {"coding": [{"system": "http://snomed.info/sct", "code": "29857009"}]}}


@pytest.mark.parametrize(
    ("condition", "shown"),
    [
        (about("2", more=SEXUAL), False),
        (about("1", more=SEXUAL), True),
        (about("2", more=OTHER), True),
        (about("1", "2", more=SEXUAL), False),  # any patient triggers a forbid
        (about("3", more=SEXUAL), False),  # not to be found: it errs
        (about(more=SEXUAL), False),
        (about(more=OTHER), True),
    ],
)
def test_a_forbid_on_the_patient(condition: dict[str, Any], *, shown: bool) -> None:
    seen = released(ruled(UNDER_16), condition)
    assert seen.released is shown
    assert seen.by == (("P",) if shown else ("F",))


def test_broken_glass_lets_it_pass_and_nothing_is_fetched() -> None:
    rules = ruled(UNDER_16)
    assert released(rules, about("2", more=SEXUAL), NOTHING, glass=True).released


def test_the_patient_is_wanted_only_where_the_request_leaves_it_open() -> None:
    rules = ruled(
        '\nforbid F "x"\n  to read any\n'
        "  when (purpose is absent or purpose is not TREAT) and patient listed in optout\n"
    )
    open_one = question(rules, "Condition", caller="breaker", action="read", purpose=None)
    settled = question(rules, "Condition", caller="breaker", action="read")
    assert rules.wants(open_one, rules.decide(open_one), [about("2")]) == {Reading("Patient", "2")}
    assert rules.wants(settled, rules.decide(settled), [about("2")]) == frozenset()
    assert not rules.release(open_one, rules.decide(open_one), about("2"), AROUND).released
    assert rules.release(open_one, rules.decide(open_one), about("1"), AROUND).released
    # a Patient is its own patient, and what is nobody's is not concerned
    assert not rules.release(open_one, rules.decide(open_one), CHILD).released
    place = question(rules, "Location", caller="breaker", action="read", purpose=None)
    assert rules.release(place, rules.decide(place), {"resourceType": "Location", "id": "l"}).released


def test_a_permit_needs_all_patients() -> None:
    rules = ruled(
        '\npermit Q "x"\n  to read Encounter\n  when caller has role counter\n  all rows\n'
        'permit R "x"\n  to read AllergyIntolerance\n'
        "  when caller has role gp-viewer and patient has age 16 years or over\n  all rows\n"
    )
    both = {"resourceType": "AllergyIntolerance", "id": "a", "patient": {"reference": "Patient/1"}}
    assert released(rules, both).released
    assert not released(rules, {**both, "asserter": {"reference": "Patient/2"}}).released
    assert not released(rules, both, NOTHING).released


# --- lists ---------------------------------------------------------------------------------------------------------

LISTED = '\nforbid F "x"\n  to read Condition\n  when patient listed in optout\n'


@pytest.mark.parametrize(
    ("files", "today", "shown"),
    [
        (FILES, TODAY, True),
        (FILES, date(2026, 5, 20), True),
        (FILES, date(2026, 5, 21), False),  # stale
        (FILES, date(2026, 5, 9), False),  # of a day to come
        ({}, TODAY, False),  # missing
        ({**FILES, "lists/optout.csv": b"# as of 2026-05-10\nnhs-number\n999\n"}, TODAY, False),
        ({**FILES, "lists/optout.csv": b"# as of 2026-05-10\nnhs-number\n"}, TODAY, False),  # cut off
    ],
)
def test_a_list_that_is_missing_or_stale_makes_the_rule_err(
    files: Mapping[str, bytes], today: date, *, shown: bool
) -> None:
    seen = released(ruled(LISTED, files), about("1"), today=today)
    assert seen.released is shown
    assert seen.erred == (() if shown else ("F",))


def test_a_list_is_hashed_with_the_rules() -> None:
    other = {**FILES, "lists/optout.csv": FILES["lists/optout.csv"] + b"9990000034\n"}
    assert len({ruled(LISTED).digest, ruled(LISTED, other).digest, ruled(LISTED, {}).digest}) == 3


# --- linked by -----------------------------------------------------------------------------------------------------

HERE = {"resourceType": "Encounter", "id": "e", "serviceProvider": {"reference": "Organization/R0D"}}
AWAY = {"resourceType": "Encounter", "id": "e", "serviceProvider": {"reference": "Organization/X26"}}
LINKS = """
permit L "x"
  to search, read Procedure
  when caller has role gp-viewer
  allowing _id
  rows Procedure linked by Procedure.encounter where Encounter.serviceProvider in caller.organisations
permit K "x"
  to read Group
  when caller has role gp-viewer
  rows Group linked by Encounter.subject where Encounter.serviceProvider in caller.organisations
"""


@pytest.mark.parametrize(
    ("around", "shown", "erred"),
    [
        ({Reading("Encounter", "e"): (HERE,)}, True, ()),
        ({Reading("Encounter", "e"): (AWAY,)}, False, ()),
        ({Reading("Encounter", "e"): None}, False, ("L",)),
        (NOTHING, False, ("L",)),
    ],
)
def test_a_row_is_shown_by_what_it_refers_to(around: Around, shown: bool, erred: tuple[str, ...]) -> None:  # noqa: FBT001 - a column of the table above
    procedure = {"resourceType": "Procedure", "id": "p", "encounter": {"reference": "Encounter/e"}}
    seen = released(ruled(LINKS), procedure, around)
    assert (seen.released, seen.erred) == (shown, erred)
    assert not released(ruled(LINKS), {"resourceType": "Procedure", "id": "p"}, around).released


@pytest.mark.parametrize(("found", "shown"), [((AWAY, HERE), True), ((AWAY,), False), ((), False), (None, False)])
def test_a_row_is_shown_by_what_refers_to_it(found: Any, *, shown: bool) -> None:
    want = Referring("Encounter", "subject", "Group/g")
    seen = released(ruled(LINKS), {"resourceType": "Group", "id": "g"}, {want: found})
    assert seen.released is shown
    assert seen.erred == (("K",) if found is None else ())


CARED = """
permit C "x"
  to read Patient, Procedure, Device
  when caller has role gp-viewer
  rows Patient, Procedure linked by Encounter.subject where Encounter.serviceProvider in caller.organisations
  all rows Device
"""
VISITS = {name: Referring("Encounter", "patient", f"Patient/{name}") for name in ("1", "2")}


@pytest.mark.parametrize(
    ("first", "second", "shown", "erred"),
    [
        ((AWAY, HERE), (HERE,), True, ()),
        ((HERE,), (AWAY,), False, ()),
        ((HERE,), (), False, ()),
        ((HERE,), None, False, ("C",)),
    ],
)
def test_a_row_is_shown_by_what_is_of_the_same_patient_and_of_each_where_there_are_several(
    first: Any, second: Any, *, shown: bool, erred: tuple[str, ...]
) -> None:
    around: Around = {VISITS["1"]: first, VISITS["2"]: second}
    both = {
        "resourceType": "Procedure",
        "id": "p",
        "subject": {"reference": "Patient/1"},
        "performer": [{"actor": {"reference": "Patient/2"}}],
    }
    seen = released(ruled(CARED), both, around)
    assert (seen.released, seen.erred) == (shown, erred)
    assert released(ruled(CARED), {**both, "performer": []}, around).released
    # of whom nobody can tell whose it is nothing is known
    assert released(ruled(CARED), {"resourceType": "Procedure", "id": "p"}, around).erred == ("C",)


def test_links_make_a_decision_judged_and_are_not_narrowed() -> None:
    rules = ruled(LINKS)
    decision = rules.decide(question(rules, "Procedure", ("_id", "p"), caller="breaker"))
    assert decision.judged
    assert decision.views[0].narrow == ()


# --- names of actions ----------------------------------------------------------------------------------------------


def test_actions_that_are_not_carried_out_yet_are_decided_all_the_same() -> None:
    rules = ruled(
        '\npermit D "x"\n  to delete, patch, operation everything Patient\n'
        "  when caller has role gp-viewer\n  all rows\n"
    )
    for action in ("delete", "patch", "operation everything"):
        assert rules.decide(question(rules, "Patient", caller="breaker", action=action)).by == ("D",)
        assert rules.decide(question(rules, "Encounter", caller="breaker", action=action)).effect == "deny"
    assert rules.decide(question(rules, "Patient", caller="breaker", action="operation lastn")).effect == "deny"


def test_paths_of_the_patient_and_domains_of_the_source_are_read() -> None:
    rules = ruled(
        '\nforbid F "x"\n  to read Condition\n  when patient.birthDate is present and patient.birthDate > 2010-01-01\n'
        'forbid G "x"\n  to read Patient\n  when here in source.domains\n'
    )
    assert released(rules, about("1")).by == ("P",)
    assert released(rules, about("2")).by == ("F",)
    assert released(rules, told(PATIENT, "r0d")).by == ("G",)
    assert released(rules, PATIENT).by == ("P",)
