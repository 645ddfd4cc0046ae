"""Documents of offers that the shipped rules don't make: data types and grants of later versions of the language."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import specs
from gateway.documents import Offer, Published
from gateway.documents.capability import statement
from gateway.documents.examples import Example
from gateway.documents.offer import Accepted, SendingDomain, ServedType, Statement, Use, View
from gateway.documents.openapi import document
from tests.openapi_document import faults

pytestmark = pytest.mark.xdist_group("openapi")

Json = dict[str, Any]

TABLES = specs.fhir()
PUBLISHED = Published("https://exchange.example.org", "1")


def sending(*data_types: str) -> SendingDomain:
    return SendingDomain(
        name="files", title="Files", owner="", contact="", profile="http-status", outcome=True,
        same_control_id="refuse", accepts=tuple(Accepted(name, ("x",), "") for name in data_types), permits=(),
        forbids=(), checks=(Statement("F-C1", "Rows add up"),), routes=(),
    )  # fmt: skip


def offer(*data_types: str, types: tuple[ServedType, ...] = ()) -> Offer:
    return Offer((sending(*data_types),), (("X1Z", "Elsewhere"),), (), data_types, types)


def served(*actions: str) -> ServedType:
    parameter = TABLES.search_parameters["Patient", "organization"]
    view = View("V-P1", "Viewers", frozenset(actions), "", "organization", "", ("Patient.name",))
    use = Use(parameter, ("V-P1",), (), required=True, modifiers=())
    return ServedType("Patient", frozenset(actions), (use,), (view,))


def valid(made: Json) -> Json:
    assert faults(made) == []
    return made


def test_files_and_resources_are_answered_in_fhir_and_may_carry_a_key() -> None:
    rows = Example("files.accepted-x.csv", "files, accepted: x", "Csv", "a,b\r\n1,2\r\n", organisation="X1Z")
    made = valid(document(offer("Fhir", "Csv"), PUBLISHED, TABLES, [rows]))
    operation = made["paths"]["/$ingest"]["post"]
    content = operation["requestBody"]["content"]
    assert list(content) == ["text/plain", "application/fhir+json", "text/csv"]
    assert list(content["text/csv"]["examples"]) == ["files.accepted-x.csv"]
    assert "examples" not in content["application/fhir+json"]
    assert {"$ref": "#/components/parameters/Idempotency-Key"} in operation["parameters"]
    assert all(list(r["content"]) == ["application/fhir+json"] for r in operation["responses"].values())
    assert "- `F-C1` Rows add up\n" in operation["description"] + "\n"


def test_every_data_type_at_once_is_answered_in_both_forms() -> None:
    made = valid(document(offer("Hl7v2", "Fhir"), PUBLISHED, TABLES, []))
    responses = made["paths"]["/$ingest"]["post"]["responses"]
    assert set(responses["422"]["content"]) == {"text/plain", "application/fhir+json"}
    assert "examples" not in responses["422"]["content"]["text/plain"]


def test_messages_alone_are_answered_by_acknowledgements_but_for_unknown_data_types() -> None:
    responses = document(offer("Hl7v2"), PUBLISHED, TABLES, [])["paths"]["/$ingest"]["post"]["responses"]
    assert list(responses["422"]["content"]) == ["text/plain"]
    assert list(responses["400"]["content"]) == ["text/plain", "application/fhir+json"]


def test_a_type_that_may_be_read_alone_can_not_be_searched() -> None:
    made = valid(document(offer("Hl7v2", types=(served("read"),)), PUBLISHED, TABLES, []))
    assert [path for path in made["paths"] if path.startswith("/P")] == ["/Patient/{id}"]
    (resource,) = statement(offer("Hl7v2", types=(served("read"),)), PUBLISHED, date="2026")["rest"][0]["resource"]
    assert [interaction["code"] for interaction in resource["interaction"]] == ["read"]
    assert "searchParam" not in resource


def test_a_type_that_may_be_searched_alone_can_not_be_read() -> None:
    made = valid(document(offer("Hl7v2", types=(served("search"),)), PUBLISHED, TABLES, []))
    assert [path for path in made["paths"] if path.startswith("/P")] == ["/Patient", "/Patient/_search"]
    search = made["paths"]["/Patient"]["get"]
    assert search["parameters"][0]["name"] == "organization"
    assert "hidden: Patient.name" in search["description"]
    assert {"$ref": "#/components/parameters/purpose-of-use"} not in search["parameters"]


def test_the_public_address_is_in_every_place_that_names_the_gateway() -> None:
    made = document(offer("Hl7v2"), PUBLISHED, TABLES, [])
    assert made["servers"] == [{"url": "https://exchange.example.org"}]
    assert "https://exchange.example.org/$ingest/auth" in made["paths"]["/$ingest/auth"]["post"]["description"]
