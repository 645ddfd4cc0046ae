"""What one decision of the rules judges, what the facade decides node by node, and what nothing here judges.

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


NEVER = [
    ("Encounter", "subject:identifier", "urn:s|1"),
    ("Patient", "general-practitioner:above", "1"),
    ("Observation", "code:in", "http://example.org/codes"),
    ("Observation", "code:below", "1"),
    ("Patient", "_filter", "name eq x"),
    ("Patient", "_list", "1"),
    ("Patient", "_query", "everything"),
    ("Patient", "_type", "Patient"),
    ("Patient", "_contained", "true"),
    ("Patient", "_contained", "false"),
    ("Patient", "_containedType", "container"),
    ("Patient", "_text", "x"),
    ("Patient", "_content", "x"),
    ("Patient", "_nonsense", "x"),
    ("Patient", "identifier:nonsense", "x"),
    ("Patient", "_include:nonsense", "Patient:link"),
]


@pytest.mark.parametrize(("resource_type", "name", "value"), NEVER)
def test_what_nothing_here_judges_is_refused_with_what_may_be_asked(
    gateway: Running, resource_type: str, name: str, value: str
) -> None:
    assert gateway.send(message()).status_code == 200
    key = "_id" if resource_type == "Patient" else "patient"
    refused = gateway.search(f"/{resource_type}?{key}={NHS_NUMBER}&{name}={value}")
    assert refused.status_code == 400, refused.text
    *_, last = issues(refused)
    assert last["diagnostics"].startswith(f"you may search {resource_type} by _id, ")
    would = last["diagnostics"].rpartition("this would work: GET ")[2]
    assert gateway.search(f"/{would}").status_code == 200, would


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
