"""The facade takes what rules judge and nothing more, whatever else the parser and the store can do.

Source: `facade.md` of the design, "Narrow, then check again"
"""

from __future__ import annotations

import pytest

from gateway import query, specs
from tests.conformance.rules.support import question, ruled
from tests.running import NHS_NUMBER, Running, issues, message

TABLES = specs.fhir()
BEYOND = [
    ("Encounter", "subject:Patient.family", "Marlow"),
    ("Encounter", "patient.family", "Marlow"),
    ("Patient", "_has:Observation:patient:code", "1"),
    ("Patient", "_has:Observation:patient:_has:Provenance:target:agent", "1"),
    ("Patient", "_include", "Patient:organization"),
    ("Patient", "_include", "*"),
    ("Patient", "_include:iterate", "Patient:link"),
    ("Patient", "_revinclude", "Encounter:patient"),
    ("Patient", "_revinclude:iterate", "Encounter:patient"),
    ("Patient", "identifier:of-type", "urn:s|MR|1"),
    ("Encounter", "subject:identifier", "urn:s|1"),
    ("Patient", "_profile:below", "http://example.org/"),
    ("Patient", "_profile:above", "http://example.org/"),
    ("Observation", "code-value-quantity", "a$1"),
]


@pytest.mark.parametrize(("resource_type", "name", "value"), BEYOND)
def test_what_rules_do_not_judge_is_refused_by_name(
    gateway: Running, resource_type: str, name: str, value: str
) -> None:
    assert gateway.send(message()).status_code == 200
    key = "_id" if resource_type == "Patient" else "patient"
    refused = gateway.search(f"/{resource_type}?{key}={NHS_NUMBER}&{name}={value}")
    assert refused.status_code in {400, 403}, refused.text
    assert "entry" not in refused.json()
    assert "not offered" in str(issues(refused)) or "no rule lets" in str(issues(refused))


@pytest.mark.parametrize(("resource_type", "name", "value"), BEYOND)
def test_the_parser_takes_it_only_where_all_is_offered(resource_type: str, name: str, value: str) -> None:
    assert isinstance(query.parse(resource_type, [(name, value)], TABLES, query.WHOLE), query.Query)
    assert not isinstance(query.parse(resource_type, [(name, value)], TABLES), query.Query)


RULES = ruled("""
permit S "Viewers"
  to search Patient, Encounter
  when caller has role gp-viewer and purpose is TREAT
  asking _id or patient
  allowing gender
  all rows
""")


@pytest.mark.parametrize(
    ("name", "value"),
    [("_has:Observation:patient:code", "1"), ("organization.name", "x"), ("_include", "*"), ("_revinclude", "*")],
)
def test_rules_deny_it_too_should_it_reach_them(name: str, value: str) -> None:
    facts = question(RULES, "Patient", ("_id", "1"))
    assert RULES.decide(facts).effect == "permit"
    asked = query.parse("Patient", [("_id", "1"), (name, value)], TABLES, query.WHOLE)
    assert isinstance(asked, query.Query)
    object.__setattr__(facts, "query", asked)
    assert RULES.decide(facts).effect == "deny"
