"""Ids that the same fact always gets."""

from __future__ import annotations

import re
import uuid

import pytest

from gateway import fhir
from gateway.fhir.identity import NAMESPACE


@pytest.mark.parametrize("text", ["9990000018", "999 000 0018", "999-000-0018"])
def test_a_valid_nhs_number(text: str) -> None:
    assert fhir.valid_nhs_number(text)
    assert fhir.nhs_number_digits(text) == "9990000018"


@pytest.mark.parametrize(
    "text",
    [
        "9990000000",  # modulus 11 fails
        "0000000000",  # ten equal digits pass modulus 11
        "1111111111",
        "999000001",
        "99900000180",
        "999 0000018",
        "999 000-0018",
        " 9990000018",
        "9990000018\n",
        "٩٩٩٠٠٠٠٠١٨",  # digits of another script
        "",
        "abc",
    ],
)
def test_not_an_nhs_number(text: str) -> None:
    assert not fhir.valid_nhs_number(text)


def test_a_patient_with_one_valid_nhs_number_has_it_as_id() -> None:
    assert fhir.patient_id(["9990000018"]) == "9990000018"
    assert fhir.patient_id(["999 000 0018", "9990000018", "9990000000"]) == "9990000018"
    assert fhir.patient_id(["9990000018", "9990000026"]) is None
    assert fhir.patient_id(["9990000000"]) is None
    assert fhir.patient_id([]) is None


def test_an_organization_has_its_ods_code_as_id() -> None:
    assert fhir.organization_id("r0d") == "R0D"
    assert fhir.organization_id(" 8HK01 ") == "8HK01"
    for other in ("", "R0", "R0D/1", "A" * 13, "RÖD"):
        assert fhir.organization_id(other) is None


def test_a_derived_id_is_the_same_for_ever() -> None:
    # a change of this value would make every stored Encounter a second one
    assert fhir.derived_id("Encounter", "R0D", "V1") == "80829be9-c04b-5a96-90eb-74aa910972bd"
    assert re.fullmatch(r"[A-Za-z0-9.\-]{1,64}", fhir.derived_id("Encounter", "", ""))


def test_a_derived_id_is_a_uuid_of_version_5() -> None:
    for authority in ("", "R0D", "Übernahme", "漢字"):
        for value in map(str, range(50)):
            name = f"Encounter/{len(authority)}:{authority}/{len(value)}:{value}"
            assert fhir.derived_id("Encounter", authority, value) == str(uuid.uuid5(NAMESPACE, name))


def test_different_facts_have_different_derived_ids() -> None:
    facts = [
        ("Encounter", "R0D", "V1"),
        ("Condition", "R0D", "V1"),
        ("Encounter", "RDZ", "V1"),
        ("Encounter", "R0D", "V2"),
    ]
    facts += [("Encounter", "a", "b/1:c"), ("Encounter", "a/1:b", "c"), ("Encounter", "", "R0DV1")]
    assert len({fhir.derived_id(*fact) for fact in facts}) == len(facts)
