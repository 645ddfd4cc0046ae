"""`gateway specs check`, `show` and `trace`, as somebody types them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import specs
from gateway.cli.specs import app

MESSAGE = b"\r".join(
    (
        b"MSH|^~\\&|EPR|R0D|GATEWAY|R0D|20260504120000||ADT^A04^ADT_A01|1|P|2.5.1",
        b"EVN|A04|20260504120000",
        b'PID|1||9990000018^^^NHS^NH~R77^^^EPR^MR^FAC||Testpatient^Alice||19800214|F|||""||~07700900000^^CP||||||||||||||N',
        b"PV1|1|O|W1^R2|||||||||||||||||V1||||||||||||||||||||||||||20260504",
        b"ZZZ|something of the sender's own",
    )
)
Run = Callable[..., Result]


# A message's map of this test's own, which stays as it is and loads quickly, on the data types that it needs.
DATATYPES = ("CWE", "CX", "DR", "DT", "DTM", "FN", "HD", "ID", "ST", "XPN")
PID = """language 1

segment PID to Patient
  source "a table"
  identity PID-3.1 as nhs-number where PID-3.5 is "NH"
  PID-3  -> identifier      using CX to Identifier
  PID-5  -> name            using XPN to HumanName
  PID-7  -> birthDate       using DTM to date
  PID-8  -> gender          using CWE to code coded AdministrativeSex
  PID-30 -> deceasedBoolean using ID to boolean coded YesNoIndicator when PID-29 is absent
  set active = "true" when (PID-8 is present or PID-7 is present)
                           and (PID-5 is present or PID-3 is present)
  ignore PID-1 because "the position of the segment"
"""
ADT_A01 = """language 1

message ADT_A01 for ADT^A01, ADT^A04
  source "a table"
  PID -> patient using PID to Patient
  ignore MSH-7 because "the time of the message"
"""
pytestmark = pytest.mark.usefixtures("stood_on")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The specifications with those maps alone."""
    made = tmp_path_factory.mktemp("root") / "specs"
    for folder in ("datatypes", "segments", "messages"):
        (made / "hl7v2" / folder).mkdir(parents=True)
    for path in specs.ROOT.iterdir():
        if path.name != "hl7v2":
            (made / path.name).symlink_to(path)
    (made / "hl7v2" / "dictionary").symlink_to(specs.ROOT / "hl7v2" / "dictionary")
    for name in DATATYPES:
        shutil.copy(specs.ROOT / "hl7v2" / "datatypes" / f"{name}.map", made / "hl7v2" / "datatypes")
    (made / "hl7v2" / "segments" / "PID.map").write_text(PID, "utf-8")
    (made / "hl7v2" / "messages" / "ADT_A01.map").write_text(ADT_A01, "utf-8")
    return made


@pytest.fixture(scope="module")
def run(root: Path) -> Run:
    def called(*words: str, sent: bytes | None = None) -> Result:
        folder = () if words[0] == "check" else ("--folder", str(root))
        return CliRunner().invoke(app, [*words, *folder], input=sent)

    return called


# --- check ---------------------------------------------------------------------------------------------------------


def test_check_finds_nothing_wrong(root: Path, run: Run) -> None:
    told = run("check", str(root))
    assert (told.exit_code, told.stdout) == (0, "")
    assert told.stderr.endswith("no errors\n")


@pytest.fixture
def faulty(root: Path, tmp_path: Path) -> Path:
    made = tmp_path / "specs"
    shutil.copytree(root, made, symlinks=True)
    for path in (made / "hl7v2").glob("*/*.map"):
        path.unlink()
    text = 'language 1\n\nsegment NK1 to RelatedPerson\n  source "a table"\n  NK1-16 -> birthdate\n'
    (made / "hl7v2" / "segments" / "NK1.map").write_text(text, "utf-8")
    return made


