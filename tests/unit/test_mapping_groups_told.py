"""What a message's map asks of the engine across groups: rows that are done at the end, names that a group gives and
forgets, what a segment stands behind in a group, and what is younger than every dictionary.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import hl7v2, mapping, specs
from gateway.fhir import Elements
from gateway.hl7v2 import dictionary
from gateway.mapping.newer import with_newer, younger_segments
from gateway.specs import SpecsError

CASES = Path(__file__).parents[1] / "conformance" / "maps"
DICTIONARY = Path("hl7v2") / "dictionary"
CONTEXT = mapping.Context(
    organisation="R0D",
    domain="d",
    received=datetime(2026, 5, 4, tzinfo=UTC),
    receipt="30d831e4-7f40-4bb9-9322-a42bfbc28bc5",
    rules_digest="ab" * 32,
)
MAPS = """language 1

segment OBR to ServiceRequest
  source "a table"
  identity OBR-2.1
  set status = "active"
  set intent = "order"

segment MSH to Basic
  source "a table"
  identity MSH-10
  set code.text = "the message"

segment NTE to Basic
  source "a table"
  identity "note" of context.organisation
  NTE-3 -> code.text

segment OBX to Observation
  source "a table"
  identity "{OBX-3.1}" of subject
  set status = "final"
  OBX-3.1 -> code.text

segment PRT to PractitionerRole
  source "a table"
  identity PRT-5.1
  PRT-4.1 -> code.text
  PRT-23.1 -> availabilityExceptions

datatype ID to code
  source "a table"
  ID -> value

message ACK for ACK^R01
  source "a table"
  MSH -> header using MSH to MessageHeader
  MSA -> header.response using MSA to MessageHeader.response

segment MSH to MessageHeader
  source "a table"
  identity MSH-10
  set eventUri = "urn:x"
  set source.endpoint = "urn:y"

message ORU_R01 for ORU^R01
  source "a table"
  NTE -> about using NTE to Basic
  group PATIENT from PID
  PID -> patient using PID to Patient
  PRT after PID -> doctor using PRT to PractitionerRole
  PRT after PV1 -> nurse using PRT to PractitionerRole
  PV1 -> patient using PV1 to Patient
  group PATIENT.ORDER from OBR
  OBR -> request using OBR to ServiceRequest with subject = patient
  group PATIENT.ORDER.OBSERVATION from OBX
  OBX -> observation using OBX to Observation with subject = patient
  OBX -> request.supportingInfo as reference to observation
  PRT -> observer using PRT to PractitionerRole
  PRT -> observation.performer as reference to observer
  group PATIENT.OBSERVATION from OBX
  OBX -> observation using OBX to Observation with subject = patient
  OBX -> observation.basedOn as reference to request
  PRT -> observer using PRT to PractitionerRole
  PRT -> observation.performer as reference to observer
  finally
  MSH -> about using MSH to Basic with subject = patient

segment PV1 to Patient
  source "a table"
  PV1-2 -> name.text
