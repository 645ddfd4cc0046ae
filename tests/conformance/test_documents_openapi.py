"""OpenAPI 3.1.0 and JSON Schema 2020-12: the generated document, from the shipped rules and from others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import fhir, hl7v2, loading, query, rules, specs
from gateway.documents import Published, openapi, openapi_text, read_samples
from gateway.rules import RuleSet
from gateway.source import Source, render
from tests.openapi_document import faults

pytestmark = pytest.mark.xdist_group("openapi")

Json = dict[str, Any]

PUBLISHED = Published("https://exchange.example.org", "9.9.9", client_secrets=True)
TABLES = specs.fhir()


VOCABULARY = loading.vocabulary(specs.ROOT)


def loaded(*files: tuple[str, str]) -> RuleSet:
    found = rules.load_sources([Source(name, text) for name, text in files], VOCABULARY)
    assert found.rules is not None, [render(d) for d in found.diagnostics]
    return found.rules


@pytest.fixture(scope="module")
def shipped_rules(repository: Path) -> RuleSet:
    found = rules.load(repository / "rules", VOCABULARY)
    assert found.rules is not None, [render(d) for d in found.diagnostics]
    return found.rules


@pytest.fixture(scope="module")
def shipped_document(shipped_rules: RuleSet, repository: Path) -> Json:
    samples = read_samples(repository / "rules", shipped_rules.domains)
    return openapi(shipped_rules, PUBLISHED, TABLES, samples)


def nodes(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def resolved(document: Json, reference: str) -> Any:
    value: Any = document
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def parameters(document: Json, operation: Json) -> dict[str, Json]:
    found = [resolved(document, p["$ref"]) if "$ref" in p else p for p in operation["parameters"]]
    return {parameter["name"]: parameter for parameter in found}


PER_CALLER = {"/metadata", "/openapi.json", "/swagger/v1/swagger.json"}
"""Addresses that anybody may ask, and that tell a caller with a token what it may do."""


def ingest(document: Json) -> Json:
    operation: Json = document["paths"]["/$ingest"]["post"]
    return operation


def test_it_is_valid(shipped_document: Json) -> None:
    assert faults(shipped_document) == []


def test_every_reference_leads_somewhere_and_every_component_is_used(shipped_document: Json) -> None:
    used = {node["$ref"] for node in nodes(shipped_document) if "$ref" in node}
    for reference in used:
        assert resolved(shipped_document, reference) is not None
    kinds = ("schemas", "responses", "examples", "headers")
    there = {f"#/components/{kind}/{name}" for kind in kinds for name in shipped_document["components"][kind]}
    assert there <= used


def test_it_is_the_same_each_time(shipped_rules: RuleSet, repository: Path) -> None:
    texts = {
        openapi_text(shipped_rules, PUBLISHED, TABLES, read_samples(repository / "rules", shipped_rules.domains))
        for _ in range(2)
    }
    assert len(texts) == 1
    assert texts.pop().endswith("}\n")


def test_operation_ids_are_unique_and_every_tag_is_declared(shipped_document: Json) -> None:
    operations = [o for item in shipped_document["paths"].values() for o in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    declared = {tag["name"] for tag in shipped_document["tags"]}
    assert {tag for operation in operations for tag in operation["tags"]} <= declared


def test_ingest_headers_are_enumerations_from_the_rules(shipped_document: Json, shipped_rules: RuleSet) -> None:
    found = parameters(shipped_document, ingest(shipped_document))
    sending = sorted(name for name, domain in shipped_rules.domains.items() if domain.accepts)
    assert found["source-domain"]["schema"]["enum"] == sending
    assert found["organisation-code"]["schema"]["enum"] == sorted(shipped_rules.registry.organisations)
    assert found["organisation-code"]["example"] == "R0D"
    assert found["data-type"]["schema"]["enum"] == ["Hl7v2", "Fhir", "Csv"]
    assert all(found[name]["required"] for name in ("source-domain", "organisation-code", "data-type"))
    assert "Authorization" not in found
    assert "Content-Type" not in found
    assert found["purpose-of-use"]["schema"]["enum"] == sorted(shipped_rules.registry.purposes)
    assert found["Idempotency-Key"]["in"] == "header"
    assert found["dry-run"]["in"] == found["loss"]["in"] == "query"


def test_ingest_says_the_rules_by_id_and_title(shipped_document: Json, shipped_rules: RuleSet) -> None:
    words = ingest(shipped_document)["description"]
    domain = shipped_rules.domains["emergency-care"]
    declared = [(rule.id, rule.title) for rule in domain.permits]
    declared += [(rule.id, rule.title) for rule in domain.forbids]
    declared += [(rule.id, rule.title) for rule in domain.checks]
    declared += [(rule.id, rule.title) for rule in domain.routes]
    for rule, title in declared:
        assert f"- `{rule}` {title}" in words
    assert "ADT^A01" in words
    assert "2.3 to 2.5.1" in words


def test_ingest_answers_by_the_statuses_of_its_profile(shipped_document: Json) -> None:
    responses = ingest(shipped_document)["responses"]
    assert list(responses) == ["200", "202", "400", "401", "403", "409", "413", "415", "422", "429", "503"]
    for status, response in responses.items():
        assert response["content"]["text/plain"]["examples"], status
    assert "Location" in responses["200"]["headers"]
    assert "Retry-After" in responses["503"]["headers"]
    assert "WWW-Authenticate" in responses["401"]["headers"]


def test_every_sample_is_an_example_of_a_body_and_of_its_answer(shipped_document: Json, repository: Path) -> None:
    samples = read_samples(repository / "rules", ["emergency-care"])
    samples = tuple(sample for sample in samples if sample.data_type == "Hl7v2")
    bodies = ingest(shipped_document)["requestBody"]["content"]["text/plain"]["examples"]
    assert {sample.key for sample in samples} <= set(bodies)
    examples = shipped_document["components"]["examples"]
    assert {f"{sample.key}.ack" for sample in samples} <= set(examples)
    assert examples["emergency-care.accepted-a01-admission.hl7"]["value"] == samples[0].text


def test_answers_to_samples_stand_under_the_status_of_their_outcome(shipped_document: Json) -> None:
    def under(status: str) -> set[str]:
        return set(ingest(shipped_document)["responses"][status]["content"]["text/plain"]["examples"])

    assert "emergency-care.accepted-a08-update.hl7.ack" in under("200")
    assert "emergency-care.refused-a40-type-not-accepted.hl7.ack" in under("400")
    assert {
        "emergency-care.refused-a01-bad-nhs-number.hl7.ack",
        "emergency-care.refused-a03-without-discharge-time.hl7.ack",
    } <= under("422")


def test_the_example_of_a_refusal_holds_the_rule_and_the_place(shipped_document: Json) -> None:
    examples = shipped_document["components"]["examples"]
    body = examples["emergency-care.refused-a01-bad-nhs-number.hl7.ack"]["value"].encode()
    acknowledged = hl7v2.read_acknowledgement(body)
    assert acknowledged is not None
    assert (acknowledged.code, acknowledged.control_id) == ("AE", "EC-A01-0002")
    issue = fhir.load((acknowledged.text or "").encode())["issue"][0]
    assert issue["details"]["coding"][0]["code"] == "EC-C1"
    assert issue["expression"] == ["PID-3[1].1"]


def test_every_example_of_an_answer_is_an_acknowledgement_with_one_msa(shipped_document: Json) -> None:
    answers = [e["value"] for key, e in shipped_document["components"]["examples"].items() if key.endswith(".ack")]
    assert len(answers) > 10
    for text in answers:
        assert re.fullmatch(r"MSH\|[^\r\n]*\r(?:[A-Z]{3}\|[^\r\n]*\r)+", text)
        assert text.count("\rMSA|") == 1


def test_facade_operations_are_those_that_permits_grant(shipped_document: Json) -> None:
    paths = shipped_document["paths"]
    for name in ("Patient", "Encounter", "Condition"):
        assert "get" in paths[f"/{name}"]
        assert "post" in paths[f"/{name}/_search"]
        assert "get" in paths[f"/{name}/{{id}}"]
    types = {path.split("/")[1] for path in paths if re.match(r"/[A-Z]", path)}
    assert {"Patient", "Encounter", "Condition", "Flag"} <= types
    assert set(paths["/Patient"]) == {"get"}
    assert set(paths["/Flag"]) == {"get", "post", "put", "patch", "delete"}
    assert set(paths["/Flag/{id}"]) == {"get", "put", "patch", "delete"}
    assert "get" in paths["/Flag/{id}/_history"]
    assert "get" in paths["/Flag/{id}/_history/{version}"]
    assert "post" in paths["/"]


def test_writes_tell_their_headers_and_every_answer(shipped_document: Json) -> None:
    paths = shipped_document["paths"]
    create, update = paths["/Flag"]["post"], paths["/Flag/{id}"]["put"]
    assert {"If-None-Exist", "Prefer", "organisation-code"} <= set(parameters(shipped_document, create))
    assert {"If-Match", "If-None-Match", "Prefer"} <= set(parameters(shipped_document, update))
    assert {"200", "201", "409", "412", "422", "503", "504"} <= set(create["responses"])
    assert {"404", "428"} <= set(update["responses"]) - set(create["responses"])
    assert {"ETag", "Last-Modified", "Location"} <= set(create["responses"]["201"]["headers"])
    assert "`CF-P1`" in create["description"]
    assert "patient" in parameters(shipped_document, paths["/Flag"]["put"])


def test_facade_parameters_are_those_that_a_view_asks_or_allows(shipped_document: Json) -> None:
    patient = parameters(shipped_document, shipped_document["paths"]["/Patient"]["get"])
    searched = {name for name, p in patient.items() if p["in"] == "query"}
    assert {"_id", "identifier", "family", "birthdate", "gender", "_lastUpdated"} <= searched
    assert "telecom" not in searched
    assert "patient" not in searched  # Patient has no such parameter
    assert "`Patient.birthDate`" in patient["birthdate"]["description"]
    assert "Person" not in patient["birthdate"]["description"]
    form = shipped_document["paths"]["/Patient/_search"]["post"]["requestBody"]["content"]
    assert set(form["application/x-www-form-urlencoded"]["schema"]["properties"]) == searched


def test_every_query_parameter_is_one_that_the_query_parser_takes(shipped_document: Json) -> None:
    refused = ("SEARCH-PARAMETER",)
    for path, item in shipped_document["paths"].items():
        if not re.fullmatch(r"/[A-Z]\w+", path):
            continue
        for name, parameter in parameters(shipped_document, item["get"]).items():
            if parameter["in"] != "query":
                continue
            parsed = query.parse(path[1:], [(name, "2026-05-12")], TABLES, query.FACADE)
            rules = [f.rule for f in parsed] if isinstance(parsed, tuple) else []
            assert not set(rules) & set(refused), name


def test_a_view_says_what_a_search_must_carry_and_what_is_hidden(shipped_document: Json) -> None:
    words = shipped_document["paths"]["/Patient"]["get"]["description"]
    assert "`SR-P1` GP viewers see Dorset care" in words
    assert "_id or identifier or (family and birthdate)" in words
    assert "Patient.telecom" in words
    assert "when `caller has role gp-viewer and purpose is TREAT`" in words
    encounter = shipped_document["paths"]["/Encounter"]["get"]["description"]
    assert "Patient.telecom" not in encounter
    assert "shown are those where `Encounter.serviceProvider in caller.organisations`" in encounter
    assert "shown are those" not in words


def test_security_is_client_credentials_or_a_token_and_open_only_where_it_may_be(shipped_document: Json) -> None:
    schemes = shipped_document["components"]["securitySchemes"]
    flow = schemes["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "https://exchange.example.org/$ingest/auth"
    assert schemes["bearer"]["scheme"] == "bearer"
    assert shipped_document["security"] == [{"oauth2": []}, {"bearer": []}]
    operations = [(path, o) for path, item in shipped_document["paths"].items() for o in item.values()]
    assert {path for path, o in operations if o.get("security") == []} == {
        "/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/smart-configuration",
        "/metadata", "/openapi.json", "/swagger/v1/swagger.json", "/swagger/index.html",
        "/_health/live", "/_health/ready", "/rules",
    } - PER_CALLER  # fmt: skip
    either = {path for path, o in operations if {} in o.get("security", [])}
    assert {path for path in either if not path.startswith("/$ingest/auth")} == PER_CALLER
    assert shipped_document["paths"]["/$ingest/auth"]["post"]["security"] == [{"client": []}, {}]


def test_without_client_secrets_there_is_no_such_scheme(shipped_rules: RuleSet) -> None:
    document = openapi(shipped_rules, Published("https://x.example.org", "1"), TABLES)
    assert "client" not in document["components"]["securitySchemes"]
    assert document["paths"]["/$ingest/auth"]["post"]["security"] == [{}]
    assert faults(document) == []


def test_no_principal_is_named(shipped_document: Json, shipped_rules: RuleSet) -> None:
    text = json.dumps(shipped_document)
    assert shipped_rules.registry.principals
    assert [name for name in shipped_rules.registry.principals if name in text] == []


REGISTRY = """language 1
organisation x1z "Elsewhere Trust"
purpose TREAT "Treatment"
role viewer "Viewer"
target record "Record" takes Fhir
principal engine-one "Engine"
  connects as x1z
  sends as x1z
  sends category maternity ADT^A04