def test_check_tells_faults_as_a_compiler_does(faulty: Path, run: Run) -> None:
    told = run("check", str(faulty))
    assert told.exit_code == 1
    lines = told.stderr.split("\n")
    assert lines[0] == "error[M021]: `RelatedPerson` has no element `birthdate`"
    assert lines[1].endswith("specs/hl7v2/segments/NK1.map:5:13")
    assert lines[3:6] == [
        "5  |   NK1-16 -> birthdate",
        "   |             ^^^^^^^^^",
        "   = help: did you mean `birthDate`?",
    ]
    assert "gateway: " in told.stderr
    assert told.stderr.endswith(": 1 error\n")


def test_check_tells_faults_for_programs(faulty: Path, run: Run) -> None:
    told = run("check", str(faulty), "--json")
    assert told.exit_code == 1
    (fault,) = json.loads(told.stdout)
    assert (fault["code"], fault["line"], fault["column"], fault["severity"]) == ("M021", 5, 13, "error")


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [("codes/Bad.csv", "HL70001,M,,,,a source", "a code map needs both codes"), ("csv/bad.toml", "title = 1", "title")],
)
def test_check_tells_faults_of_code_maps_and_layouts(faulty: Path, run: Run, name: str, line: str, words: str) -> None:
    (faulty / "hl7v2" / "segments" / "NK1.map").unlink()
    folder = faulty / Path(name).parent
    folder.unlink()
    folder.mkdir()
    head = "system,code,to_system,to_code,to_display,source\n" if name.endswith(".csv") else ""
    (faulty / name).write_text(f"{head}{line}\n", "utf-8")
    told = run("check", str(faulty))
    assert told.exit_code == 1
    assert words in told.stderr
    assert name in told.stderr


def test_check_wants_a_folder(run: Run) -> None:
    told = run("check", "nowhere")
    assert (told.exit_code, told.stderr) == (1, "gateway: nowhere is no folder\n")


# --- show ----------------------------------------------------------------------------------------------------------


def test_show_prints_a_row_a_line(run: Run) -> None:
    told = run("show", "FN")
    assert told.exit_code == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].split() == ["map", "source", "target", "line"]
    assert lines[1].split() == ["FN", "to", "HumanName", "FN.1", "family", "specs/hl7v2/datatypes/FN.map:6"]


def rows(told: Result) -> list[dict[str, str]]:
    assert told.exit_code == 0, told.stderr
    return list(csv.DictReader(io.StringIO(told.stdout)))


def test_show_of_a_segment_has_conditions_maps_and_what_is_left_out(run: Run) -> None:
    found = {(row["source"], row["target"]): row for row in rows(run("show", "PID", "--format", "csv"))}
    died = found["PID-30", "deceasedBoolean"]
    assert (died["map"], died["using"], died["coded"]) == ("PID to Patient", "ID to boolean", "YesNoIndicator")
    assert (died["when"], died["line"]) == ("PID-29 is absent", "specs/hl7v2/segments/PID.map:10")
    assert found['"true"', "active"]["line"] == "specs/hl7v2/segments/PID.map:11"
    assert found["PID-1", "ignored"]["with"] == "the position of the segment"


def test_show_has_a_condition_whole_and_in_one_line(run: Run) -> None:
    (active,) = [row for row in rows(run("show", "PID", "--format", "csv")) if row["target"] == "active"]
    assert active["when"] == "(PID-8 is present or PID-7 is present) and (PID-5 is present or PID-3 is present)"


@pytest.mark.parametrize("name", ["ADT_A01", "ADT^A04"])
def test_show_of_a_message_has_its_resources(run: Run, name: str) -> None:
    found = json.loads(run("show", name, "--format", "json").stdout)
    assert [(row["source"], row["target"], row["using"], row["with"]) for row in found] == [
        ("PID", "patient", "PID to Patient", ""),
        ("MSH-7", "ignored", "", "the time of the message"),
    ]


def test_show_of_a_code_map_has_its_codes(run: Run) -> None:
    (female,) = [row for row in rows(run("show", "AdministrativeSex", "--format", "csv")) if row["code"] == "F"]
    assert (female["system"], female["to_code"]) == ("HL70001", "female")
    assert female["line"].rpartition(":")[0].endswith("codes/AdministrativeSex.csv")


