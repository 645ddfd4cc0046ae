"""FHIR R4 CapabilityStatement, generated from the rules and held against the model of fhir.resources (R4B)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from gateway import loading, rules, specs
from gateway.documents import Published, capability_statement
from gateway.documents.capability import statement
from gateway.documents.offer import Offer
from gateway.rules import RuleSet

Json = dict[str, Any]

PUBLISHED = Published("https://exchange.example.org", "9.9.9", client_secrets=False)
TABLES = specs.fhir()
DATE = "2026-05-12T10:15:00+01:00"


@pytest.fixture(scope="module")
def shipped_rules(repository: Path) -> RuleSet:
    loaded = rules.load(repository / "rules", loading.vocabulary(specs.ROOT))
    assert loaded.rules is not None, loaded.diagnostics
    return loaded.rules


@pytest.fixture(scope="module")
def shipped_statement(shipped_rules: RuleSet) -> Json:
    return capability_statement(shipped_rules, PUBLISHED, TABLES, date=DATE)


def test_it_is_a_capability_statement(shipped_statement: Json) -> None:
    model = CapabilityStatement.model_validate(shipped_statement)
    assert model.fhirVersion == "4.0.1"
    assert model.kind == "instance"


def test_codes_of_required_bindings_are_r4s(shipped_statement: Json) -> None:
    def codes(name: str) -> frozenset[str]:
        return TABLES.codes[f"http://hl7.org/fhir/ValueSet/{name}"]

    rest = shipped_statement["rest"][0]
    assert shipped_statement["status"] in codes("publication-status")
    assert shipped_statement["kind"] in codes("capability-statement-kind")
    assert rest["mode"] in codes("restful-capability-mode")
    for resource in rest["resource"]:
        assert {i["code"] for i in resource["interaction"]} <= codes("type-restful-interaction")
        assert {p["type"] for p in resource["searchParam"]} <= codes("search-param-type")


def test_types_interactions_and_parameters_are_those_that_permits_grant(shipped_statement: Json) -> None:
    resources = {r["type"]: r for r in shipped_statement["rest"][0]["resource"]}
    assert {"Condition", "Encounter", "Flag", "Patient"} <= set(resources)
    assert list(resources) == sorted(resources)
    patient = resources["Patient"]
    assert [i["code"] for i in patient["interaction"]] == ["read", "search-type"]
    assert "conditionalCreate" not in patient
    parameters = {p["name"]: p for p in patient["searchParam"]}
    assert parameters["_id"] == {
        "name": "_id",
        "definition": "http://hl7.org/fhir/SearchParameter/Resource-id",
        "type": "token",
    }
    assert {"identifier", "family", "birthdate", "gender", "_lastUpdated"} <= set(parameters)
    assert "patient" not in parameters
    assert "patient" in {p["name"] for p in resources["Condition"]["searchParam"]}


def test_what_may_be_written_is_told_with_its_versions_and_conditions(shipped_statement: Json) -> None:
    rest = shipped_statement["rest"][0]
    flag = next(r for r in rest["resource"] if r["type"] == "Flag")
    codes = [i["code"] for i in flag["interaction"]]
    assert codes == ["read", "vread", "update", "patch", "delete", "history-instance", "create", "search-type"]
    assert flag["conditionalDelete"] == "single"
    assert shipped_statement["patchFormat"] == ["application/json-patch+json"]
    assert (flag["versioning"], flag["conditionalRead"]) == ("versioned", "full-support")
    assert (flag["updateCreate"], flag["conditionalCreate"], flag["conditionalUpdate"]) == (True, True, True)
    assert [i["code"] for i in rest["interaction"]] == ["transaction", "batch"]


def test_it_names_the_public_address_and_the_token_endpoint(shipped_statement: Json) -> None:
    assert shipped_statement["implementation"]["url"] == "https://exchange.example.org"
    security = shipped_statement["rest"][0]["security"]
    assert security["extension"][0]["extension"] == [
        {"url": "token", "valueUri": "https://exchange.example.org/$ingest/auth"}
    ]
    assert "client_secret_basic" not in security["description"]


def test_a_rule_set_that_serves_nothing_has_no_resources() -> None:
    empty = statement(Offer((), (), (), (), ()), PUBLISHED, date=DATE)
    assert "resource" not in empty["rest"][0]
    CapabilityStatement.model_validate(empty)


def test_no_principal_is_named(shipped_statement: Json, shipped_rules: RuleSet) -> None:
    text = str(shipped_statement)
    assert [name for name in shipped_rules.registry.principals if name in text] == []
