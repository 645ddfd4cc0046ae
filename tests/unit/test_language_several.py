"""Conditions about what a resource or message holds several of: codings, values of lists, repetitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.language.check import check
from gateway.language.functions import ERRORS, EvaluationError
from gateway.language.systems import may_be
from gateway.rules.reading import PATIENT, RESOURCE, reads
from tests.conditions import (
    NHS,
    NO,
    SCOPE,
    SNOMED,
    YES,
    condition,
    encounter,
    of,
    patient,
    resolved,
    sent,
)
from tests.conformance.rules.support import message
from tests.unit.test_language_compile import tree

# --- codings -------------------------------------------------------------------------------------------------------

CHEST = {"system": SNOMED, "code": "29857009"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (condition(CHEST), True),
        (condition({"system": "other", "code": "29857009"}), False),
        (condition({"system": "urn:oid:2.16.840.1.113883.6.96", "code": "1"}), False),
        (condition({"system": f"{SNOMED}/", "code": "29857009"}, CHEST), True),
        (condition({"system": SNOMED, "code": "1"}, CHEST), True),
        (condition({"code": "1"}), False),
        (condition({"display": "Chest pain"}), False),
        (condition(), False),
        ({"resourceType": "Condition"}, False),
        ({"resourceType": "Condition", "code": {"text": "Chest pain"}}, False),
        (condition({"code": "29857009"}, CHEST), True),
    ],
)
def test_codes(resource: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert of(f'Condition.code has code "29857009" in "{SNOMED}"', resource) is expected
    assert of("Condition.code has code sensitive", resource) is expected


@pytest.mark.parametrize(
    "resource",
    [
        condition({"code": "29857009"}),  # of no system: it may be meant
        condition({"system": "urn:oid:2.16.840.1.113883.6.96", "code": "29857009"}),  # SNOMED CT as CDA names it
        condition({"system": f"{SNOMED}|{SNOMED}/83821000000107", "code": "29857009"}),
        condition({"system": f"{SNOMED}/", "code": "29857009"}),
        condition({"system": SNOMED.upper().replace("HTTP:", "https:"), "code": "29857009"}),
        {"resourceType": "Condition", "code": "29857009"},
        {"resourceType": "Condition", "code": {"coding": {"code": "1"}}},
        {"resourceType": "Condition", "code": {"coding": ["29857009"]}},
        condition({"system": 5, "code": "1"}),
        {"resourceType": "Condition", "code": [{"coding": []}, {"coding": []}]},
    ],
)
def test_codes_that_can_not_be_told(resource: dict[str, Any]) -> None:
    for text in (f'Condition.code has code "29857009" in "{SNOMED}"', "Condition.code has code sensitive"):
        with pytest.raises(ERRORS):
            of(text, resource)


def test_codings_that_stand_alone_and_many() -> None:
    confidentiality = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    restricted = encounter(meta={"security": [{"system": "x", "code": "R"}, {"system": confidentiality, "code": "R"}]})
    text = f'resource.meta.security has code "R" in "{confidentiality}"'
    assert of(text, restricted)
    assert not of(text, encounter(meta={}))
    assert not of(text, encounter())
    visit = encounter(type=[{"coding": [{"system": SNOMED, "code": "1"}]}, {"coding": [CHEST]}])
    assert of("Encounter.type has code sensitive", visit)
    assert of("Encounter.class has code sensitive", encounter(**{"class": CHEST}))


@pytest.mark.parametrize(
    ("found", "system", "may"),
    [
        (None, SNOMED, True),
        ("http://hl7.org/fhir/v3/Confidentiality", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", True),
        ("http://hl7.org/fhir/v2/0203", "http://terminology.hl7.org/CodeSystem/v2-0203", True),
        ("http://hl7.org/fhir/v3/ActCode", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", False),
        ("urn:oid:2.16.840.1.113883.5.25", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", True),
        (SNOMED, "urn:oid:2.16.840.1.113883.6.96", True),
        ("urn:oid:2.16.840.1.113883.6.1", "urn:oid:2.16.840.1.113883.6.96", False),
        ("http://loinc.org", SNOMED, False),
    ],
)
def test_a_system_may_be_named_in_another_way(found: str | None, system: str, may: bool) -> None:  # noqa: FBT001 - as above
    assert may_be(found, system) is may


@pytest.mark.parametrize(
    ("system", "codes"),
    [
        (SNOMED, []),
        (f"{SNOMED}/", ["R127"]),
        ("https://snomed.info/sct", ["R127"]),
        ("http://snomd.info/sct", ["R127"]),
        ("http://snomed.info/scd", []),  # a site's own system may differ in one letter
        ("urn:oid:2.16.840.1.113883.6.96", []),
    ],
)
def test_a_system_that_is_nearly_a_declared_one_is_refused(system: str, codes: list[str]) -> None:
    found = check(
        tree(f'Condition.code has code "29857009" in "{system}"'), replace(SCOPE, resources=frozenset({"Condition"}))
    )
    assert [one.code for one in found.diagnostics] == codes


@pytest.mark.parametrize("resource", [condition(CHEST), condition(), {"resourceType": "Condition"}])
def test_a_missing_code_list_is_an_error(resource: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError):
        of("Condition.code has code none", resource)


# --- lists ---------------------------------------------------------------------------------------------------------


def numbered(*numbers: Any) -> dict[str, Any]:
    return patient(identifier=[{"system": NHS, "value": number} for number in numbers])


def test_patients_in_lists() -> None:
    assert of("patient listed in ndoo", encounter(), numbered(YES))
    assert of("patient listed in ndoo", encounter(), numbered("999 000 0018"))
    assert not of("patient listed in ndoo", encounter(), numbered(NO))
    assert of("patient listed in ndoo", encounter(), numbered(NO, YES))


@pytest.mark.parametrize(
    ("text", "someone"),
    [
        ("patient listed in ndoo", patient()),
        ("patient listed in ndoo", patient(identifier=[{"system": "other", "value": YES}])),
        ("patient listed in ndoo", numbered("9990000019")),
        ("patient listed in ndoo", numbered(YES, "unknown")),
        ("patient listed in ndoo", numbered(5)),
        ("patient listed in ndoo", patient(identifier="x")),
        ("patient listed in ndoo", patient(identifier=["x"])),
        ("patient listed in stale", numbered(NO)),
        ("patient listed in gone", numbered(NO)),
    ],
)
def test_a_patient_who_can_not_be_looked_up(text: str, someone: dict[str, Any]) -> None:
    for whole in (text, f"not {text}"):
        with pytest.raises(ERRORS):
            of(whole, encounter(), someone)


def test_texts_in_lists() -> None:
    assert sent("MSH-4.1 listed in sites", message("PID|1"))
    assert sent("PID-19 listed in ndoo", message("PID|1" + "|" * 18 + YES))
    # no guard is needed: what is absent is in no list
    for absent in ("false", "passes", "fails"):
        assert not sent("PID-19 listed in ndoo", message("PID|1"), absent)
    for text in ("PID-19 listed in gone", "PID-19 listed in stale"):
        with pytest.raises(EvaluationError):
            sent(text, message("PID|1"))
    with pytest.raises(EvaluationError):
        sent("PID-19 listed in ndoo", message("PID|1" + "|" * 18 + "none"))


# --- any and every -------------------------------------------------------------------------------------------------

TWO = message("PID|1||9990000018^^^NHS^NH~12^^^R0D^MR", "NK1|1|Smith^Ann~Jones^Ann|SPO", "NK1|2|Brown^Bob|FTH")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('any id in PID-3 satisfies id.5 is "NH"', True),
        ('every id in PID-3 satisfies id.5 is "NH"', False),
        ('every id in PID-3 where id.5 is "NH" satisfies id.1 is nhs-number', True),
        ('every id in PID-3 where id.5 is "MR" satisfies id.1 is nhs-number', False),
        ('any id in PID-3 where id.5 is "XX" satisfies id.1 is present', False),
        ('every id in PID-3 where id.5 is "XX" satisfies id.1 is absent', True),
        ("any id in PID-4 satisfies id.1 is present", False),
        ("every id in PID-4 satisfies id.1 is present", True),
        ('any id in PID-3 satisfies (id.5 is "MR" and id.4.1 is "R0D")', True),
        ("every id in PID-3 satisfies id is present", True),
        ('not any id in PID-3 satisfies id.5 is "NH"', False),
        # over every segment, and within one
        ('any n in NK1-2 satisfies n.1 is "Brown"', True),
        ('any n in NK1-2 satisfies (n.1 is "Jones" and NK1-3.1 is "SPO")', True),
        ('any n in NK1-2 satisfies (n.1 is "Brown" and NK1-3.1 is "SPO")', False),
        ('any n in NK1-2 satisfies any id in PID-3 satisfies (n.2 is "Bob" and id.5 is "MR")', True),
        ("every n in NK1-2 satisfies every m in NK1-2 satisfies n.2 is m.2", True),
        ('any n in NK1-2 satisfies any m in NK1-3 satisfies (n.1 is "Brown" and m.1 is "SPO")', False),
        ('any n in NK1-2 satisfies n.1 is "Smith" and any n in NK1-2 satisfies n.1 is "Jones"', True),
    ],
)
def test_over_messages(text: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert sent(text, TWO) is expected
    assert sent(f"not ({text})", TWO) is not expected
    # among others that read the same, so that what is shared is shared rightly
    assert sent(f'PID-8 is absent and PID-8 is absent and {text}\n and "NH" in PID-3.5', TWO) is expected


PEOPLE = patient(
    identifier=[{"system": NHS, "value": YES}, {"system": "x"}],
    contact=[{"gender": "female", "telecom": [{"system": "phone"}, {"system": "email"}]}, {"gender": "male"}],
    name=[{"given": ["Ann", "Bea"]}],
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'any i in Patient.identifier satisfies i.system is "{NHS}"', True),
        ("every i in Patient.identifier satisfies i.value is present", False),
        (f'every i in Patient.identifier where i.system is "{NHS}" satisfies i.value is nhs-number', True),
        ('any g in Patient.name.given satisfies g is "Bea"', True),
        ('every g in Patient.name.given satisfies g starts with "A"', False),
        ('any c in Patient.contact satisfies (c.gender is "female" and "email" in c.telecom.system)', True),
        ('any c in Patient.contact satisfies (c.gender is "male" and "email" in c.telecom.system)', False),
        ('any c in Patient.contact satisfies any t in c.telecom satisfies t.system is "email"', True),
        ('any c in resource.contact satisfies c.gender is "male"', True),
        ("any o in caller.organisations satisfies o is r0d", True),
        ("any o in source.organisations satisfies o in caller.organisations", False),
        ("every o in source.organisations satisfies o in caller.organisations", True),
        ('any i in patient.identifier satisfies i.system is "y"', True),
    ],
)
def test_over_resources(text: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert of(text, PEOPLE, patient(identifier=[{"system": "y"}])) is expected


def test_of_an_unreadable_repetition_nothing_can_be_told() -> None:
    broken = patient(identifier=["x"])
    with pytest.raises(EvaluationError):
        of('any i in Patient.identifier satisfies i.system is "x"', broken)
    with pytest.raises(EvaluationError):
        of("every i in Patient.identifier satisfies i.use is absent", broken)


def test_what_a_condition_reads_beside_the_facts() -> None:
    scope = replace(SCOPE, resources=frozenset({"Encounter"}))
    for text, expected in (
        ("caller breaks glass", set()),
        ("Encounter.status is present", {RESOURCE}),
        ("resource conforms", {RESOURCE}),
        ("patient has age under 16 years", {PATIENT}),
        ("patient listed in ndoo", {PATIENT}),
        ("patient.gender is present and source.domains is present", {PATIENT, RESOURCE}),
        ("any i in patient.identifier satisfies i.use is present", {PATIENT}),
        ("any o in source.organisations satisfies o in caller.organisations", {RESOURCE}),
    ):
        assert reads(resolved(text, scope)) == expected
