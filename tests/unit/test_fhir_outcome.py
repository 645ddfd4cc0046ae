"""OperationOutcomes that fit into an acknowledgement."""

from __future__ import annotations

import pytest

from gateway import fhir, specs
from gateway.finding import Finding, Severity

AT = "2024-02-13T14:49:32.581+00:00"


def outcome(*findings: Finding, **limits: int) -> fhir.Resource:
    return fhir.operation_outcome(findings, id="f7f8910f", last_updated=AT, **limits)


def test_the_shape_of_the_interfaces_example() -> None:
    found = outcome(Finding("error", "code-invalid", "PID-3 is wrong", "PID-3[1].1", "EC-C1"))
    assert fhir.dump(found) == (
        b'{"resourceType":"OperationOutcome","id":"f7f8910f","meta":{"lastUpdated":"2024-02-13T14:49:32.581+00:00"},'
        b'"issue":[{"severity":"error","code":"code-invalid","details":{"coding":[{"code":"EC-C1"}]},'
        b'"expression":["PID-3[1].1"],"diagnostics":"PID-3 is wrong"}]}'
    )


def test_an_issue_has_only_what_its_finding_has() -> None:
    assert outcome(Finding("warning", "business-rule", ""))["issue"] == [
        {"severity": "warning", "code": "business-rule"}
    ]


def test_without_findings_one_issue_says_so() -> None:
    assert [i["severity"] for i in outcome()["issue"]] == ["information"]


def test_words_lose_what_an_engine_stumbles_over() -> None:
    dirty = 'a "b" \\ c\rd\ne\tf|g^h~i&j\x00k\u2028l\ud800m`n`'
    found = outcome(Finding("error", "value", dirty, 'x"|', 'R"|'))["issue"][0]
    for text in (found["diagnostics"], found["expression"][0], found["details"]["coding"][0]["code"]):
        assert not set(text) & set('"\\\r\n\t|^~&\x00\u2028\ud800')
    assert found["diagnostics"] == "a 'b' / c d e f/g/h/i+j k l?m`n`"
    assert fhir.clean("plain, Zoë, 東京") == "plain, Zoë, 東京"


def test_at_most_twenty_issues_the_gravest_first_and_the_rest_counted() -> None:
    severities: list[Severity] = ["information", "warning", "error"]
    found = outcome(*(Finding(severity, "value", str(i)) for severity in severities for i in range(10)))["issue"]
    assert len(found) == 20
    assert [i["severity"] for i in found[:19]] == ["error"] * 10 + ["warning"] * 9
    assert found[19] == {
        "severity": "information",
        "code": "informational",
        "diagnostics": "11 more issues are not shown: 1 warning, 10 information",
    }


def test_exactly_twenty_issues_all_stand() -> None:
    found = outcome(*(Finding("error", "value", str(i)) for i in range(20)))["issue"]
    assert [i["diagnostics"] for i in found] == [str(i) for i in range(20)]


@pytest.mark.parametrize("character", ["x", "é", "東"])
def test_at_most_eight_kilobytes(character: str) -> None:
    found = outcome(*(Finding("error", "value", character * 5000) for _ in range(15)))
    assert len(fhir.dump(found)) <= 8192
    assert len(found["issue"][0]["diagnostics"]) == 1000
    assert found["issue"][-1]["diagnostics"].endswith("error")


def test_the_limits_are_parameters_and_one_issue_always_stays() -> None:
    found = outcome(*(Finding("error", "value", "x" * 500) for _ in range(3)), max_issues=2, max_bytes=100)
    assert [i["severity"] for i in found["issue"]] == ["error", "information"]
    long = outcome(Finding("error", "value", "", "P" * 500))
    assert len(long["issue"][0]["expression"][0]) == 200


@pytest.mark.parametrize("code", ["BAD\r|^code", "", "success", "HAPI-0389", "Processing", "x" * 100_000])
def test_a_code_that_r4_does_not_know_becomes_processing(code: str) -> None:
    assert outcome(Finding("error", code, "a target's words"))["issue"] == [
        {"severity": "error", "code": "processing", "diagnostics": "a target's words"}
    ]


def test_every_issue_type_of_r4_stays() -> None:
    codes = specs.fhir(specs.ROOT).codes["http://hl7.org/fhir/ValueSet/issue-type"]
    assert len(codes) == 31
    assert {outcome(Finding("error", code, ""))["issue"][0]["code"] for code in codes} == codes


def test_an_expression_is_bounded() -> None:
    expression = outcome(Finding("error", "value", "", "P" * 100_000))["issue"][0]["expression"][0]
    assert expression == "P" * 197 + "..."