def test_show_tells_the_nearest_name(run: Run) -> None:
    told = run("show", "PIF")
    assert (told.exit_code, told.stderr.startswith("gateway: no map speaks of PIF; did you mean ")) == (1, True)


# --- trace ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traced(run: Run, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    file = tmp_path_factory.mktemp("sent") / "message.hl7"
    file.write_bytes(MESSAGE)
    return rows(run("trace", str(file), "--format", "csv"))


def of(traced: list[dict[str, str]], place: str) -> list[tuple[str, str]]:
    return [(row["state"], row["went to"]) for row in traced if row["place"] == place]


def test_trace_tells_where_each_part_went(traced: list[dict[str, str]]) -> None:
    assert ("mapped", "Patient.identifier[0].value") in of(traced, "PID-3[1].1")
    assert ("mapped", "Patient.identifier[1].system") in of(traced, "PID-3[2].4")
    assert of(traced, "PID-5.1") == [("mapped", "Patient.name[0].family")]
    assert ("mapped", "Patient.gender") in of(traced, "PID-8")
    assert ("mapped", "Patient.birthDate") in of(traced, "PID-7")


def test_trace_tells_by_which_rows(traced: list[dict[str, str]]) -> None:
    (family,) = [row["by"].split(" < ") for row in traced if row["place"] == "PID-5.1"]
    assert [one.rpartition(":")[0] for one in family] == [
        "specs/hl7v2/datatypes/FN.map",
        "specs/hl7v2/datatypes/XPN.map",
        "specs/hl7v2/segments/PID.map",
        "specs/hl7v2/messages/ADT_A01.map",
    ]
    name, _, number = family[0].rpartition(":")
    line = (specs.ROOT.parent / name).read_text("utf-8").splitlines()[int(number) - 1]
    assert line.strip() == "FN.1 -> family"
    assert family[2].endswith(":7")


def test_what_a_condition_asked_is_where_the_constant_went(traced: list[dict[str, str]]) -> None:
    assert ("mapped", "Patient.identifier[0].system") in of(traced, "PID-3[1].5")


def test_trace_tells_what_is_left_out_and_why(traced: list[dict[str, str]]) -> None:
    (left,) = [row for row in traced if row["place"] == "PID-1"]
    assert (left["state"], left["why"]) == ("ignored", "the position of the segment")
    (part,) = [row for row in traced if row["place"] == "PID-3[2].6"]
    assert (part["state"], part["by"].rpartition(":")[0]) == ("ignored", "specs/hl7v2/datatypes/CX.map")


def test_trace_tells_what_nothing_takes(traced: list[dict[str, str]]) -> None:
    assert of(traced, "ZZZ-1") == [("unmapped", "")]
    assert of(traced, "PV1-2") == [("unmapped", "")]
    assert not of(traced, "PID-11")  # `""` says that there is nothing


def test_trace_shows_no_values_unless_it_is_asked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "message.hl7").write_bytes(MESSAGE)
    silent = run("trace", str(tmp_path / "message.hl7"))
    assert silent.exit_code == 0, silent.stderr
    assert not [word for word in ("9990000018", "Testpatient", "R77", "19800214") if word in silent.stdout]
    told = run("trace", "-", "--values", "--format", "json", sent=MESSAGE)
    found = {(row["place"], row["value"], row["went to"]) for row in json.loads(told.stdout)}
    assert ("PID-3[1].1", "9990000018", "Patient/9990000018.identifier[0].value") in found


def test_trace_of_what_is_no_message(run: Run) -> None:
    told = run("trace", "-", sent=b"nothing")
    assert told.exit_code == 1
    assert "the message could not be converted" in told.stderr
    unknown = run("trace", "-", sent=MESSAGE.replace(b"ADT^A04^ADT_A01", b"ADT^A99"))
    assert (unknown.exit_code, "there is no map for ADT^A99" in unknown.stderr) == (1, True)


def test_trace_wants_overlays_that_are_there(run: Run) -> None:
    told = run("trace", "-", "--overlay", "nowhere", sent=MESSAGE)
    assert (told.exit_code, "no maps called nowhere" in told.stderr) == (1, True)
