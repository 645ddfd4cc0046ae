"""`gateway rules explain`, `show` and `diff` as their users run them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from gateway import cli
from tests.conformance.rules.support import ROOT

REFUSED = "rules/samples/emergency-care/refused-a01-bad-nhs-number.hl7"
FILE = "rules/samples/emergency-care/refused-ed-attendances-bad-nhs-number.csv"
WRONG_NUMBER = "9990000019"
pytestmark = pytest.mark.usefixtures("stood_on")


@dataclass(frozen=True)
class Told:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str


class Command(Protocol):
    """Run `gateway rules` in this process."""

    def __call__(self, *arguments: str) -> Told: ...


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str) -> Told:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gateway", "rules", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        return Told(int(ended.value.code or 0), printed.out, printed.err)

    return run


def test_a_file_is_explained_and_what_was_sent_goes_to_standard_output_alone(
    command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    told = command("explain", REFUSED)
    assert told.status == 0
    assert "refuse by EC-C1" in told.out
    assert f'false: id.1 is "{WRONG_NUMBER}"' in told.out
    assert WRONG_NUMBER not in told.err
    assert WRONG_NUMBER not in caplog.text


def test_of_a_file_with_several_the_first_refused_is_told_and_all_on_demand(command: Command) -> None:
    told = command("explain", FILE)
    assert (told.out.splitlines()[0], "2 in" in told.err) == ("line 3", True)
    assert command("explain", FILE, "--all").out.count("uhd-mirth: ingest ed-attendances") == 2
    page = command("explain", FILE, "--all", "--format", "html").out
    assert [page.count(mark) for mark in ("<!doctype", "<h1>", "</html>")] == [1, 2, 1]


def test_a_search_is_explained_as_text_json_and_page(command: Command) -> None:
    asked = ("explain", "Patient?family=Smith", "--from", "dorset-gp", "--purpose", "TREAT", "--on", "2026-05-15")
    assert "deny for want of SR-P1" in command(*asked).out
    account = json.loads(command(*asked, "--format", "json").out)["account"]
    assert (account["effect"], account["nearest"]["id"]) == ("deny", "SR-P1")
    assert account["nearest"]["lacks"] == ["the search must carry _id or identifier or family with birthdate"]
    assert 'href="/rules#SR-P1"' in command(*asked, "--format", "html").out


def test_of_a_resource_that_came_back_it_is_said_what_did_not_apply_and_what_kept_it(command: Command) -> None:
    samples = ROOT / "rules" / "samples" / "tests"
    search = ("explain", "Condition?patient=9990000107", "--from", "dorset-gp", "--purpose", "TREAT")
    child = str(samples / "condition-sexual-health-of-a-child.json")
    asked = (*search, "--on", "2026-05-15", "--returning", child, "--beside", str(samples / "patient-aged-twelve.json"))
    kept, released = command(*asked, "--format", "html").out, command(*asked, "--breaking-glass").out
    assert '<p>Kept back by <a href="/rules#SR-F2">SR-F2</a></p>' in kept
    assert "SR-F2 does not apply: Sexual health of the under-sixteens\n    caller breaks glass true" in released


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "Patiend?_id=1", "--from", "dorset-gp"), "did you mean Patient?"),
        (("explain", REFUSED, "--from", "uhd-mirht"), "did you mean uhd-mirth?"),
        (("explain", "3f2b1c52-9f0e-4f1c-8a54-0123456789ab", "--data", "nowhere"), "no journal at"),
        (("show", "--principal", "nobody"), "declares a principal nobody"),
        (("show", "nowhere"), "nowhere is no folder"),
    ],
)
def test_a_question_that_can_not_be_answered_says_why(command: Command, arguments: tuple[str, ...], words: str) -> None:
    told = command(*arguments)
    assert told.status == 1
    assert words in told.err


def test_who_can_do_what_is_shown_as_table_csv_and_page(command: Command) -> None:
    assert "DiagnosticReport" in command("show", "--principal", "dorset-gp").out
    rows = list(csv.DictReader(io.StringIO(command("show", "--format", "csv").out)))
    assert {row["principal"] for row in rows} >= {"dorset-gp", "uhd-mirth", "ods-loader"}
    assert "<table>" in command("show", "--format", "html").out


def test_what_is_sent_is_shown_with_what_it_is_converted_with_and_what_is_seen_with_what_it_depends_on(
    command: Command,
) -> None:
    rows = list(csv.DictReader(io.StringIO(command("show", "--format", "csv").out)))
    converted = {row["types"]: row["converted with"] for row in rows if row["principal"] == "uhd-mirth"}
    assert converted["ADT^A01, ADT^A03, ADT^A04, ADT^A08"] == "uk-core"
    assert converted["Bundle, Encounter, ed-attendances"] == ""
    assert "<th>converted with</th>" in (page := command("show", "--format", "html").out)
    assert "<td>uk-core</td>" in page
    sent = command("show", "--principal", "uhd-mirth").out
    assert "converted with uk-core" in sent
    assert "review by 2027-03-31" in sent
    seen = " ".join(command("show", "--principal", "dorset-gp").out.replace("│", " ").split())
    for words in ("DSA-2026-021 for TREAT", "a search may give", "may break the glass, told to privacy-office"):
        assert words in seen


def test_a_difference_is_told_and_is_the_exit_status(command: Command, tmp_path: Path) -> None:
    other = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", other, ignore=shutil.ignore_patterns("samples", "*.test.rules"))
    same = command("diff", "rules", str(other))
    assert (same.status, same.out) == (0, "no difference\n")
    changed = other / "shared-record.rules"
    changed.write_text(changed.read_text("utf-8").replace(", Patient.contact", ""), "utf-8")
    told = command("diff", "rules", str(other))
    assert told.status == 1
    assert (
        "+ dorset-gp and demo-partner can search and read Patient now with Patient.contact, which was hidden"
        in told.out
    )
    changes = json.loads(command("diff", "rules", str(other), "--format", "json").out)["changes"]
    assert [(c["kind"], c["principals"]) for c in changes] == [("gain", ["dorset-gp", "demo-partner"])]
