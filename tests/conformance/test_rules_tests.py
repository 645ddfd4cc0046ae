"""`gateway rules test`: the tests that ship pass and leave no rule out; what the command tells of those that don't."""

from __future__ import annotations

import functools
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree as ET

import pytest

from gateway import cli, trials
from gateway.rules.check import rules_of
from gateway.rules.declared import Check, Forbid, Permit, Route
from gateway.rules.trial import cover, suite
from gateway.rules.trial.suite import Result
from tests.conformance.rules.support import ROOT

RULES = ROOT / "rules"
pytestmark = pytest.mark.usefixtures("stood_on")


@functools.cache
def shipped() -> tuple[trials.Suite, tuple[Result, ...]]:
    ready = trials.suite(RULES, ROOT / "specs")
    return ready, tuple(suite.results(ready.trials, ready.world))


def test_all_tests_that_ship_pass() -> None:
    assert [words for result in shipped()[1] for words in result.failures] == []


def test_every_rule_has_a_test_for_it_and_every_permit_one_against() -> None:
    ready, results = shipped()
    expected = {(e.rule, e.outcome) for result in results for e in result.trial.expected}
    decided = {name for result in results for answer in result.answers for name in answer.by}
    told = {target for result in results for answer in result.answers for target in answer.notices}
    routes = (route for domain in ready.world.rules.domains.values() for route in domain.routes)
    decided |= {route.id for route in routes if told.issuperset(target.name for target in route.targets)}
    wanted: Mapping[type[object], tuple[str, ...]] = {Permit: ("want",), Forbid: ("deny",), Check: ("refuse", "warn")}
    rules = [rule for domain in ready.world.rules.domains.values() for rule in rules_of(domain)]
    assert [rule.id for rule in rules if rule.id not in decided and isinstance(rule, Permit | Route)] == []
    missed = [
        rule.id
        for rule in rules
        if type(rule) in wanted and not any((rule.id, outcome) in expected for outcome in wanted[type(rule)])
    ]
    assert missed == []


def test_the_coverage_of_what_ships_does_not_fall() -> None:
    ready, results = shipped()
    found = cover.coverage(ready.world.rules, [answer for result in results for answer in result.answers])
    assert found.unreached == ()
    assert all(line.true or line.false for line in found.lines)
    assert found.both >= 0.7 * len(found.lines)


def test_what_needs_no_patient_is_covered_as_it_was_asked() -> None:
    ready, results = shipped()
    found = cover.coverage(ready.world.rules, [answer for result in results for answer in result.answers])
    glass = [one.why for one in found.lines if one.rule == "SR-F2" and one.span.text == "caller breaks glass"]
    assert glass == [None]


# --- the command ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What the command printed, and how it ended."""

    status: int
    out: str
    err: str


class Command(Protocol):
    """Run `gateway rules test` in this process."""

    def __call__(self, *arguments: str) -> Told: ...


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str) -> Told:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gateway", "rules", "test", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        return Told(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A part of what ships, to be changed."""
    copy = tmp_path / "rules"
    copy.mkdir()
    for name in ("registry", "emergency-care", "pathology", "patient-administration", "reference-data"):
        shutil.copy(RULES / f"{name}.rules", copy)
    shutil.copytree(RULES / "samples", copy / "samples")
    return copy


PASSES = """language 1
test "an admission is taken"
  given message "samples/emergency-care/accepted-a01-admission.hl7"
  from uhd-mirth as r0d to emergency-care
  expect accept to record, bed-board
"""
FAILS = """
test "an admission is refused"
  given message "samples/emergency-care/accepted-a01-admission.hl7"
  from uhd-mirth as r0d to emergency-care
  expect refuse by EC-C1 at PID-3[1].1
"""


def test_what_ships_passes_by_the_command(gateway: Command) -> None:
    told = gateway()
    assert (told.status, told.out) == (0, "")
    assert f"{len(shipped()[1])} tests, 0 failed, in " in told.err


def test_a_failing_test_is_told_and_ends_with_status_1(gateway: Command, folder: Path) -> None:
    (folder / "mine.test.rules").write_text(PASSES + FAILS, "utf-8")
    report = folder / "report.xml"
    told = gateway(str(folder), "--coverage", "--junit", str(report))
    assert told.status == 1
    assert "failed: an admission is refused\n   --> rules/mine.test.rules:10:3\n" in told.out
    assert "decided:  the message is accepted to bed-board, record by EC-P1, EC-R1" in told.out
    assert 'EC-C1 require: `id.1 is nhs-number` is true (id.1 is "9990000018")' in told.out
    assert "EC-C6: `row.DEPARTED is present` true 0, false 0: no test sends Csv to emergency-care\n" in told.out
    assert "conditions came out both ways" in told.out
    assert told.err.startswith("2 tests, 1 failed, in ")
    written = ET.parse(report).getroot()  # noqa: S314 - written by this very command
    assert (written.get("tests"), written.get("failures")) == ("2", "1")
    (failure,) = written.iter("failure")
    assert failure.get("message") == "expected: EC-C1 refuses it at PID-3[1].1"


def test_rules_without_tests_are_no_success(gateway: Command, folder: Path) -> None:
    told = gateway(str(folder))
    assert told.status == 1
    assert "has no tests; write one beside a rule" in told.err


def test_a_sample_that_is_not_there_is_named(gateway: Command, folder: Path) -> None:
    (folder / "mine.test.rules").write_text(PASSES.replace("a01-admission.hl7", "a01-admision.hl7"), "utf-8")
    told = gateway(str(folder))
    assert told.status == 1
    assert "error[R184]: there is no file `samples/emergency-care/accepted-a01-admision.hl7`" in told.err
    assert "did you mean `samples/emergency-care/accepted-a01-admission.hl7`?" in told.err


def test_checking_rules_names_it_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.test.rules").write_text(PASSES.replace("a01-admission.hl7", "a01-admision.hl7"), "utf-8")
    monkeypatch.setattr(sys, "argv", ["gateway", "rules", "check", str(folder)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "error[R184]: there is no file" in capsys.readouterr().err


def test_a_rule_set_with_errors_is_not_tested(gateway: Command, folder: Path) -> None:
    (folder / "mine.test.rules").write_text(PASSES.replace("uhd-mirth", "uhd-mirt"), "utf-8")
    told = gateway(str(folder))
    assert told.status == 1
    assert "error[R017]: principal `uhd-mirt` is not declared" in told.err


def test_a_folder_that_is_none(gateway: Command, tmp_path: Path) -> None:
    assert "is no folder" in gateway(str(tmp_path / "nothing")).err


def test_the_tests_of_the_readme_pass(tmp_path: Path) -> None:
    copy = tmp_path / "rules"
    shutil.copytree(RULES, copy, ignore=shutil.ignore_patterns("*.test.rules", "examples"))
    readme = (RULES / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    (block,) = (one for one in blocks if one.startswith('test "an A01'))
    (copy / "readme.test.rules").write_text(f"language 1\n\n{block}", "utf-8")
    ready = trials.suite(copy, ROOT / "specs")
    assert [words for result in suite.results(ready.trials, ready.world) for words in result.failures] == []
    assert len(ready.trials) == 3
