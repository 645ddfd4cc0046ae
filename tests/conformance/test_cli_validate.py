"""`gateway validate` as its user runs it: files, folders and standard input, each with an OperationOutcome."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import cli
from gateway.hl7v2 import batch

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "rules" / "samples"
SOUND = (SAMPLES / "emergency-care" / "accepted-a01-admission.hl7").read_bytes().replace(b"\n", b"\r")
FAULTY = (SAMPLES / "pathology" / "refused-oru-r01-number-is-text.hl7").read_bytes().replace(b"\n", b"\r")
PATIENT = b'{"resourceType": "Patient", "gender": "M"}'
VISITS = (SAMPLES / "emergency-care" / "accepted-ed-attendances.csv").read_bytes()
pytestmark = pytest.mark.usefixtures("stood_on")


@dataclass(frozen=True)
class Told:
    """How a command ended, and what it said."""

    status: int
    words: str


@pytest.fixture
def validate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object, stdin: bytes = b"") -> Told:
        monkeypatch.setattr(sys, "argv", ["gateway", "validate", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Told(int(ended.value.code or 0), capsys.readouterr().err)

    return run


def issues(path: Path) -> list[tuple[str, str, list[str] | None]]:
    outcome: dict[str, Any] = json.loads(path.read_bytes())
    assert outcome["resourceType"] == "OperationOutcome"
    return [(one["severity"], one["code"], one.get("expression")) for one in outcome["issue"]]


def test_resources_are_judged_by_a_profile_where_it_is_asked_for(validate: Callable[..., Told], tmp_path: Path) -> None:
    system = "https://fhir.nhs.uk/Id/nhs-number"
    twice = [{"system": system, "value": value} for value in ("9990000018", "9990000026")]
    (tmp_path / "twice.json").write_text(json.dumps({"resourceType": "Patient", "identifier": twice}))
    (tmp_path / "wrong.json").write_bytes(PATIENT)
    (tmp_path / "sound.hl7").write_bytes(SOUND)
    assert "1 of 3 faulty" in validate(tmp_path).words
    told = validate(tmp_path, "--profile", "uk-core", "--out", tmp_path / "out")
    assert (told.status, "2 of 3 faulty" in told.words) == (1, True)
    assert "twice.json: error[PROFILE-MAX] at Patient.identifier[1]: UKCore-Patient takes at most 1" in told.words
    assert issues(tmp_path / "out" / "twice.outcome.json") == [("error", "structure", ["Patient.identifier[1]"])]
    unseen = validate(tmp_path, "--profile", "model")
    assert (unseen.status, unseen.words.strip()) == (0, "")  # the models have no codes of genders
    unknown = validate(tmp_path, "--profile", "uk-cor")
    assert unknown.status == 1
    assert "`uk-cor` is no standard that resources conform to: there are model, uk-core" in unknown.words


def test_what_is_advised_is_told_and_refuses_nothing(validate: Callable[..., Told], tmp_path: Path) -> None:
    named = {"resourceType": "Questionnaire", "status": "draft", "name": "no identifier"}
    (tmp_path / "named.json").write_text(json.dumps(named))
    told = validate(tmp_path)
    assert (told.status, "warning[que-0] at Questionnaire" in told.words) == (0, True)


def test_messages_resources_and_rows_of_a_folder_are_judged_alike(
    validate: Callable[..., Told], tmp_path: Path
) -> None:
    sent, out = tmp_path / "sent", tmp_path / "out"
    (sent / "laboratory").mkdir(parents=True)
    (sent / "sound.hl7").write_bytes(SOUND)
    (sent / "laboratory" / "faulty.HL7").write_bytes(FAULTY)
    (sent / "patient.json").write_bytes(PATIENT)
    (sent / "broken.json").write_bytes(b"{")
    (sent / "visits.csv").write_bytes(VISITS.replace(b"2026-05", b"2026-15", 1))
    (sent / "README.md").write_text("no submission")
    told = validate(sent, "--out", out)
    assert told.status == 1
    assert "4 of 5 faulty" in told.words
    assert "faulty.HL7: error[HL7-TYPE] at OBX-5[1]: haemolysed is no NM" in told.words
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "broken.outcome.json",
        "laboratory/faulty.outcome.json",
        "patient.outcome.json",
        "sound.outcome.json",
        "visits.outcome.json",
    ]
    assert issues(out / "sound.outcome.json") == [("information", "informational", None)]
    assert issues(out / "laboratory" / "faulty.outcome.json") == [("error", "value", ["OBX-5[1]"])]
    assert issues(out / "patient.outcome.json") == [("error", "code-invalid", ["Patient.gender"])]
    assert [one[:2] for one in issues(out / "broken.outcome.json")] == [("error", "structure")]
    assert all(severity == "error" for severity, _, _ in issues(out / "visits.outcome.json"))


def test_sound_files_and_standard_input_end_well(validate: Callable[..., Told], tmp_path: Path) -> None:
    assert validate("-", "--out", tmp_path, stdin=SOUND).status == 0
    assert issues(tmp_path / "stdin.outcome.json") == [("information", "informational", None)]
    assert validate("-", "--out", tmp_path, stdin=PATIENT).status == 1
    assert issues(tmp_path / "stdin.outcome.json") == [("error", "code-invalid", ["Patient.gender"])]
    assert validate("-", stdin=VISITS).status == 0


def test_each_message_of_a_batch_is_told_by_its_number(validate: Callable[..., Told], tmp_path: Path) -> None:
    batch = tmp_path / "batch.hl7"
    batch.write_bytes(b"FHS|^~\\&|\rBHS|^~\\&|\r" + SOUND + b"\r" + FAULTY + b"\rBTS|2\rlost\rFTS|1\r")
    assert validate(batch, "--out", tmp_path).status == 1
    places = [expression for _, _, expression in issues(tmp_path / "batch.outcome.json")]
    assert places[0] == ["message 2: OBX-5[1]"]
    assert str(places[1]).startswith("['offset ")


def test_many_files_are_judged_by_several_processes_and_told_in_order(
    validate: Callable[..., Told], tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    for number in range(40):
        (sent / f"{number:02}.hl7").write_bytes(FAULTY if number % 10 == 3 else SOUND)
    several = validate(sent, "--workers", "2")
    assert [line.partition(":")[0][-6:] for line in several.words.splitlines() if "error[" in line] == [
        "03.hl7", "13.hl7", "23.hl7", "33.hl7",
    ]  # fmt: skip
    assert several == validate(sent, "--workers", "1")
    assert "error[" not in validate(sent, "--quiet").words


def test_user_tables_are_asked_where_that_is_wanted(validate: Callable[..., Told], tmp_path: Path) -> None:
    file = tmp_path / "a.hl7"
    file.write_bytes(SOUND)
    assert "HL7-USER-TABLE" not in validate(file).words
    told = validate(file, "--user-tables")
    assert (told.status, "information[HL7-USER-TABLE] at PID-22[1].1" in told.words) == (0, True), told.words


def test_what_can_not_be_judged_is_said(validate: Callable[..., Told], tmp_path: Path) -> None:
    missing = validate(tmp_path / "nowhere.hl7")
    assert (missing.status, "nowhere.hl7: error[not-found]: the file can't be read" in missing.words) == (1, True)
    assert "there is no file that ends in .hl7, .json, .csv" in validate(tmp_path).words
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.hl7").write_bytes(SOUND)
    twice = validate(tmp_path / "one" / "a.hl7", tmp_path / "two" / "a.hl7", "--out", tmp_path)
    assert (twice.status, "would both be a.outcome.json" in twice.words) == (1, True)
    rows = tmp_path / "rows.csv"
    rows.write_bytes(b"x;y\n")
    assert "there is no layout nothing" in validate(rows, "--layout", "nothing").words


def test_standard_input_is_read_also_beside_so_many_files_that_several_processes_go_through_them(
    validate: Callable[..., Told], tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    for number in range(20):
        (sent / f"{number:02}.hl7").write_bytes(SOUND)
    assert validate("-", sent, "--workers", "2", stdin=SOUND).status == 0


def test_an_empty_file_of_json_says_that_nothing_is_in_it(validate: Callable[..., Told], tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_bytes(b"")
    told = validate(tmp_path)
    assert (told.status, "at line 1 column 1: this is not JSON: there is nothing in it" in told.words) == (1, True)


@pytest.mark.parametrize("name", ["a.json", "a.hl7", "-"])
def test_no_more_of_a_file_is_held_than_is_judged(
    name: str, validate: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LONGEST_MESSAGE", 100)
    body = SOUND if name == "a.hl7" else b'{"resourceType": "Patient", "gender": "male"' + b" " * 100 + b"}"
    (tmp_path / "a.json").write_bytes(b"{}")
    if name == "-":
        told = validate("-", stdin=body)
    else:
        (tmp_path / name).write_bytes(body)
        told = validate(tmp_path / name)
    assert (told.status, "is longer than 100 bytes, and was not judged" in told.words) == (1, True)
