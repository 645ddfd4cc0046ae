"""Validation against the element table: each kind of fault by rule and place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway import fhir, specs

ELEMENTS = fhir.Elements(specs.fhir())


def found(resource: Any) -> list[tuple[str | None, str | None]]:
    return [(f.rule, f.expression) for f in fhir.validate(resource, ELEMENTS)]


def patient(**elements: Any) -> fhir.Resource:
    return {"resourceType": "Patient", **elements}


def observation(**elements: Any) -> fhir.Resource:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **elements}


@pytest.mark.parametrize(
    "resource",
    [
        patient(),
        patient(gender="female", birthDate="1990-02-28", deceasedBoolean=False, multipleBirthInteger=2),
        patient(birthDate="1990", _birthDate={"extension": [{"url": "http://x.example", "valueDateTime": "1990"}]}),
        patient(_birthDate={"id": "a"}),
        patient(name=[{"given": ["A", None], "_given": [None, {"id": "a"}]}]),
        patient(name=[{"_given": [{"id": "a"}]}]),
        patient(
            contained=[{"resourceType": "Organization", "id": "o", "name": "x"}],
            managingOrganization={"reference": "#o"},
        ),
        patient(managingOrganization={"reference": "Organization/1/_history/2"}),
        patient(managingOrganization={"reference": "https://x.example/fhir/Organization/1", "type": "Organization"}),
        patient(managingOrganization={"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}),
        patient(managingOrganization={"display": "an organisation", "type": "http://x.example/logical"}),
        patient(photo=[{"contentType": "image/png", "data": "QUJD", "size": 3}]),
        observation(valueQuantity={"value": Decimal("72.50")}),
        observation(valueInteger=-(2**31 - 1)),
        observation(valueDateTime="2024-02-29T24:00:00Z".replace("24:", "23:")),
        observation(code={"text": "non-breaking\u00a0space"}),
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient()}]},
        {
            "resourceType": "Condition",
            "subject": {"reference": "Patient/1"},
            "clinicalStatus": {
                "coding": [
                    {"system": "urn:local", "code": "a"},
                    {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"},
                ]
            },
        },
    ],
)
def test_a_right_resource_has_no_findings(resource: fhir.Resource) -> None:
    assert found(resource) == []


@pytest.mark.parametrize(
    ("resource", "rule", "place"),
    [
        ([], "FHIR-JSON", "Resource"),
        ({}, "FHIR-TYPE", "Resource"),
        ({"resourceType": "Patinet"}, "FHIR-TYPE", "Resource"),
        ({"resourceType": "DomainResource"}, "FHIR-TYPE", "Resource"),
        ({"resourceType": 1}, "FHIR-TYPE", "Resource"),
        (patient(birthdate="1990"), "FHIR-UNKNOWN", "Patient.birthdate"),
        (patient(deceasedString="x"), "FHIR-UNKNOWN", "Patient.deceasedString"),
        (patient(_name=[{}]), "FHIR-UNKNOWN", "Patient._name"),
        (patient(name=[{"famly": "x"}]), "FHIR-UNKNOWN", "Patient.name[0].famly"),
        (patient(name=[{"resourceType": "x"}]), "FHIR-UNKNOWN", "Patient.name[0].resourceType"),
        (patient(gender=["male"]), "FHIR-JSON", "Patient.gender"),
        (patient(name={"family": "x"}), "FHIR-JSON", "Patient.name"),
        (patient(name=["x"]), "FHIR-JSON", "Patient.name[0]"),
        (patient(name=[None]), "FHIR-JSON", "Patient.name[0]"),
        (patient(gender=1), "FHIR-JSON", "Patient.gender"),
        (patient(active="true"), "FHIR-JSON", "Patient.active"),
        (patient(active=1), "FHIR-JSON", "Patient.active"),
        (patient(multipleBirthInteger=True), "FHIR-JSON", "Patient.multipleBirthInteger"),
        (patient(multipleBirthInteger="2"), "FHIR-JSON", "Patient.multipleBirthInteger"),
        (patient(multipleBirthInteger=Decimal("2.0")), "FHIR-JSON", "Patient.multipleBirthInteger"),
        (patient(contained=["x"]), "FHIR-JSON", "Patient.contained[0]"),
        (patient(contained=[{"resourceType": "X"}]), "FHIR-TYPE", "Patient.contained[0]"),
        (patient(name=[]), "FHIR-EMPTY", "Patient.name"),
        (patient(name=[{}]), "FHIR-EMPTY", "Patient.name[0]"),
        (patient(name=[{"given": ["A", None]}]), "FHIR-EMPTY", "Patient.name[0].given[1]"),
        (patient(name=[{"given": [None], "_given": [None]}]), "FHIR-EMPTY", "Patient.name[0].given[0]"),
        (patient(name=[{"given": ["A", None], "_given": [{"id": "a"}]}]), "FHIR-EMPTY", "Patient.name[0].given[1]"),
        (patient(name=[{"family": ""}]), "FHIR-FORMAT", "Patient.name[0].family"),
        (patient(id="x" * 65), "FHIR-FORMAT", "Patient.id"),
        (patient(birthDate="1990-2-1"), "FHIR-FORMAT", "Patient.birthDate"),
        (patient(birthDate="2023-02-29"), "FHIR-FORMAT", "Patient.birthDate"),
        (patient(deceasedDateTime="2024-01-01T10:00"), "FHIR-FORMAT", "Patient.deceasedDateTime"),
        (patient(photo=[{"data": "a" * 5}]), "FHIR-FORMAT", "Patient.photo[0].data"),
        (patient(photo=[{"size": -1}]), "FHIR-FORMAT", "Patient.photo[0].size"),
        (observation(valueInteger=2**31), "FHIR-FORMAT", "Observation.valueInteger"),
        (patient(gender="femle"), "FHIR-CODE", "Patient.gender"),
        (patient(link=[{"other": {"reference": "Patient/1"}}]), "FHIR-MIN", "Patient.link[0]"),
        ({"resourceType": "Observation", "code": {"text": "x"}}, "FHIR-MIN", "Observation"),
        (patient(deceasedBoolean=True, deceasedDateTime="2024"), "FHIR-MAX", "Patient"),
        (patient(managingOrganization={"reference": "Patient/1"}), "FHIR-TARGET", "Patient.managingOrganization"),
        (patient(managingOrganization={"type": "Patient"}), "FHIR-TARGET", "Patient.managingOrganization"),
        (
            patient(contained=[{"resourceType": "Location", "id": "l"}], managingOrganization={"reference": "#l"}),
            "FHIR-TARGET",
            "Patient.managingOrganization",
        ),
        (
            {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [
                    {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Location"}},
                    {"fullUrl": "urn:uuid:2", "resource": patient(managingOrganization={"reference": "urn:uuid:1"})},
                ],
            },
            "FHIR-TARGET",
            "Bundle.entry[1].resource.managingOrganization",
        ),
        (
            {
                "resourceType": "Condition",
                "subject": {"reference": "Patient/1"},
                "clinicalStatus": {"coding": [{"system": "urn:local", "code": "active"}]},
            },
            "FHIR-CODE",
            "Condition.clinicalStatus",
        ),
        (
            {
                "resourceType": "Condition",
                "subject": {"reference": "Patient/1"},
                "clinicalStatus": {"text": "active"},
            },
            "FHIR-CODE",
            "Condition.clinicalStatus",
        ),
    ],
)
def test_each_fault_by_rule_and_place(resource: Any, rule: str, place: str) -> None:
    assert (rule, place) in found(resource)


def test_a_reference_by_identifier_or_of_another_shape_has_no_known_target() -> None:
    assert found(patient(managingOrganization={"identifier": {"value": "x"}})) == []
    assert found(patient(managingOrganization={"reference": 1})) == [
        ("FHIR-JSON", "Patient.managingOrganization.reference")
    ]


def test_contained_resources_are_known_only_within_their_container() -> None:
    told = {"url": "http://x.example", "valueReference": {"reference": "#o"}}
    inner = patient(contained=[{"resourceType": "Location", "id": "o"}], extension=[told])
    outer = patient(managingOrganization={"reference": "#o"})
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}, {"resource": outer}, 1]}
    assert found(bundle) == [
        ("ref-1", "Bundle.entry[1].resource.managingOrganization"),
        ("FHIR-JSON", "Bundle.entry[2]"),
    ]


def test_every_fault_is_found_at_once_and_words_are_clean() -> None:
    findings = fhir.validate(patient(gender="fe|male", birthdate="x", name=[]), ELEMENTS)
    assert [f.rule for f in findings] == ["FHIR-CODE", "FHIR-UNKNOWN", "FHIR-EMPTY"]
    assert "did you mean `female`?" in findings[0].diagnostics
    assert "did you mean `birthDate`?" in findings[1].diagnostics
    assert not any(set(f.diagnostics) & set('"|^~&\\') for f in findings)


def test_hostile_base64_is_judged_in_linear_time() -> None:
    photo = {"contentType": "image/png", "data": " " * 50_000 + "!"}
    assert found(patient(photo=[photo])) == [("FHIR-FORMAT", "Patient.photo[0].data")]
