"""`gateway convert` as its user runs it: files, folders, batches and standard input, by one process or several."""

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
BUNDLE = (SAMPLES / "emergency-care" / "accepted-bundle-transaction-visit.json").read_bytes()
VISITS = (SAMPLES / "emergency-care" / "accepted-ed-attendances.csv").read_bytes()
UK = (
    rb"MSH|^~\&|PAS|R0D|DEX|QVV|20260515120000||ADT^A01|1|P|2.4"
    b"\rEVN|A01|20260515120000"
    b"\rPID|1||9990000018^^^NHS||Smith^Ann||19800101|2\rPV1|1|I|||||||||||||||||V1\r"
)
pytestmark = pytest.mark.usefixtures("stood_on")


@dataclass(frozen=True)
class Told:
    """How a command ended, what it said, and what it printed."""

    status: int
    words: str
    printed: bytes


class _Out(io.TextIOWrapper):
    """Standard output whose bytes are looked at afterwards."""


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object, stdin: bytes = b"") -> Told:
        printed = io.BytesIO()
        monkeypatch.setattr(sys, "argv", ["gateway", "convert", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", _Out(printed, write_through=True))
            with pytest.raises(SystemExit) as ended:
                cli.main()
            made = printed.getvalue()
        return Told(int(ended.value.code or 0), capsys.readouterr().err, made)

    return run


def types(raw: bytes) -> list[str]:
    return [entry["resource"]["resourceType"] for entry in json.loads(raw)["entry"]]


def patient(raw: bytes) -> dict[str, Any]:
    found: list[dict[str, Any]] = [entry["resource"] for entry in json.loads(raw)["entry"]]
    return next(one for one in found if one["resourceType"] == "Patient")


def test_a_folder_becomes_fhir_by_several_processes(convert: Callable[..., Told], tmp_path: Path) -> None:
    sent, out = tmp_path / "sent", tmp_path / "out"
    (sent / "ward").mkdir(parents=True)
    (sent / "ward" / "a.HL7").write_bytes(SOUND)
    (sent / "visit.json").write_bytes(BUNDLE)
    (sent / "visits.csv").write_bytes(VISITS)
    (sent / "README.md").write_text("no submission")
    between = b"\rMSH|^~\\&|A\r"  # a message without a type
    (sent / "batch.hl7").write_bytes(b"FHS|^~\\&|\rBHS|^~\\&|\r" + SOUND + between + SOUND + b"\rBTS|2\rlost\rFTS|1\r")
    for number in range(40):
        (sent / f"{number:02}.hl7").write_bytes(b"MSH" if number % 10 == 3 else SOUND)
    told = convert(sent, "--organisation", "r0d", "--workers", "2", "--out", out)
    assert told.status == 1
    assert "5 of 44 could not be converted" in told.words
    faulty = [line for line in told.words.splitlines() if ": error[" in line]
    assert [line.partition(": error[")[0].rpartition("/")[2] for line in faulty] == [
        "03.hl7", "13.hl7", "23.hl7", "33.hl7", "batch.hl7", "batch.hl7",
    ]  # fmt: skip
    assert "at message 2: MSH-9" in faulty[4]
    assert "belongs to no message" in faulty[5]
    made = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert made[-4:] == ["batch.bundles.ndjson", "visit.fhir.json", "visits.fhir.ndjson", "ward/a.fhir.json"]
    assert len(made) == 40
    assert {"Patient", "Encounter"} <= set(types((out / "ward" / "a.fhir.json").read_bytes()))
    lines = (out / "visits.fhir.ndjson").read_bytes().splitlines()
    assert {"Patient", "Encounter"} <= {json.loads(line)["resourceType"] for line in lines}
    batch = (out / "batch.bundles.ndjson").read_bytes().splitlines()
    assert [types(line)[0] for line in batch] == ["Organization", "Organization"]


def test_what_is_asked_wrongly_is_said_before_anything_is_read(convert: Callable[..., Told], tmp_path: Path) -> None:
    told = convert(SAMPLES / "emergency-care")
    assert (told.status, "--out FOLDER" in told.words) == (1, True)
    assert "there is no file that ends in .hl7, .json, .csv" in convert(tmp_path, "--out", tmp_path).words
    told = convert("-", "--overlay", "uk-cor", "--out", tmp_path, stdin=UK)
    assert (told.status, "did you mean uk-core?" in told.words) == (1, True)


def test_standard_input_goes_to_standard_output(convert: Callable[..., Told], tmp_path: Path) -> None:
    told = convert("-", stdin=UK)
    assert told.status == 0
    assert "gender" not in patient(told.printed)
    faulty = convert("-", "--quiet", stdin=b"MSH|^~\\&|")
    assert (faulty.status, faulty.printed, "error[" in faulty.words) == (1, b"", False)
    assert convert("-", "--overlay", "uk-core", "--messaging", "--out", tmp_path, stdin=UK).printed == b""
    made = (tmp_path / "stdin.fhir.json").read_bytes()
    assert patient(made)["gender"] == "female"


def test_standard_input_is_read_also_beside_so_many_files_that_several_processes_go_through_them(
    convert: Callable[..., Told], tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    for number in range(20):
        (sent / f"{number:02}.hl7").write_bytes(SOUND)
    told = convert("-", sent, "--workers", "2", "--out", tmp_path / "out", stdin=UK)
    assert (told.status, (tmp_path / "out" / "stdin.fhir.json").exists()) == (0, True)


def test_what_becomes_of_a_file_is_never_written_over_by_another(convert: Callable[..., Told], tmp_path: Path) -> None:
    (tmp_path / "visit.csv").write_bytes(SOUND)
    (tmp_path / "visit.hl7").write_bytes(UK)
    told = convert(tmp_path, "--out", tmp_path / "out")
    assert (told.status, "another file of this run is visit already" in told.words) == (1, True)


def test_a_resource_behind_a_byte_order_mark_is_a_resource(convert: Callable[..., Told]) -> None:
    told = convert("-", "--organisation", "R0D", stdin=b"\xef\xbb\xbf" + BUNDLE)
    assert (told.status, told.printed[:1]) == (0, b"{")


def test_what_an_earlier_run_made_goes_where_this_one_fails(convert: Callable[..., Told], tmp_path: Path) -> None:
    message, out = tmp_path / "visit.hl7", tmp_path / "out"
    message.write_bytes(SOUND)
    other = out / "other.fhir.json"
    assert convert(message, "--out", out).status == 0
    other.write_bytes(b"{}")
    assert (out / "visit.fhir.json").exists()
    message.write_bytes(b"MSH|no message")
    assert convert(message, "--out", out).status == 1
    assert sorted(path.name for path in out.iterdir()) == ["other.fhir.json"]
    message.unlink()
    (out / "visit.fhir.json").write_bytes(b"{}")
    assert convert(message, "--out", out).status == 1
    assert sorted(path.name for path in out.iterdir()) == ["other.fhir.json"]


def test_an_empty_file_of_json_is_no_message(convert: Callable[..., Told], tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_bytes(b" \n")
    (tmp_path / "list.json").write_bytes(b"[]")
    told = convert(tmp_path, "--out", tmp_path / "out")
    assert "empty.json: error[FHIR-JSON] at line 2 column 1: this is not JSON: there is nothing in it" in told.words
    assert "list.json: error[FHIR-JSON] at the whole: this is no FHIR resource" in told.words
    assert "MSH" not in told.words


def test_a_file_that_is_too_long_is_not_held(
    convert: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LONGEST_MESSAGE", 100)
    (tmp_path / "long.hl7").write_bytes(SOUND)
    told = convert(tmp_path, "--workers", 1, "--out", tmp_path / "out")
    assert (told.status, "it is longer than 100 bytes, and was not converted" in told.words) == (1, True)
