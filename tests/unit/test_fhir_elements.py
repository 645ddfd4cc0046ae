"""FHIR paths by the element table."""

from __future__ import annotations

import pytest

from gateway import fhir, specs

ELEMENTS = fhir.Elements(specs.fhir())


@pytest.mark.parametrize(
    ("path", "definition", "types"),
    [
        ("Patient", "Patient", []),
        ("Patient.birthDate", "Patient.birthDate", ["date"]),
        ("Patient.id", "Patient.id", ["string"]),
        ("Patient.name.family", "HumanName.family", ["string"]),
        ("Patient.contact.name.family", "HumanName.family", ["string"]),
        ("Patient.deceasedBoolean", "Patient.deceased[x]", ["boolean"]),
        ("Patient.deceased[x]", "Patient.deceased[x]", ["boolean", "dateTime"]),
        ("Observation.valueQuantity.value", "Quantity.value", ["decimal"]),
        ("Patient.birthDate.extension.url", "Extension.url", ["uri"]),
        ("Bundle.entry.link.url", "Bundle.link.url", ["uri"]),
        ("Questionnaire.item.item.item.linkId", "Questionnaire.item.linkId", ["string"]),
        ("Bundle.entry.resource.id", "Resource.id", ["string"]),
        ("Timing.repeat.boundsPeriod.start", "Period.start", ["dateTime"]),
        ("HumanName.given", "HumanName.given", ["string"]),
    ],
)
def test_a_path_leads_through_types_choices_and_references(path: str, definition: str, types: list[str]) -> None:
    found = ELEMENTS.resolve(path)
    assert found is not None
    assert found.path == definition
    assert [t.code for t in found.types] == types


@pytest.mark.parametrize(
    "path",
    [
        "",
        "patient.name",
        "Patinet",
        "Patient.birthdate",
        "Patient.deceased",
        "Patient.deceasedString",
        "Patient.nothing[x]",
        "Patient.deceased[x].extension",
        "Patient.birthDate.value",
        "Patient.name.family.given",
        "Patient.",
    ],
)
def test_a_path_that_no_element_has_is_nothing(path: str) -> None:
    assert ELEMENTS.resolve(path) is None


def test_children_are_names_to_suggest() -> None:
    names = ELEMENTS.children("Patient")
    assert names[:3] == ("id", "meta", "implicitRules")
    assert {"deceasedBoolean", "deceasedDateTime", "deceased[x]"} <= set(names)
    assert ELEMENTS.children("Patient.name") == ELEMENTS.children("HumanName")
    assert "relationship" in ELEMENTS.children("Patient.contact")
    assert ELEMENTS.children("Patient.birthDate") == ("id", "extension")
    for nowhere in ("Patinet", "Patient.deceased[x]", "Patient.none.here", "Patient.none"):
        assert ELEMENTS.children(nowhere) == ()


def test_every_child_of_every_resource_resolves() -> None:
    for name in specs.fhir().types:
        if ELEMENTS.is_resource(name):
            assert all(ELEMENTS.resolve(f"{name}.{child}") is not None for child in ELEMENTS.children(name))


def test_which_types_are_resources_and_primitives() -> None:
    assert ELEMENTS.is_resource("Patient")
    for other in ("Resource", "DomainResource", "MetadataResource", "HumanName", "string", "patient", ""):
        assert not ELEMENTS.is_resource(other)
    assert ELEMENTS.is_primitive("dateTime")
    assert not ELEMENTS.is_primitive("Period")
    assert not ELEMENTS.is_primitive("Nothing")


def test_the_patient_compartment_is_the_standards() -> None:
    assert ELEMENTS.in_patient_compartment("Encounter")
    assert ELEMENTS.in_patient_compartment("Patient")
    assert not ELEMENTS.in_patient_compartment("Organization")
    assert ELEMENTS.compartment_parameters("Observation") == ("subject", "performer")
    assert ELEMENTS.compartment_parameters("Practitioner") == ()


def test_compartment_parameters_are_reference_parameters_of_their_types() -> None:
    tables = specs.fhir()
    for name, codes in tables.compartment.items():
        assert ELEMENTS.is_resource(name)
        for code in codes:
            parameter = tables.search_parameters[name, code]
            assert parameter.type == "reference"
            assert {"Patient", "RelatedPerson"} & set(parameter.targets), (name, code)
