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
    ("Patient.name.select(use)", ["official", "nickname"]),
    ("Patient.name.select(given.count() + 1)", [3, 2]),
    ("Patient.name.all(use.exists())", [True]),
    ("Patient.name.all(family.exists())", [False]),
    ("Patient.contact.all(name.exists())", [True]),
    ("'official' in Patient.name.use", [True]),
    ("Patient.name.use contains 'old'", [False]),
    ("Patient.birthDate in Patient.name.use", []),
    ("Patient.id in ('b' | 'a')", [True]),
    ("Patient.birthDate.exists() implies Patient.gender.exists()", [True]),
    ("Patient.id.exists() implies Patient.gender.exists()", [False]),
    ("Patient.birthDate = 'x' implies true", [True]),
    ("Patient.id & '-' & Patient.gender", ["a-"]),
    ("Patient.multipleBirth + 1.5", [Decimal("3.5")]),
    ("Patient.id + 'b'", ["ab"]),
    ("Patient.id + 1", []),
    ("Patient.id.matches('[a-z]')", [True]),
    ("Patient.id.matches('')", [False]),
    ("Patient.name.family.startsWith('Fic')", [True]),
    ("Patient.name.family.contains('tit')", [True]),
    ("Patient.birthDate.startsWith('1')", []),
    ("Patient.telecom.value.isDistinct()", [True]),
    ("Patient.name.use.combine(Patient.name.use).isDistinct()", [False]),
    ("'12'.toInteger()", [12]),
    ("'x'.toInteger()", []),
    ("Patient.multipleBirth.toString()", ["2"]),
    ("Patient.deceased.toString()", ["true"]),
    ("Patient.name.first().children().count()", [4]),
    ("Patient.descendants().where(use = 'nickname').given", ["Annie"]),
    ("iif(Patient.id = 'a', 'yes', 'no')", ["yes"]),
    ("Patient.name.iif(empty(), 'none', use.first())", ["official"]),
    ("iif(Patient.birthDate.exists(), 'yes')", []),
    ("Patient.name.trace('names').count()", [2]),
    ("%ucum", ["http://unitsofmeasure.org"]),
    ("Patient.deceased is Boolean", [True]),
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


JUDGED: list[tuple[str, str, Any, list[Any]]] = [
    ("start.exists()", "Period", {"_start": {"extension": []}}, [True]),
    ("start.hasValue()", "Period", {"_start": {"extension": []}}, [False]),
    ("start.hasValue()", "Period", {"start": "2026"}, [True]),
    ("start <= end", "Period", {"start": "2026-01-02", "end": "2026-01-01"}, [False]),
    ("start <= end", "Period", {"start": "2026-01-02", "end": "2026-01-02"}, [True]),
    ("start < end", "Period", {"start": "2026-01-01T10:00:00+01:00", "end": "2026-01-01T09:30:00Z"}, [True]),
    ("start <= end", "Period", {"start": "2026-01-02", "end": "2026-01"}, [True]),  # an order that can't be told holds
    ("start <= end", "Period", {"start": "2026-01-02"}, []),
    ("low <= high", "Range", {"low": {"value": 2}, "high": {"value": 1}}, [False]),
    ("low <= high", "Range", {"low": {"value": 2, "unit": "g"}, "high": {"value": 1, "unit": "kg"}}, [True]),
    ("low <= high", "Range", {"low": {"value": 2, "code": "g"}, "high": {"value": 1, "code": "g"}}, [False]),
    ("given.count()", "HumanName", {"given": ["A", None], "_given": [None, {"id": "x"}]}, [2]),
    ("value > 0", "Quantity", {"value": Decimal("0.0")}, [False]),
]


@pytest.mark.parametrize(("expression", "context", "element", "expected"), JUDGED)
def test_an_invariant_is_judged_of_an_element(expression: str, context: str, element: Any, expected: list[Any]) -> None:
    assert fhirpath.invariant(expression, context, TABLES)(element) == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("Patient.", "not FHIRPath"),
        ("Patient.name.", "at the end"),
        ("Patient..name", "at column 9"),
        ("Pateint.name", "`Pateint` is no type of FHIR"),
        ("Patient.nome", "`nome` is no element of `Patient`"),
        ("Patient.name.repeat('x')", "function `repeat` with 1 arguments is not in the subset"),
        ("Patient.name.exists() and %resource.id = 'a'", "`%resource` is not in the subset"),
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
