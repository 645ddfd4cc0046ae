"""Actions that write: `rules-language.md` meaning 1, 7, 9 to 11."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.rules import Decision, Facts
from tests.conformance.rules.support import question, read, ruled

WRITES = """
permit W "Keepers"
  to search, create, update Flag
  when caller has role gp-viewer and purpose is TREAT
  asking patient
  allowing date
  rows Flag where Flag.author in caller.organisations
permit N "New ones of anybody"
  to create Basic
  when caller has role counter
  all rows
  hide Basic.author
forbid F "What is restricted stays as it is"
  to update Flag
  when Flag.status is present and Flag.status is "inactive"
check C "A flag says what it is"
  on Fhir Flag
  require Flag.code.text is present
  otherwise error required "nothing says what it is"
"""
RULES = ruled(WRITES)


def flag(author: str = "R0D", status: str = "active", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Flag", "status": status, "author": {"reference": f"Organization/{author}"}, **more}


def decided(action: str, resource: str = "Flag", **changed: Any) -> tuple[Facts, Decision]:
    facts = question(RULES, resource, action=action, **changed)
    return facts, RULES.decide(facts)


@pytest.mark.parametrize("action", ["create", "update"])
def test_a_write_is_denied_by_default(action: str) -> None:
    assert decided(action)[1].by == ("W",)
    assert decided(action, "Patient")[1].effect == "deny"
    assert decided(action, purpose=None)[1].effect == "deny"
    assert decided(action, caller="nobody")[1].effect == "deny"


@pytest.mark.parametrize(("action", "example"), [("create", "POST /Flag"), ("update", "PUT /Flag/[id]")])
def test_a_denial_says_what_would_work(action: str, example: str) -> None:
    (lack,) = decided(action, purpose=None)[1].wanting
    assert (lack.rule, lack.diagnostics) == (
        "W", f"purpose-of-use must be TREAT; this would work: {example} with purpose-of-use: TREAT"
    )  # fmt: skip


def test_rows_and_forbids_judge_what_is_written() -> None:
    create, update = decided("create"), decided("update")
    assert RULES.release(*create, flag()).by == ("W",)
    assert not RULES.release(*create, flag("ZZZ")).released
    assert not RULES.release(*create, {"resourceType": "Flag", "status": "active"}).released
    assert RULES.release(*create, flag(status="inactive")).released
    against = RULES.release(*update, flag(status="inactive"))
    assert (against.released, against.by) == (False, ("F",))


def test_what_cannot_be_decided_denies() -> None:
    erred = RULES.release(*decided("update"), {**flag(), "status": 7})
    assert (erred.released, erred.erred) == (False, ("F",))


def test_checks_on_fhir_run_in_a_domain_that_serves() -> None:
    facts, _ = decided("create")
    assert RULES.serving("Flag") == ("here",)
    assert RULES.domain_of("W") == "here"
    (found,) = RULES.check_submitted(facts, "here", [("Flag", flag())])
    assert (found.rule, found.expression, found.severity) == ("C", "Flag.code.text", "error")
    assert RULES.check_submitted(facts, "here", [("Flag", flag(code={"text": "x"}))]) == ()


def test_a_check_on_what_is_neither_sent_nor_written_is_an_error() -> None:
    found = read(WRITES + WRITES.partition("check")[1] + ' D "x"\n  on Fhir Task\n  require Task.status is present\n')
    assert found.rules is None
    assert {d.code for d in found.diagnostics} >= {"R051"}


def test_the_parameters_that_a_caller_may_use() -> None:
    assert RULES.parameters(decided("search")[0]) == ("date", "patient")
    assert RULES.parameters(question(RULES, "Flag", caller="nobody")) == ()
    assert RULES.parameters(question(RULES, "Patient")) == ()
