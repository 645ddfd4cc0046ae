"""The store's CapabilityStatement says what its searches take, no more and no less.

Source: https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from gateway import fhir, query, specs
from gateway.upstream.store import capability

TABLES = specs.fhir()
STATED: dict[str, Any] = json.loads(capability.statement(TABLES, "http://store", datetime(2026, 1, 1, tzinfo=UTC)))
RESOURCES = {each["type"]: each for each in STATED["rest"][0]["resource"]}
SAMPLES = {
    "token": "a", "string": "a", "uri": "urn:a", "date": "2024", "number": "1", "quantity": "1", "reference": "1",
}  # fmt: skip


def test_it_is_valid() -> None:
    assert fhir.validate(STATED, fhir.Elements(TABLES)) == ()


def test_every_parameter_and_modifier_that_it_names_is_taken() -> None:
    asked = 0
    for name, resource in RESOURCES.items():
        for told in resource["searchParam"]:
            parameter = TABLES.search_parameters[name, told["name"]]
            if parameter.type == "composite":
                continue
            for modifier in told.get("documentation", "").removeprefix("Modifiers: ").split(", "):
                values = {":missing": "true", ":of-type": "s|c|v"}
                value = values.get(modifier, SAMPLES[parameter.type])
                found = query.parse(name, [(f"{told['name']}{modifier}", value)], TABLES, query.WHOLE)
                assert isinstance(found, query.Query), (name, told, modifier)
                asked += 1
    assert asked > 4000


def test_every_include_that_it_names_is_taken() -> None:
    for name, resource in RESOURCES.items():
        for kind, member in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
            pairs = [(kind, value) for value in resource.get(member, ())]
            for start in range(0, len(pairs), 50):
                found = query.parse(name, pairs[start : start + 50], TABLES, query.WHOLE)
                assert isinstance(found, query.Query), found
    assert "Encounter:subject" in RESOURCES["Patient"]["searchRevInclude"]
    assert "Observation:patient" in RESOURCES["Observation"]["searchInclude"]


def test_what_is_not_offered_is_not_named() -> None:
    location = {told["name"] for told in RESOURCES["Location"]["searchParam"]}
    assert "near" not in location
    patient = {told["name"]: told.get("documentation", "") for told in RESOURCES["Patient"]["searchParam"]}
    assert not {"_text", "_content"} & patient.keys()
    assert ":of-type" in patient["identifier"]
    assert ":of-type" not in patient["gender"]
    assert ":in" not in patient["gender"]
    observation = {told["name"]: told["type"] for told in RESOURCES["Observation"]["searchParam"]}
    assert observation["component-code-value-quantity"] == "composite"