"""

MATERNITY = """language 1
domain maternity "Maternity"
  acknowledge hl7-over-http without outcome
  same control id accept

accept Hl7v2 ADT^A04
  versions 2.4 to 2.4

permit MA-P1 "Engines register"
  to ingest
  when caller connects as organisation
   and caller sends category message.type
  because "A test"

check MA-C1 "There is a patient"
  on Hl7v2 ADT^A04
  require PID-3.1 is present
  otherwise error required "no {PID-3} for {message.type} in {caller.name}"

route MA-R1 "To the record"
  on Hl7v2
  to record
  on failure queue for 90 minutes
"""

SERVING = """language 1
domain viewing "Viewing"
  serves record

permit VI-P1 "Viewers read observations"
  to read Observation
  when caller has role viewer and purpose is TREAT
  all rows
  because "A test"

permit VI-P2 "Viewers search observations"
  to search Observation
  when caller has role viewer and purpose is TREAT
  asking patient or (code and date)
  allowing value-quantity
  all rows
  because "A test"
"""

REGISTRATION = (
    "MSH|^~\\&|A|X1Z|B|C|{sent}||ADT^A04^ADT_A01|M-1|P|2.4\n"
    "EVN|A04|20260512101500\nPID|1||{id}^^^X1Z^MR||Doe^Jane\nPV1|1|E\n"
)


def put(folder: Path, name: str, text: str) -> None:
    path = folder / "samples" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def made(rule_set: RuleSet, folder: Path) -> Json:
    document = openapi(rule_set, PUBLISHED, TABLES, read_samples(folder, rule_set.domains))
    assert faults(document) == []
    return document


def test_a_new_domain_appears_without_a_change_of_code(tmp_path: Path) -> None:
    put(tmp_path, "maternity/accepted-a04.hl7", REGISTRATION.format(sent="20260512101500", id="H1"))
    put(tmp_path, "maternity/refused-a04-nobody.hl7", REGISTRATION.format(sent="20269912101500", id=""))
    document = made(loaded(("r.rules", REGISTRY), ("m.rules", MATERNITY)), tmp_path)
    operation = ingest(document)
    found = parameters(document, operation)
    assert found["source-domain"]["schema"]["enum"] == ["maternity"]
    assert found["organisation-code"]["schema"]["enum"] == ["X1Z"]
    words = operation["description"]
    assert (
        "`MA-C1` There is a patient (error required in ADT^A04: PID-3.1 is given; "
        "it says: no {PID-3} for {message.type} in {caller.name})" in words
    )
    assert "`MA-R1` To the record (to record, queued for 1.5 hours while it is down)" in words
    assert "acknowledges by `hl7-over-http`, without outcome in MSA-3" in words
    assert "accepted as a submission of its own" in words
    assert "Owner" not in words
    assert list(operation["responses"]) == ["200", "400", "401", "413", "415", "429", "503"]
    shown = operation["responses"]["200"]["content"]["text/plain"]["examples"]
    assert {"maternity.accepted-a04.hl7.ack", "maternity.refused-a04-nobody.hl7.ack"} <= set(shown)
    assert {"maternity.denied.ack", "maternity.unreadable.ack", "maternity.conflict.ack"} <= set(shown)
    assert "MSA|AA|M-1\r" in document["components"]["examples"]["maternity.accepted-a04.hl7.ack"]["value"]
    assert [path for path in document["paths"] if re.match("/[A-Z]", path)] == []


def test_a_sample_that_is_judged_otherwise_than_its_name_says_has_no_answer(tmp_path: Path) -> None:
    put(tmp_path, "maternity/refused-a04.hl7", REGISTRATION.format(sent="20260512101500", id="H1"))
    put(tmp_path, "maternity/accepted-a04-nobody.hl7", REGISTRATION.format(sent="", id=""))
    examples = made(loaded(("r.rules", REGISTRY), ("m.rules", MATERNITY)), tmp_path)["components"]["examples"]
    assert set(examples) == {"maternity.refused-a04.hl7", "maternity.accepted-a04-nobody.hl7"}


def test_a_sample_that_a_rule_forbids_is_shown_as_denied(tmp_path: Path) -> None:
    forbid = 'forbid MA-F1 "Not in May"\n  to ingest\n  when today < 2026-06-01\n  because "A test"\n'
    put(tmp_path, "maternity/refused-a04-in-may.hl7", REGISTRATION.format(sent="20260512101500", id="H1"))
    rule_set = loaded(
        ("r.rules", REGISTRY),
        ("m.rules", f"{MATERNITY}\n{forbid}".replace("hl7-over-http without outcome", "http-status")),
    )
    document = made(rule_set, tmp_path)
    shown = ingest(document)["responses"]["403"]["content"]["text/plain"]["examples"]
    assert "maternity.refused-a04-in-may.hl7.ack" in shown
    assert "MA-F1" in document["components"]["examples"]["maternity.refused-a04-in-may.hl7.ack"]["value"]
    assert "`MA-F1` Not in May" in ingest(document)["description"]


def test_two_profiles_are_told_apart(tmp_path: Path, shipped_rules: RuleSet) -> None:
    assert shipped_rules.domains
    other = (
        MATERNITY.replace("maternity", "births")
        .replace("MA-", "BI-")
        .replace("hl7-over-http without outcome", "http-status")
    )
    document = made(loaded(("r.rules", REGISTRY), ("m.rules", MATERNITY), ("b.rules", other)), tmp_path)
    responses = ingest(document)["responses"]
    assert "- AR, not permitted by the rules (`http-status`)" in responses["403"]["description"]
    assert "- AR, not permitted by the rules (`hl7-over-http`)" in responses["200"]["description"]
    assert "(`http-status` and `hl7-over-http`)" in responses["503"]["description"]
    assert parameters(document, ingest(document))["source-domain"]["schema"]["enum"] == ["births", "maternity"]


def test_a_type_shows_what_each_of_its_permits_lets_be_asked(tmp_path: Path) -> None:
    document = made(loaded(("r.rules", REGISTRY), ("m.rules", MATERNITY), ("v.rules", SERVING)), tmp_path)
    search = document["paths"]["/Observation"]["get"]
    searched = {name: p for name, p in parameters(document, search).items() if p["in"] == "query"}
    assert {"patient", "code", "date", "value-quantity"} <= set(searched)
    assert searched["date"]["schema"]["type"] == "array"
    assert "VI-P1" not in search["description"]
    assert "a search carries patient or (code and date)" in search["description"]
    assert "VI-P2" not in document["paths"]["/Observation/{id}"]["get"]["description"]


def test_rules_without_a_sending_domain_offer_no_ingest(tmp_path: Path) -> None:
    registry = REGISTRY.replace("  sends category maternity ADT^A04\n", "").replace('purpose TREAT "Treatment"\n', "")
    document = made(loaded(("r.rules", registry)), tmp_path)
    assert "/$ingest" not in document["paths"]
    assert "purpose-of-use" not in document["components"]["parameters"]


def test_every_file_beside_the_rules_is_a_sample_of_a_sending_domain(shipped_rules: RuleSet, repository: Path) -> None:
    sending = [name for name, domain in shipped_rules.domains.items() if domain.accepts]
    files = set((repository / "rules" / "samples").glob("*/*"))
    files -= set((repository / "rules" / "samples" / "tests").iterdir())  # those of tests in the language
    assert files == {sample.path for sample in read_samples(repository / "rules", sending)}


def test_what_is_answered_before_the_message_is_read_names_no_control_id(shipped_document: Json) -> None:
    examples = shipped_document["components"]["examples"]
    for name, control_id in (("unauthorised", ""), ("too-large", ""), ("denied", "EC-A01-0001")):
        told = hl7v2.read_acknowledgement(examples[f"emergency-care.{name}.ack"]["value"].encode())
        assert told is not None
        assert (told.control_id or "") == control_id


def test_what_an_entry_of_a_bundle_may_ask_is_named(shipped_rules: RuleSet) -> None:
    document = openapi(shipped_rules, PUBLISHED, TABLES)
    entry = document["components"]["schemas"]["RequestBundle"]["properties"]["entry"]["items"]
    words = entry["properties"]["request"]["properties"]["url"]["description"]
    for address in ("Type?search", "POST Type/_search?search", "Type/id/_history", "Type/id/_history/version"):
        assert f"`{address}`" in words