"""


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> mapping.Maps:
    root = tmp_path_factory.mktemp("root")
    for folder in ("segments", "datatypes", "messages"):
        (root / "hl7v2" / folder).mkdir(parents=True)
    shutil.copy(CASES / "prelude.map", root / "hl7v2" / "segments" / "prelude.map")
    (root / DICTIONARY).symlink_to(specs.ROOT / DICTIONARY)
    shutil.copytree(specs.ROOT / "codes", root / "codes")
    shutil.copy(specs.ROOT / "hl7v2" / "segments" / "MSA.map", root / "hl7v2" / "segments" / "MSA.map")
    (root / "hl7v2" / "segments" / "own.map").write_text(MAPS, "utf-8")
    tables = specs.fhir()
    vocabulary = SimpleNamespace(
        dictionaries={"2.8.2": dictionary.load("2.8.2")}, elements=Elements(tables), tables=tables
    )
    loaded = mapping.load(root, vocabulary)
    assert loaded.diagnostics == ()
    assert loaded.maps is not None
    return loaded.maps


def resources(maps: mapping.Maps, *segments: str) -> dict[str, Any]:
    header = "MSH|^~\\&|PAS|R0D|DEX|QVV|20260504||ORU^R01|C|P|2.8.2"
    conversion = maps.convert(hl7v2.read("\r".join([header, *segments]).encode()), CONTEXT)
    return {f"{d.resource['resourceType']}/{d.resource['id']}": d.resource for d in conversion.drafts}


def of(found: dict[str, Any], kind: str) -> list[Any]:
    return [resource for name, resource in found.items() if name.startswith(f"{kind}/")]


def test_the_last_rows_see_what_the_groups_made(maps: mapping.Maps) -> None:
    found = resources(maps, "PID|1||H1^^^R0D^MR", "OBX|1||A")
    (about,) = of(found, "Basic")
    (patient,) = of(found, "Patient")
    assert about["subject"]["reference"] == f"Patient/{patient['id']}"
    assert about["code"] == {"text": "the message"}


def test_a_name_that_the_rows_before_gave_is_added_to_by_the_last_ones(maps: mapping.Maps) -> None:
    (about,) = of(resources(maps, "NTE|1||read before", "PID|1||H1^^^R0D^MR"), "Basic")
    assert about["code"] == {"text": "read before"}
    assert about["subject"]["reference"].startswith("Patient/")


def test_each_participant_is_one_of_its_own_in_every_group(maps: mapping.Maps) -> None:
    first = ("OBX|1||A", "PRT|1|||RO|P1", "PRT|2|||RO|P2")
    found = resources(maps, "PID|1||H1^^^R0D^MR", "OBR|1|O1", *first, "OBX|2||B", "PRT|3|||RO|P3")
    performers = {o["code"]["text"]: len(o["performer"]) for o in of(found, "Observation")}
    assert performers == {"A": 2, "B": 1}
    assert len(of(found, "PractitionerRole")) == 3


def test_a_group_forgets_the_names_of_those_below_it(maps: mapping.Maps) -> None:
    found = resources(
        maps, "PID|1||H1^^^R0D^MR", "OBR|1|O1", "OBX|1||A", "PID|2||H2^^^R0D^MR", "OBX|2||B", "PRT|1|||RO|P1"
    )
    by_code = {o["code"]["text"]: o for o in of(found, "Observation")}
    assert "performer" not in by_code["A"]
    assert "basedOn" not in by_code["B"]  # the order was the first patient's
    assert len(by_code["B"]["performer"]) == 1


def test_what_a_segment_stands_behind_tells_its_meaning_in_a_group_too(maps: mapping.Maps) -> None:
    roles = ("PRT|1|||PP|P1", "PV1|1|I", "PRT|2|||AT|P2", "OBX|1||A", "PRT|3|||RO|P3")
    found = resources(maps, "PID|1||H1^^^R0D^MR", *roles)
    told = {r["code"][0]["text"] for r in of(found, "PractitionerRole")}
    assert told == {"PP", "AT", "RO"}
    (observation,) = of(found, "Observation")
    assert len(observation["performer"]) == 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [("AA", "ok"), ("CA", "ok"), ("AE", "fatal-error"), ("CE", "fatal-error"), ("AR", "fatal-error")],
)
def test_what_a_message_answers_stands_in_its_header(sent: str, code: str, maps: mapping.Maps) -> None:
    header = "MSH|^~\\&|PAS|R0D|DEX|QVV|20260504||ACK^R01|C|P|2.8.2"
    conversion = maps.convert(hl7v2.read(f"{header}\rMSA|{sent}|M77".encode()), CONTEXT)
    (made,) = conversion.drafts
    assert made.resource["response"] == {"code": code, "identifier": "M77"}
    assert not [path for path in conversion.loss.unmapped if path.startswith("MSA")]


def test_a_field_that_is_younger_than_every_dictionary_is_read(maps: mapping.Maps) -> None:
    (role,) = of(resources(maps, "PID|1||H1^^^R0D^MR", "PRT|1|||PP|P1" + "|" * 18 + "O^Office"), "PractitionerRole")
    assert role["availabilityExceptions"] == "O"


def test_younger_fields_are_known_to_maps_alone() -> None:
    newest = dictionary.load(dictionary.versions()[-1])
    assert newest.field("PRT", 23) is None
    newer = with_newer(newest)
    field = newer.field("PRT", 23)
    assert field is not None
    assert (field.datatype, field.max) == ("CWE", 1)
    assert newer.field("PRT", 4) == newest.field("PRT", 4)
    assert newer.segments["PID"] is newest.segments["PID"]


def test_younger_segments_are_named_by_message() -> None:
    assert "PRT" in younger_segments()["ADT_A01"]


HEAD = "segment,position,name,datatype,min,max,table,source\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("segment,position\nPRT,23\n", "the columns of younger fields"),
        (HEAD + "QQQ,23,N,CWE,0,1,,a source\n", "QQQ-23 is no field"),
        (HEAD + "PRT,x,N,CWE,0,1,,a source\n", "PRT-x is no field"),
    ],
)
def test_a_bad_field_is_told_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    written(tmp_path, "newer.csv", text)
    newest = dictionary.load(dictionary.versions()[-1])
    with pytest.raises(SpecsError, match=words) as fault:
        with_newer(newest, tmp_path)
    assert fault.value.origin.line == 2


def test_a_bad_segment_is_told_with_its_place(tmp_path: Path) -> None:
    written(tmp_path, "newer-structures.csv", "structure\nADT_A01\n")
    with pytest.raises(SpecsError, match="the columns of younger segments") as fault:
        younger_segments(tmp_path)
    assert fault.value.origin.line == 2


def written(root: Path, name: str, text: str) -> None:
    folder = root / DICTIONARY
    folder.mkdir(parents=True)
    (folder / name).write_text(text, "utf-8")


def test_a_folder_without_them_changes_nothing(tmp_path: Path) -> None:
    newest = dictionary.load(dictionary.versions()[-1])
    assert with_newer(newest, tmp_path) is newest
    assert younger_segments(tmp_path) == {}
