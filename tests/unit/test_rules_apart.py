"""A search with chains and `_has`, told search by search, as each has to be granted."""

from __future__ import annotations

import functools
from datetime import date

import pytest

from gateway import explaining
from gateway.explaining import Desk, Question
from tests.conformance.rules.support import ROOT

ASKED = Question("dorset-gp", purpose="TREAT", day=date(2026, 6, 30))


@functools.cache
def desk() -> Desk:
    return explaining.desk(ROOT / "rules", ROOT / "specs")


def told(address: str) -> list[tuple[str, str]]:
    found = tuple(desk().searches(address, ASKED))
    assert all(one.account is not None and one.account.agrees() for one in found)
    return [(one.name, one.account.effect if one.account is not None else "") for one in found]


def test_a_search_without_links_is_one() -> None:
    assert told("Patient?_id=1") == [("Patient?_id=1", "permit")]
    assert told("Patient/1") == [("Patient/1", "permit")]


def test_a_chain_is_a_search_of_each_type_that_it_may_lead_to() -> None:
    assert told("Encounter?patient.identifier=1") == [
        ("Encounter?patient.identifier=1", "permit"),
        ("Patient?identifier=1 (by patient.identifier)", "permit"),
        ("Group?identifier=1 (by patient.identifier)", "deny"),
    ]


def test_a_chain_of_chains_is_told_to_its_end() -> None:
    by = "general-practitioner.name by subject:Patient.general-practitioner.name"
    assert [name for name, _ in told("Encounter?subject:Patient.general-practitioner.name=x")] == [
        "Encounter?subject:Patient.general-practitioner.name=x",
        "Patient?general-practitioner=Practitioner/0 (by subject:Patient.general-practitioner.name)",
        f"Practitioner?name=x (by {by})",
        f"Organization?name=x (by {by})",
    ]


def test_what_refers_is_a_search_of_its_own_by_its_reference_too() -> None:
    assert told("Encounter?patient=1&_has:Condition:encounter:code=x") == [
        ("Encounter?patient=1&_has:Condition:encounter:code=x", "permit"),
        ("Condition?code=x&encounter=Encounter/0 (by _has:Condition:encounter:code)", "deny"),
    ]
    # by `_has` alone it is asked for by the ids that that gives
    assert told("Encounter?_has:Condition:encounter:code=x")[0][1] == "permit"


def test_the_parameter_that_is_not_allowed_is_said_of_the_search_that_has_it() -> None:
    first, second = desk().searches("Encounter?patient:Patient.family=Smith", ASKED)
    assert first.account is not None
    assert first.account.effect == "permit"
    assert second.account is not None
    assert second.account.nearest is not None
    assert second.account.nearest.lacks == ("the search must carry _id or identifier or family with birthdate",)


@pytest.mark.parametrize("address", ["Encounter?subject:Patient.nonsense=x", "Encounter?nonsense.family=x"])
def test_a_chain_that_there_is_not_is_refused_before_any_rule(address: str) -> None:
    (found,) = desk().searches(address, ASKED)
    assert found.account is None
    assert found.wrong
