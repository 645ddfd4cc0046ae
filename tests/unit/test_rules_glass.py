"""Routes `on break-glass`: which uses are told, and to which targets.

Source: `rules-language.md` of the design, meaning 13.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.documents.offering import route_words
from gateway.rules import Facts, RuleSet
from gateway.rules.account.explain import Explainer
from gateway.rules.account.reach import reach
from gateway.rules.account.show import glass
from gateway.rules.account.told import told
from gateway.rules.account.words import titles
from gateway.rules.around import NOTHING, Around, Reading
from gateway.rules.decision import Routing
from tests.conformance.rules.support import REGISTRY, message, question, ruled, submission
from tests.unit.test_rules_shown import CHILD, PATIENT

BREAKER = """
target office "Privacy office" takes Fhir
target archive "Archive" takes Fhir
principal breaker "May break glass"
  connects as qvv
  roles gp-viewer
  may assert purpose TREAT, HOPERAT
  may break glass
"""
PERMIT = """
permit P "GPs see"
  to search, read Patient, Condition
  when caller has role gp-viewer
  allowing _id
  all rows
"""
ALL = """
route G "Told"
  on break-glass
  to office on failure queue for 2 days
"""
AROUND: Around = {Reading("Patient", "1"): (PATIENT,), Reading("Patient", "2"): (CHILD,)}


def condition_of(patient: str) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": f"c{patient}", "subject": {"reference": f"Patient/{patient}"}}


def rules_of(text: str) -> RuleSet:
    return ruled(PERMIT + text, registry=REGISTRY + BREAKER)


def asking(rules: RuleSet, kind: str = "Patient", purpose: str | None = None, *, broken: bool = True) -> Facts:
    return replace(question(rules, kind, caller="breaker", action="read", purpose=purpose), glass=broken)


def targets(
    rules: RuleSet, *shown: dict[str, Any], kind: str = "Patient", around: Around = NOTHING, **facts: Any
) -> list[str]:
    return [routing.target for routing in rules.notices(asking(rules, kind, **facts), shown, around)]


def test_a_use_is_told_with_how_long_its_target_is_tried_and_by_which_rule() -> None:
    rules = rules_of(ALL)
    asked = asking(rules)
    (routing,) = rules.notices(asked, [PATIENT])
    assert isinstance(routing, Routing)
    assert (routing.rule, routing.target, routing.on_failure, routing.order_key) == ("G", "office", "queue", None)
    assert routing.hold is not None
    assert routing.hold.days == 2


def test_where_no_glass_is_broken_nobody_is_told() -> None:
    assert targets(rules_of(ALL), PATIENT, broken=False) == []


def test_a_use_that_shows_nothing_is_told_too() -> None:
    assert targets(rules_of(ALL)) == ["office"]


def test_a_count_which_shows_nothing_is_told_by_a_route_that_reads_what_is_shown() -> None:
    rules = rules_of(ALL.replace("on break-glass", "on break-glass Patient\n  when patient has age under 16 years"))
    read = asking(rules)
    for asked, rows, expected in (
        (replace(read, action="count"), (), ["office"]),
        (replace(read, action="count", glass=False), (), []),
        (read, (), []),
        (read, (PATIENT,), []),
    ):
        assert [routing.target for routing in rules.notices(asked, rows)] == expected


def test_two_routes_to_one_target_tell_once() -> None:
    more = ALL.replace("route G", "route G2").replace(
        "to office", "to archive on failure queue for 1 day\n  and to office"
    )
    twice = ALL + more
    assert targets(rules_of(twice), PATIENT) == ["office", "archive"]


@pytest.mark.parametrize(
    ("kind", "shown", "expected"),
    [
        ("Patient", (), ["office"]),
        ("Condition", (), []),
        ("Condition", (PATIENT,), ["office"]),
        ("Condition", (condition_of("1"),), []),
    ],
)
def test_types_are_those_that_were_asked_for_or_shown(
    kind: str, shown: tuple[dict[str, Any], ...], expected: list[str]
) -> None:
    rules = rules_of(ALL.replace("on break-glass", "on break-glass Patient"))
    assert targets(rules, *shown, kind=kind) == expected


def test_a_condition_on_the_request_is_asked_of_it() -> None:
    rules = rules_of(ALL.replace("on break-glass", "on break-glass\n  when purpose is absent or purpose is not TREAT"))
    assert targets(rules, PATIENT, purpose="TREAT") == []
    assert targets(rules, PATIENT, purpose="HOPERAT") == ["office"]
    assert targets(rules, PATIENT) == ["office"]


CHILDREN = """
route G "Told"
  on break-glass Condition
  when caller has role gp-viewer and patient has age under 16 years
  to office on failure queue for 2 days
"""


def test_of_several_that_were_shown_one_patient_is_enough() -> None:
    rules = rules_of(CHILDREN)
    grown, child = condition_of("1"), condition_of("2")
    assert targets(rules, grown, kind="Condition", around=AROUND) == []
    assert targets(rules, grown, child, kind="Condition", around=AROUND) == ["office"]


def test_a_patient_that_was_not_found_is_told_of() -> None:
    assert targets(rules_of(CHILDREN), condition_of("1"), kind="Condition") == ["office"]


def test_the_patients_that_a_route_reads_are_fetched_only_where_glass_is_broken() -> None:
    rules = rules_of(CHILDREN)
    for broken, wanted in ((True, {Reading("Patient", "2")}), (False, set())):
        asked = asking(rules, "Condition", broken=broken)
        assert rules.wants(asked, rules.decide(asked), [condition_of("2")]) == wanted


def test_no_submission_takes_such_a_route() -> None:
    rules = rules_of(ALL + 'permit I "Anyone"\n  to ingest\n')
    decision = rules.decide(submission(rules, message()))
    assert (decision.effect, decision.routes) == ("refuse", ())


def test_an_account_names_who_is_told_and_the_table_too() -> None:
    rules = rules_of(ALL)
    account = Explainer(rules).explain(asking(rules))
    assert account.agrees()
    assert "  the use of broken glass is told to office by G" in [line.text for line in told(account)]
    assert Explainer(rules).explain(asking(rules, broken=False)).notices == ()


def test_the_table_says_who_is_told() -> None:
    rules = rules_of(ALL.replace("on break-glass", "on break-glass Patient"))
    cells = {ability.type: glass(ability, [n.route for n in rules.noticing]) for ability in reach(rules)}
    assert cells == {"Patient": "yes, told to office", "Condition": "yes"}


def test_the_page_of_the_rules_says_it_in_words() -> None:
    rules = rules_of(ALL.replace("on break-glass", "on break-glass Patient\n  when purpose is absent"))
    (route,) = rules.domains["here"].routes
    told = "each use of broken glass of Patient to office, queued for 48 hours while it is down"
    assert route_words(route, titles(rules.registry)) == f"{told}, when the purpose is not given"
