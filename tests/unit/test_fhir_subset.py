"""`_summary` and `_elements`: https://hl7.org/fhir/R4/search.html#summary, #elements."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import fhir, specs

Json = dict[str, Any]
ELEMENTS = fhir.Elements(specs.fhir())
SUBSETTED = {"tag": [fhir.SUBSETTED]}
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "1",
    "text": {"status": "generated", "div": "<div/>"},
    "name": [{"family": "Marlow"}],
    "deceasedBoolean": False,
    "_birthDate": {"extension": [{"url": "urn:x", "valueString": "y"}]},
    "contact": [{"gender": "female"}],
    "link": [{"other": {"reference": "Patient/2"}, "type": "seealso"}],
}
OBSERVATION: Json = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "Weight"},
    "valueQuantity": {"value": 1},
    "component": [{"code": {"text": "a"}, "interpretation": [{"text": "b"}], "valueString": "c"}],
}


def names(resource: Json) -> list[str]:
    return [name for name in resource if name not in {"resourceType", "id", "meta"}]


def test_a_summary_holds_what_the_standard_marks() -> None:
    found = fhir.summary(PATIENT, "true", ELEMENTS)
    assert names(found) == ["name", "deceasedBoolean", "_birthDate", "link"]
    assert found["meta"] == SUBSETTED
    assert found["link"] == PATIENT["link"]


def test_a_summary_goes_into_backbone_elements() -> None:
    found = fhir.summary(OBSERVATION, "true", ELEMENTS)
    assert found["component"] == [{"code": {"text": "a"}, "valueString": "c"}]


def test_text_and_data_are_the_two_halves() -> None:
    assert names(fhir.summary(PATIENT, "text", ELEMENTS)) == ["text"]
    assert names(fhir.summary(OBSERVATION, "text", ELEMENTS)) == ["status", "code"]
    assert "text" not in fhir.summary(PATIENT, "data", ELEMENTS)
    assert fhir.summary(OBSERVATION, "data", ELEMENTS) is OBSERVATION


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["name"], ["name"]), (["deceased"], ["deceasedBoolean"]), (["birthDate"], ["_birthDate"]),
        (["contact", "link"], ["contact", "link"]), (["photo"], []),
    ],
)  # fmt: skip
def test_elements_are_those_named(wanted: list[str], found: list[str]) -> None:
    assert names(fhir.elements_of(PATIENT, wanted, ELEMENTS)) == found


def test_what_must_be_there_comes_too() -> None:
    assert names(fhir.elements_of(OBSERVATION, ["value"], ELEMENTS)) == ["status", "code", "valueQuantity"]


def test_what_loses_nothing_is_not_tagged() -> None:
    whole = {"resourceType": "Patient", "id": "1", "name": [{"family": "Marlow"}]}
    assert fhir.elements_of(whole, ["name"], ELEMENTS) is whole


def test_held_names_the_elements_that_are_there() -> None:
    paths = ["Patient.contact.gender", "Patient.contact.name", "Patient.birthDate", "Patient.photo", "Flag.status"]
    assert fhir.held(PATIENT, paths) == ("Patient.birthDate", "Patient.contact.gender")
