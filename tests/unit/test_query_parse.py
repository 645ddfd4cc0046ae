"""FHIR search text to a typed tree: what is understood, what is refused, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway import query, specs
from gateway.query import (
    DateValue,
    MissingValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    Sort,
    StringValue,
    TokenValue,
    UriValue,
)

TABLES = specs.fhir()


def parsed(resource_type: str, *pairs: tuple[str, str]) -> query.Query:
    found = query.parse(resource_type, pairs, TABLES)
    assert isinstance(found, query.Query), found
    return found


def value(resource_type: str, name: str, raw: str) -> query.Value:
    (clause,) = parsed(resource_type, (name, raw)).clauses
    (only,) = clause.values
    return only


def refused(resource_type: str, *pairs: tuple[str, str]) -> list[tuple[str | None, str | None, str]]:
    found = query.parse(resource_type, pairs, TABLES)
    assert isinstance(found, tuple), found
    assert all(f.severity == "error" for f in found)
    return [(f.rule, f.expression, f.diagnostics) for f in found]


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # mypy can't count what a star unpacks


# values


@pytest.mark.parametrize(
    ("raw", "system", "code"),
    [
        ("male", None, "male"),
        ("urn:s|c", "urn:s", "c"),
        ("|c", "", "c"),
        ("urn:s|", "urn:s", None),
        (r"urn:s|a\|b\,c\$d\\e", "urn:s", r"a|b,c$d\e"),
    ],
)
def test_tokens(raw: str, system: str | None, code: str | None) -> None:
    assert value("Patient", "identifier", raw) == TokenValue(raw, system, code)


@pytest.mark.parametrize(
    ("raw", "prefix", "low", "high"),
    [
        ("1990", "eq", at(1990, 1, 1), at(1991, 1, 1)),
        ("ne1990-12", "ne", at(1990, 12, 1), at(1991, 1, 1)),
        ("1990-02", "eq", at(1990, 2, 1), at(1990, 3, 1)),
        ("gt2024-02-29", "gt", at(2024, 2, 29), at(2024, 3, 1)),
        ("lt2024-12-31", "lt", at(2024, 12, 31), at(2025, 1, 1)),
        ("ge2024-01-01T10:30", "ge", at(2024, 1, 1, 10, 30), at(2024, 1, 1, 10, 31)),
        ("le2024-01-01T10:30:15Z", "le", at(2024, 1, 1, 10, 30, 15), at(2024, 1, 1, 10, 30, 16)),
        ("sa2024-01-01T01:30:00+02:00", "sa", at(2023, 12, 31, 23, 30), at(2023, 12, 31, 23, 30, 1)),
        ("eb2024-01-01T01:30:00-02:00", "eb", at(2024, 1, 1, 3, 30), at(2024, 1, 1, 3, 30, 1)),
        ("ap2024-01-01T10:30:15.25Z", "ap", at(2024, 1, 1, 10, 30, 15, 250000), at(2024, 1, 1, 10, 30, 15, 260000)),
        (
            "2024-01-01T10:30:15.1234567Z",
            "eq",
            at(2024, 1, 1, 10, 30, 15, 123456),
            at(2024, 1, 1, 10, 30, 15, 123457),
        ),
        ("2016-12-31T23:59:60Z", "eq", at(2017, 1, 1), at(2017, 1, 1, 0, 0, 1)),
        ("eq2024", "eq", at(2024, 1, 1), at(2025, 1, 1)),
    ],
)
def test_dates_are_as_wide_as_their_precision(raw: str, prefix: Any, low: datetime, high: datetime) -> None:
    assert value("Patient", "birthdate", raw) == DateValue(raw, prefix, low, high)


@pytest.mark.parametrize(
    ("raw", "prefix", "number", "low", "high"),
    [
        ("100", "eq", "100", "99.5", "100.5"),
        ("100.00", "eq", "100.00", "99.995", "100.005"),
        ("1e2", "eq", "100", "95", "105"),
        ("gt-0.5", "gt", "-0.5", "-0.55", "-0.45"),
        ("12345678901234567890123456789012345678.5", "eq", "12345678901234567890123456789012345678.5",
         "12345678901234567890123456789012345678.45", "12345678901234567890123456789012345678.55"),
    ],
)  # fmt: skip
def test_numbers_have_the_range_of_their_precision(raw: str, prefix: Any, number: str, low: str, high: str) -> None:
    expected = NumberValue(raw, prefix, Decimal(number), Decimal(low), Decimal(high))
    assert value("RiskAssessment", "probability", raw) == expected


def test_quantities() -> None:
    exact = (Decimal("5.4"), Decimal("5.35"), Decimal("5.45"))
    unit = "http://unitsofmeasure.org"
    for raw, system, code in (("5.4", None, None), (f"5.4|{unit}|mg", unit, "mg"), ("5.4||mg", None, "mg")):
        assert value("Observation", "value-quantity", raw) == QuantityValue(raw, "eq", *exact, system, code)


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("subject", "23", (None, "23", None, None)),
        ("subject", "Patient/23", ("Patient", "23", None, None)),
        ("subject:Patient", "23", ("Patient", "23", None, None)),
        ("subject:Patient", "Patient/23", ("Patient", "23", None, None)),
        ("subject", "Patient/23/_history/4", ("Patient", "23", None, "4")),
        ("subject", "https://x.example/fhir/Patient/23", ("Patient", "23", "https://x.example/fhir/Patient/23", None)),
        ("subject", "urn:uuid:1", (None, None, "urn:uuid:1", None)),
    ],
)
def test_references(name: str, raw: str, expected: tuple[str | None, ...]) -> None:
    assert value("Encounter", name, raw) == ReferenceValue(raw, *expected)


def test_a_reference_parameter_without_targets_takes_any() -> None:
    found = value("RequestGroup", "instantiates-canonical", "PlanDefinition/1")
    assert found == ReferenceValue("PlanDefinition/1", "PlanDefinition", "1", None)


def test_strings_uris_and_modifiers() -> None:
    assert value("Patient", "family", r"O\,Neill") == StringValue(r"O\,Neill", "O,Neill")
    assert value("Patient", "family:exact", "A b") == StringValue("A b", "A b")
    assert value("Patient", "_profile", "http://x.example/p") == UriValue("http://x.example/p", "http://x.example/p")
    assert value("Patient", "gender:missing", "true") == MissingValue("true", missing=True)
    assert value("Encounter", "subject:missing", "false") == MissingValue("false", missing=False)
    assert value("Condition", "code:text", "head|ache") == StringValue("head|ache", "head|ache")
    (clause,) = parsed("Condition", ("code:not", "a,b")).clauses
    assert (clause.name, clause.modifier, len(clause.values)) == ("code", "not", 2)


def test_commas_are_alternatives_and_repeats_are_conjunctions() -> None:
    found = parsed("Patient", ("given", r"a,b\,c"), ("given", "d"))
    assert [[v.raw for v in clause.values] for clause in found.clauses] == [["a", r"b\,c"], ["d"]]
    assert found.clauses[0].parameter is TABLES.search_parameters["Patient", "given"]


# result parameters


def test_result_parameters() -> None:
    found = parsed(
        "Patient",
        ("_count", "20"),
        ("_sort", "-birthdate,family"),
        ("_total", "accurate"),
        ("_summary", "data"),
        ("_elements", "name,deceased"),
        ("_format", "application/fhir+json"),
        ("_pretty", "true"),
        ("_page", "token"),
    )
    assert found == query.Query(
        "Patient",
        (),
        20,
        (Sort("birthdate", descending=True), Sort("family", descending=False)),
        "accurate",
        "data",
        ("name", "deceased"),
        "application/fhir+json",
        pretty=True,
        page="token",
    )
    assert parsed("Patient", ("_count", "0")).count == 0
    assert parsed("Patient", ("_pretty", "false")).pretty is False


# refusals


@pytest.mark.parametrize(
    ("resource_type", "name", "raw", "rule", "words"),
    [
        ("Patient", "brithdate", "1990", "SEARCH-PARAMETER", "did you mean birthdate?"),
        ("Patient", "nothing", "1", "SEARCH-PARAMETER", "there are _id, _lastUpdated, "),
        ("Patient", "Family", "x", "SEARCH-PARAMETER", "did you mean family?"),
        ("Patient", "_cuont", "1", "SEARCH-PARAMETER", "did you mean _count?"),
        ("Patient", "", "x", "SEARCH-PARAMETER", "no search parameter"),
        ("Encounter", "family", "x", "SEARCH-PARAMETER", "Encounter has no search parameter family"),
        ("Patient", "_has:Observation:patient:code", "x", "SEARCH-PARAMETER", "_has is not offered yet"),
        ("Patient", "_include", "Patient:organization", "SEARCH-PARAMETER", "_include is not offered yet"),
        ("Patient", "_revinclude:iterate", "x", "SEARCH-PARAMETER", "_revinclude is not offered yet"),
        ("Patient", "_filter", "x", "SEARCH-PARAMETER", "_filter is not offered yet"),
        ("Patient", "_text", "x", "SEARCH-PARAMETER", "_text is not offered yet"),
        ("Observation", "code-value-quantity", "a$1", "SEARCH-PARAMETER", "not offered yet"),
        ("Location", "near", "1|2|3", "SEARCH-PARAMETER", "near is not offered yet"),
        ("Encounter", "subject.name", "x", "SEARCH-CHAIN", "chained search (subject.name)"),
        ("Encounter", "subject:Patient.name", "x", "SEARCH-CHAIN", "chained search"),
        ("Patient", "family:exat", "x", "SEARCH-MODIFIER", "did you mean exact?"),
        ("Patient", "family:", "x", "SEARCH-MODIFIER", "has no modifier"),
        ("Patient", "family:not", "x", "SEARCH-MODIFIER", "there are missing, contains, exact"),
        ("Patient", "identifier:of-type", "a|b|c", "SEARCH-MODIFIER", "of-type is not offered yet"),
        ("Encounter", "subject:Practitioner", "1", "SEARCH-MODIFIER", "the name of a target type"),
        ("Observation", "code-value-quantity:missing", "true", "SEARCH-PARAMETER", "not offered yet"),
        ("Patient", "family", "", "SEARCH-EMPTY", "has no value"),
        ("Patient", "family", "a,,b", "SEARCH-EMPTY", "empty value between commas"),
        ("Patient", "family", "a,", "SEARCH-EMPTY", "empty value between commas"),
        ("Patient", "family", "a\\b", "SEARCH-VALUE", "a backslash stands only before"),
        ("Patient", "family", "a\\", "SEARCH-VALUE", "a backslash stands only before"),
        ("Patient", "identifier", "a|b|c", "SEARCH-VALUE", "a token is"),
        ("Patient", "identifier", "|", "SEARCH-VALUE", "a token is"),
        ("Patient", "_id", "urn:s|1", "SEARCH-VALUE", "an id is"),
        ("Patient", "gender:missing", "yes", "SEARCH-VALUE", "true or false"),
        ("Patient", "birthdate", "1990-2-1", "SEARCH-VALUE", "a date is"),
        ("Patient", "birthdate", "xx1990", "SEARCH-VALUE", "prefix xx is unknown"),
        ("Patient", "birthdate", "2023-02-29", "SEARCH-VALUE", "no such date"),
        ("Patient", "birthdate", "2023-13", "SEARCH-VALUE", "no such date"),
        ("Patient", "birthdate", "0000", "SEARCH-VALUE", "no such date"),
        ("Patient", "birthdate", "9999", "SEARCH-VALUE", "no such date"),
        ("Patient", "birthdate", "9999-12-31", "SEARCH-VALUE", "no such date"),
        ("Patient", "birthdate", "2023-01-01T10:00:61Z", "SEARCH-VALUE", "no such date"),
        ("Patient", "birthdate", "2023-01-01T10:00:00+15:00", "SEARCH-VALUE", "no such date"),
        ("Patient", "birthdate", "0001-01-01T00:00:00+14:00", "SEARCH-VALUE", "no such date"),
        ("Patient", "birthdate", "2023-01-01T10", "SEARCH-VALUE", "a date is"),
        ("Patient", "_lastUpdated", "2023-01-01T10:00:00 01:00", "SEARCH-VALUE", "as %2B"),
        ("RiskAssessment", "probability", "1e999", "SEARCH-VALUE", "a number is"),
        ("RiskAssessment", "probability", "NaN", "SEARCH-VALUE", "a number is"),
        ("RiskAssessment", "probability", "1" * 41, "SEARCH-VALUE", "a number is"),
        ("Observation", "value-quantity", "1|mg", "SEARCH-VALUE", "a quantity is"),
        ("Observation", "value-quantity", "1||", "SEARCH-VALUE", "a quantity is"),
        ("Encounter", "subject", "Practitioner/1", "SEARCH-VALUE", "not to Practitioner"),
        ("Encounter", "subject:Group", "Patient/1", "SEARCH-VALUE", "the modifier says Group"),
        ("Encounter", "subject", "a b", "SEARCH-VALUE", "a reference is"),
        ("Patient", "_count", "-1", "SEARCH-VALUE", "whole number from 0"),
        ("Patient", "_count", "", "SEARCH-VALUE", "whole number from 0"),
        ("Patient", "_count", "9" * 5000, "SEARCH-VALUE", "whole number from 0"),
        ("Patient", "_count", "9999999999", "SEARCH-VALUE", "whole number from 0"),
        ("Patient", "_count", "٢", "SEARCH-VALUE", "whole number from 0"),
        ("Patient", "_sort", "famly", "SEARCH-VALUE", "did you mean family?"),
        ("Patient", "_sort", "", "SEARCH-VALUE", "can not be by nothing"),
        ("Patient", "_sort", "_text", "SEARCH-VALUE", "can not be by _text"),
        ("Patient", "_sort", "family,-family", "SEARCH-VALUE", "twice"),
        ("Patient", "_total", "exact", "SEARCH-VALUE", "none, estimate, accurate"),
        ("Patient", "_summary", "", "SEARCH-VALUE", "can not be empty"),
        ("Patient", "_pretty", "yes", "SEARCH-VALUE", "true, false"),
        ("Patient", "_elements", "nam", "SEARCH-VALUE", "did you mean name?"),
        ("Patient", "_elements", "name,", "SEARCH-VALUE", "an empty name"),
        ("Patient", "_format", "", "SEARCH-EMPTY", "no value"),
        ("Patient", "_page", "", "SEARCH-EMPTY", "no value"),
        ("Patient", "_count:exact", "1", "SEARCH-PARAMETER", "no search parameter _count"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    resource_type: str, name: str, raw: str, rule: str, words: str
) -> None:
    ((found_rule, expression, diagnostics),) = refused(resource_type, (name, raw))
    assert (found_rule, expression) == (rule, name)
    assert words in diagnostics


@pytest.mark.parametrize("resource_type", ["Pateint", "patient", "Resource", "HumanName", "", "x" * 500])
def test_a_type_that_is_no_resource_is_refused(resource_type: str) -> None:
    ((rule, _, words),) = refused(resource_type)
    assert rule == "SEARCH-TYPE"
    assert len(words) < 200


def test_a_result_parameter_stands_once_even_where_its_value_is_wrong() -> None:
    rules = [rule for rule, _, _ in refused("Patient", ("_count", "x"), ("_count", "1"), ("_count", "2"))]
    assert rules == ["SEARCH-VALUE", "SEARCH-TWICE", "SEARCH-TWICE"]


def test_every_fault_is_told_at_once_and_long_text_is_cut() -> None:
    found = refused("Patient", ("x" * 500, "1"), ("family", "a\\" + "b" * 500), ("birthdate", "1990"))
    assert [rule for rule, _, _ in found] == ["SEARCH-PARAMETER", "SEARCH-VALUE"]
    assert all(len(str(expression)) < 70 for _, expression, _ in found)
    assert "b" * 61 not in found[1][2]


# and back


def test_rendering_gives_what_was_sent() -> None:
    pairs = [
        ("family:exact", r"O\,Neill,B"),
        ("birthdate", "ge1990"),
        ("birthdate", "lt2000"),
        ("_count", "5"),
        ("_sort", "-birthdate,family"),
        ("_elements", "name,gender"),
        ("_pretty", "false"),
        ("_total", "none"),
        ("_summary", "false"),
        ("_format", "json"),
        ("_page", "p"),
    ]
    assert query.render(parsed("Patient", *pairs)) == pairs
    assert query.render(parsed("Patient", ("_pretty", "true"))) == [("_pretty", "true")]
    assert query.render(query.Query("Patient")) == []


def test_narrowing_adds_a_clause_with_escaped_values() -> None:
    found = query.narrow(parsed("Encounter", ("status", "finished")), "service-provider", ["Organization/QVV"], TABLES)
    assert query.render(found) == [("status", "finished"), ("service-provider", "Organization/QVV")]
    found = query.narrow(query.Query("Patient"), "family:exact", ["a,b", "c"], TABLES)
    assert query.render(found) == [("family:exact", r"a\,b,c")]
    for name, values in (("nothing", ["x"]), ("birthdate", ["x"]), ("family", [])):
        with pytest.raises(ValueError, match=name):
            query.narrow(query.Query("Patient"), name, values, TABLES)


def test_names_are_those_a_type_offers() -> None:
    names = query.names("Patient", TABLES)
    assert {"_id", "_lastUpdated", "birthdate", "family"} <= set(names)
    assert not {"_text", "_content", "_query"} & set(names)
    assert names == tuple(sorted(names))
    assert "near" not in query.names("Location", TABLES)


def test_every_offered_parameter_of_every_type_takes_a_value() -> None:
    samples = {
        "token": "a",
        "string": "a",
        "uri": "urn:a",
        "date": "2024",
        "number": "1",
        "quantity": "1",
        "reference": "1",
    }
    for resource_type, definition in TABLES.types.items():
        if definition.kind != "resource" or definition.abstract:
            continue
        names = query.names(resource_type, TABLES)
        pairs = [(name, samples[TABLES.search_parameters[resource_type, name].type]) for name in names]
        assert len(parsed(resource_type, *pairs).clauses) == len(names) > 0
