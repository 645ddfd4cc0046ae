"""The FHIRPath subset: what each construct selects, and that every R4 search parameter compiles."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lark import Lark

from gateway import specs
from gateway.fhir import fhirpath, load

TABLES = specs.fhir()
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "name": [
        {"use": "official", "family": "Fictitious", "given": ["Anne", None, "Marie"]},
        {"use": "nickname", "given": ["Annie"]},
    ],
    "telecom": [{"system": "email", "value": "a@example.org"}, {"system": "phone", "value": "0"}],
    "deceasedBoolean": True,
    "multipleBirthInteger": 2,
    "extension": [{"url": "http://example.org/x", "valueString": "it's"}, {"url": "http://example.org/y"}],
    "generalPractitioner": [
        {"reference": "Practitioner/p1"},
        {"reference": "http://example.org/fhir/Organization/o1/_history/2"},
        {"reference": "#contained"},
        {"type": "Practitioner", "identifier": {"value": "1"}},
    ],
}

CASES: list[tuple[str, list[Any]]] = [
    ("Patient.id", ["a"]),
    ("Resource.id", ["a"]),
    ("Observation.id", []),
    ("id", ["a"]),
    ("Patient.name.given", ["Anne", "Marie", "Annie"]),
    ("Patient.name.`given`", ["Anne", "Marie", "Annie"]),
    ("Patient.name[1].given", ["Annie"]),
    ("Patient.name[7]", []),
    ("Patient.name.given.first()", ["Anne"]),
    ("Patient.name.where(use = 'official').family", ["Fictitious"]),
    ("Patient.name.where(use != 'official').given", ["Annie"]),
    ("Patient.name.where($this.use = 'official' and family.exists()).family", ["Fictitious"]),
    ("Patient.name.where(use = 'old' or use = 'nickname').given", ["Annie"]),
    ("Patient.name.where(use = 'old' xor use = 'nickname').given", ["Annie"]),
    ("Patient.telecom.where(system = 'email').value | Patient.id", ["a@example.org", "a"]),
    ("Patient.deceased", [True]),
    ("Patient.deceased as boolean", [True]),
    ("Patient.deceased.as(dateTime)", []),
    ("Patient.deceased.ofType(boolean)", [True]),
    ("Patient.deceased is boolean", [True]),
    ("Patient.deceased.is(dateTime)", [False]),
    ("Patient.deceased.exists() and Patient.deceased != false", [True]),
    ("Patient.deceased = 1", [False]),
    ("Patient.multipleBirth > 1", [True]),
    ("Patient.multipleBirth >= 2.5", [False]),
    ("Patient.multipleBirth < 'x'", []),
    ("Patient.birthDate <= 'x'", []),
    ("Patient.birthDate = 'x'", []),
    ("Patient.birthDate != 'x'", []),
    ("Patient.birthDate.empty()", [True]),
    ("Patient.birthDate.not()", []),
    ("Patient.deceased.not()", [False]),
    ("Patient.name.count()", [2]),
    ("Patient.name.exists(use = 'official')", [True]),
    ("Patient.id.hasValue()", [True]),
    ("Patient.name.hasValue()", [False]),
    ("Patient.extension('http://example.org/x').value", ["it's"]),
    ("Patient.extension.where(value = 'it\\'s').url", ["http://example.org/x"]),
    ("Patient.generalPractitioner.where(resolve() is Organization).reference",
     ["http://example.org/fhir/Organization/o1/_history/2"]),
    ("Patient.generalPractitioner.where(resolve() is FHIR.Practitioner).count()", [2]),
    ("Patient.generalPractitioner.resolve().id", ["p1", "o1"]),
    ("true or Patient.birthDate.exists()", [True]),
    ("false and Patient.birthDate = 'x'", [False]),
    ("Patient.birthDate = 'x' and true", []),
    ("Patient.birthDate = 'x' or false", []),
    ("false or false", [False]),
    ("1.50", [Decimal("1.50")]),
    ("(Patient.name | Patient.contact.name).family", ["Fictitious"]),
    ("(Patient.id | Patient.telecom.value)[1]", ["a@example.org"]),
    ("Patient.deceased.first()", [True]),
    ("(Patient.id | Patient.name.family).count()", [2]),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), CASES, ids=[case[0] for case in CASES])
def test_an_expression_selects(expression: str, expected: list[Any]) -> None:
    assert fhirpath.compile(expression, context="Patient", tables=TABLES)(PATIENT) == expected


def test_without_a_context_the_data_tell_the_type() -> None:
    assert fhirpath.compile("Patient.name.family")(PATIENT) == ["Fictitious"]
    assert fhirpath.compile("Observation.code")(PATIENT) == []
    bundle = {"resourceType": "Bundle", "entry": [{"resource": PATIENT}, {"resource": {"resourceType": "Basic"}}]}
    assert fhirpath.compile("Bundle.entry.resource.ofType(Patient).name.family")(bundle) == ["Fictitious"]
    assert fhirpath.compile("Bundle.entry[0].resource is Patient")(bundle) == [True]
    assert fhirpath.compile("DomainResource.id")(PATIENT) == ["a"]


def test_a_member_of_what_is_no_object_is_nothing() -> None:
    assert fhirpath.compile("Patient.name.family", tables=TABLES)({"resourceType": "Patient", "name": ["x"]}) == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("Patient.", "not FHIRPath"),
        ("Patient.name.", "at the end"),
        ("Patient..name", "at column 9"),
        ("Pateint.name", "`Pateint` is no type of FHIR"),
        ("Patient.nome", "`nome` is no element of `Patient`"),
        ("Patient.name.matches('x')", "function `matches` with 1 arguments is not in the subset"),
        ("Patient.name.where()", "function `where` with 0 arguments"),
    ],
)
def test_what_is_not_in_the_subset_is_refused_with_words(expression: str, words: str) -> None:
    with pytest.raises(fhirpath.FhirPathError) as caught:
        fhirpath.compile(expression, tables=TABLES, context="Patient")
    assert words in str(caught.value)
    assert f"`{expression}`" in str(caught.value)


def test_the_grammar_has_no_conflict_that_lark_would_settle_in_silence() -> None:
    grammar = Path(str(fhirpath.__file__)).with_name("fhirpath.lark").read_text(encoding="utf-8")
    assert Lark(grammar, parser="lalr", strict=True).parse("Patient.name.given | Patient.id").data == "binary"


def test_a_branch_starts_at_one_member_and_has_one_type() -> None:
    found = fhirpath.branches("Observation.value as Quantity | Observation.effective", "Observation", TABLES)
    assert [(branch.key, branch.type) for branch in found] == [
        ("valueQuantity", "Quantity"),
        ("effectiveDateTime", "dateTime"),
        ("effectivePeriod", "Period"),
        ("effectiveTiming", "Timing"),
        ("effectiveInstant", "instant"),
    ]
    (gender,) = fhirpath.branches("Patient.gender | Person.gender", "Patient", TABLES)
    assert gender.value_set is not None
    assert gender.value_set.endswith("administrative-gender")


def test_every_search_parameter_compiles_for_its_types() -> None:
    compiled = 0
    for (type_, _), parameter in TABLES.search_parameters.items():
        if parameter.fhirpath and not TABLES.types[type_].abstract:
            compiled += 1
            assert fhirpath.branches(parameter.fhirpath, type_, TABLES), f"{type_}.{parameter.code} selects nothing"
    assert compiled > 2500


def test_every_search_parameter_evaluates_on_the_official_examples(shared: Path) -> None:
    values = 0
    for file in sorted((shared / "corpus" / "r4-examples").glob("*.json")):
        resource = load(file.read_bytes())
        for (type_, _), parameter in TABLES.search_parameters.items():
            if type_ == resource["resourceType"] and parameter.fhirpath:
                for branch in fhirpath.branches(parameter.fhirpath, type_, TABLES):
                    start = resource if branch.key is None else resource.get(branch.key, [])
                    values += len(branch.function(start if isinstance(start, list) else [start]))
    assert values > 850
