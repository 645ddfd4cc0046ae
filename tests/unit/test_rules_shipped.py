"""The rule files that ship, on the messages and searches that they are about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.rules import Caller, load
from gateway.rules.decision import Routing
from tests.conformance.rules.support import NOW, ROOT, message, question, shipped, submission, vocabulary

A01 = message()


def test_they_load_without_a_diagnostic() -> None:
    assert load(ROOT / "rules", vocabulary()).diagnostics == ()


def test_a_good_message_is_permitted_and_routed_in_order_of_its_patient() -> None:
    decision = shipped().decide(submission(shipped(), A01, "demo-engine", domain="emergency-care"))
    assert (decision.effect, decision.by, decision.findings) == ("permit", ("EC-P1",), ())
    assert decision.routes == (
        Routing("EC-R1", "record", "reject", None, "9990000018"),
        Routing("EC-R1", "bed-board", "queue", timedelta(hours=72), "9990000018"),
    )
    assert decision.digest == shipped().digest


@pytest.mark.parametrize(
    ("pid", "place"),
    [
        ("PID|1||9990000019^^^NHS^NH", "PID-3[1].1"),
        ("PID|1||123^^^R0D^MR~9990000019^^^^NH", "PID-3[2].1"),
        ("PID|1||1111111111^^^NHS", "PID-3[1].1"),
        ("PID|1||A^^^R0D~~999000001X^^^NHS&x", "PID-3[3].1"),
    ],
)
def test_a_wrong_nhs_number_is_refused_at_its_repetition(pid: str, place: str) -> None:
    sent = message(pid, "PV1|1|E")
    decision = shipped().decide(submission(shipped(), sent, "demo-engine", domain="emergency-care"))
    assert (decision.effect, decision.by) == ("refuse", ("EC-C1",))
    assert [(f.rule, f.expression, f.code) for f in decision.findings] == [("EC-C1", place, "code-invalid")]
    assert decision.findings[0].diagnostics.endswith("is not a valid NHS number")


@pytest.mark.parametrize("pid", ["PID|1||9990000019^^^R0D^MR", "PID|1||^^^NHS^NH", "PID|1", 'PID|1||""^^^NHS^NH'])
def test_other_identifiers_and_absent_numbers_are_no_nhs_numbers(pid: str) -> None:
    sent = message(pid, "PV1|1|E")
    assert shipped().decide(submission(shipped(), sent, "demo-engine", domain="emergency-care")).effect == "permit"


def test_a_discharge_carries_its_time() -> None:
    facts = submission(shipped(), message(kind="ADT^A03"), "demo-engine", domain="emergency-care")
    decision = shipped().decide(facts)
    assert [(f.rule, f.expression) for f in decision.findings] == [("EC-C2", "PV1-45")]
    told = message("PID|1", "PV1|1|E" + "|" * 43 + "20260515", kind="ADT^A03")
    assert shipped().decide(replace(facts, message=told)).effect == "permit"


def test_a_warning_lets_through() -> None:
    sent = message("PID|1", "PV1|1|I")
    decision = shipped().decide(submission(shipped(), sent, "demo-engine", domain="emergency-care"))
    assert decision.effect == "permit"
    assert [(f.severity, f.rule, f.expression) for f in decision.findings] == [("warning", "EC-C3", "PV1-2")]


def test_a_training_message_is_forbidden_in_production_alone() -> None:
    facts = submission(shipped(), message(msh11="T"), "demo-engine", domain="emergency-care")
    assert shipped().decide(facts).effect == "permit"
    decision = shipped().decide(replace(facts, environment="production"))
    assert (decision.effect, decision.by) == ("deny", ("EC-F1",))
    assert [f.rule for f in decision.findings] == ["EC-F1"]


def test_an_engine_that_may_not_send_is_told_what_it_lacks() -> None:
    facts = submission(shipped(), A01, "demo-engine", domain="emergency-care", organisation="RDZ")
    decision = shipped().decide(facts)
    assert decision.effect == "deny"
    assert [f.diagnostics for f in decision.wanting] == [
        "the principal does not connect as RDZ",
        "the principal does not send for RDZ",
    ]
    partner = shipped().decide(replace(facts, caller=_caller("demo-partner"), organisation="R0D"))
    assert "the principal does not send ADT A01 to this domain" in [f.diagnostics for f in partner.wanting]


def test_an_agreement_ends_with_its_last_day() -> None:
    facts = submission(shipped(), A01, "demo-engine", domain="emergency-care")
    last = shipped().registry.agreements["DSA-2026-014"].last
    assert shipped().decide(replace(facts, today=last)).effect == "permit"
    ended = shipped().decide(replace(facts, today=last + timedelta(days=1)))
    assert ended.effect == "deny"
    assert ended.wanting[0].diagnostics == f"the agreement DSA-2026-014 is not in force on {last + timedelta(days=1)}"


def test_what_conversion_made_is_checked_before_delivery() -> None:
    facts = submission(shipped(), A01, "demo-engine", domain="emergency-care")
    found = shipped().check_result(
        facts,
        [
            {"resourceType": "Encounter", "status": "finished"},
            {"resourceType": "Encounter", "status": "planned"},
            {"resourceType": "Encounter"},
            {"resourceType": "Patient"},
        ],
    )
    assert [(f.rule, f.expression, f.severity) for f in found] == [("EC-C4", "Encounter.status", "error")] * 2


def test_a_partner_sees_for_treatment() -> None:
    rules = shipped()
    decision = rules.decide(question(rules, "Patient", ("_id", "9990000018"), caller="demo-partner"))
    assert (decision.effect, decision.by) == ("permit", ("SR-P1",))
    release = rules.release(question(rules, "Patient", caller="demo-partner"), decision, {"resourceType": "Patient"})
    assert release.released
    assert release.hide == {"Patient.telecom", "Patient.contact"}


def test_a_partner_without_purpose_is_told_which() -> None:
    rules = shipped()
    decision = rules.decide(question(rules, "Patient", ("_id", "1"), caller="demo-partner", purpose=None))
    assert (decision.effect, decision.unusable) == ("deny", False)
    assert [(f.expression, f.diagnostics) for f in decision.wanting] == [
        (
            "purpose-of-use",
            "purpose-of-use must be TREAT; this would work: GET /Patient?_id=[value] with purpose-of-use: TREAT",
        )
    ]


def test_rows_go_upstream_and_are_checked_again() -> None:
    rules = shipped()
    facts = question(rules, "Encounter", ("patient", "Patient/9990000018"), caller="demo-partner")
    decision = rules.decide(facts)
    (view,) = decision.views
    assert view.narrow == (
        ("service-provider", ("Organization/8PA01", "Organization/QVV", "Organization/R0D", "Organization/RDZ")),
    )

    def shown(provider: object) -> bool:
        return rules.release(facts, decision, {"resourceType": "Encounter", "serviceProvider": provider}).released

    assert shown({"reference": "Organization/R0D"})
    # what the search upstream would not find is no row when it is read either
    assert not shown({"reference": "Organization/r0d"})
    assert not shown({"reference": "Organization/R0D/_history/2"})
    assert not shown({"identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "rdz"}})
    assert not shown({"reference": "Organization/RXX"})
    assert not shown({"reference": "https://elsewhere.example.org/Organization/R0D"})
    assert not shown({"identifier": {"system": "urn:other", "value": "rdz"}})
    assert not shown({})
    assert not rules.release(facts, decision, {"resourceType": "Encounter"}).released


def test_every_rule_has_its_place() -> None:
    places = shipped().places
    assert places["EC-P1"].startswith("rules/emergency-care.rules:")
    for rule, place in places.items():
        name, line = place.rsplit(":", 1)
        assert (ROOT / name).read_text(encoding="utf-8").split("\n")[int(line) - 1].split()[1] == rule


def test_organisations_of_a_caller_are_all_below() -> None:
    assert _caller("demo-partner").organisations == {"8PA01", "QVV", "R0D", "RDZ"}
    assert _caller("demo-engine").organisations == {"R0D"}
    assert shipped().caller("unheard-of") is None


def _caller(name: str) -> Caller:
    found = shipped().caller(name)
    assert found is not None
    return found


def test_it_holds_in_the_first_and_last_instant_of_a_day() -> None:
    facts = submission(shipped(), A01, "demo-engine", domain="emergency-care", now=NOW, today=NOW.date())
    first = shipped().registry.agreements["DSA-2026-014"].first
    assert shipped().decide(replace(facts, today=first)).effect == "permit"
    assert shipped().decide(replace(facts, today=first - timedelta(days=1))).effect == "deny"
