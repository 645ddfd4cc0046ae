"""What maps of visits, appointments and documents ask of the engine, in small: times that are added, texts of several
segments, segments told by what they stand behind, and resources that must not be another.
"""

from __future__ import annotations

import shutil
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway import hl7v2, mapping, specs
from gateway.fhir import Elements
from gateway.hl7v2 import dictionary
from gateway.mapping.primitives import later

LONDON = ZoneInfo("Europe/London")
CASES = Path(__file__).parents[1] / "conformance" / "maps"
HEADER = "MSH|^~\\&|PAS|R0D|DEX|QVV|20260504||ADT^A05|C|P|2.5.1"
PID = "PID|1||H1^^^R0D^MR||Quill^Tamsin"
CONTEXT = mapping.Context(
    organisation="R0D",
    domain="d",
    received=datetime(2026, 5, 4, tzinfo=UTC),
    receipt="30d831e4-7f40-4bb9-9322-a42bfbc28bc5",
    rules_digest="ab" * 32,
)
MAPS = """language 1

segment ROL to Practitioner
  source "a table"
  identity ROL-4.1
  ROL-3.1 -> identifier.value

segment NTE to Patient
  source "a table"
  NTE-3 -> extension["urn:x"].valueString joined

segment PID to Binary
  source "a table"
  identity "one" of context.organisation
  set contentType = "text/plain"

segment NTE to Binary
  source "a table"
  NTE-3 -> data joined

segment NTE to Patient as first
  source "a table"
  NTE-2 -> extension["urn:x"].valueString

segment MRG to Patient
  source "a table"
  identity MRG-1.1
  MRG-1 -> identifier using CX to Identifier
  set active = "false"

message ADT_A05 for ADT^A05
  source "a table"
  PID -> patient using PID to Patient
  ROL after PID -> carer using ROL to Practitioner
  ROL after PV1 -> other using ROL to Practitioner with identifier.system = "urn:visit"
  PR1 -> none using PR1 to Procedure with subject = patient
  group INSURANCE from IN1
  IN1 -> patient using IN1 to Patient

message ADT_A06 for ADT^A06
  source "a table"
  PID -> patient using PID to Patient
  MRG -> merged using MRG to Patient apart from patient

message ORU_R01 for ORU^R01
  source "a table"
  PID -> patient using PID to Patient
  PID -> text using PID to Binary
  NTE -> patient using NTE to Patient as first when NTE-2 is present
  NTE -> patient using NTE to Patient
  NTE -> text using NTE to Binary

segment PR1 to Procedure
  source "a table"
  identity PR1-1 of subject
  set status = "unknown"
  set performedPeriod.end = PR1-5 plus PR1-7 in "min"

segment IN1 to Patient
  source "a table"
  IN1-16 -> name using XPN to HumanName
"""


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> mapping.Maps:
    root = tmp_path_factory.mktemp("root")
    for folder in ("segments", "datatypes", "messages"):
        (root / "hl7v2" / folder).mkdir(parents=True)
    shutil.copy(CASES / "prelude.map", root / "hl7v2" / "segments" / "prelude.map")
    (root / "hl7v2" / "dictionary").symlink_to(specs.ROOT / "hl7v2" / "dictionary")
    shutil.copytree(CASES / "codes", root / "codes")
    (root / "hl7v2" / "segments" / "own.map").write_text(MAPS, "utf-8")
    tables = specs.fhir()
    vocabulary = SimpleNamespace(
        dictionaries={"2.5.1": dictionary.load("2.5.1")}, elements=Elements(tables), tables=tables
    )
    loaded = mapping.load(root, vocabulary)
    assert loaded.diagnostics == ()
    assert loaded.maps is not None
    return loaded.maps


def converted(maps: mapping.Maps, *segments: str, kind: str = "ADT^A05") -> tuple[list[Any], mapping.Conversion]:
    sent = "\r".join([HEADER.replace("ADT^A05", kind), *segments]).encode()
    conversion = maps.convert(hl7v2.read(sent), replace(CONTEXT))
    return [draft.resource for draft in conversion.drafts], conversion


@pytest.mark.parametrize(
    ("start", "length", "unit", "end"),
    [
        ("202607010930", "45", "min", "2026-07-01T10:15:00+01:00"),
        ("20260701093000+0200", "2", "h", "2026-07-01T11:30:00+02:00"),
        ("202602282300", "1.5", "d", "2026-03-02T11:00:00+00:00"),
        ("202607010930", "0", "s", "2026-07-01T09:30:00+01:00"),
        ("20260701", "45", "min", None),
        ("202607010930", "long", "min", None),
        ("202607010930", "45", None, None),
        ("202607010930", "45", "fortnight", None),
        ("202607010930", "99999999999", "wk", None),
        ("202607010930", "9999999", "wk", None),
        ("", "45", "min", None),
    ],
)
def test_a_length_of_time_is_added_to_a_moment(start: str, length: str, unit: str | None, end: str | None) -> None:
    assert later(start, length, unit, LONDON) == end


def test_what_is_added_counts_as_told(maps: mapping.Maps) -> None:
    made, conversion = converted(maps, PID, "PR1|1||||202605040830||95")
    assert made[1]["performedPeriod"] == {"end": "2026-05-04T10:05:00+01:00"}
    assert "PR1-7" not in conversion.loss.unmapped
    made, conversion = converted(maps, PID, "PR1|1||||202605040830||ninety")
    assert "performedPeriod" not in made[1]
    assert {"PR1-5", "PR1-7"} <= set(conversion.loss.unmapped)


def test_a_segment_is_told_by_what_it_stands_behind(maps: mapping.Maps) -> None:
    made, conversion = converted(
        maps, PID, "ROL|1|AD|A|P1", "PV1|1|I", "ROL|2|AD|B|P2", "IN1|1", "ROL|3|AD|C|P3", "PV1|1|I", "ROL|4|AD|D|P4"
    )
    people = [r["identifier"] for r in made if r["resourceType"] == "Practitioner"]
    assert people == [
        [{"value": "A"}],
        [{"system": "urn:visit", "value": "B"}],
        [{"system": "urn:visit", "value": "D"}],
    ]
    lost = [path for path in conversion.loss.unmapped if path.startswith("ROL[3]")]
    assert lost == ["ROL[3]-1", "ROL[3]-2", "ROL[3]-3", "ROL[3]-4"]


def test_who_is_the_same_is_not_merged_into_oneself(maps: mapping.Maps) -> None:
    (stays, merged), _ = converted(maps, PID, "MRG|H2^^^R0D^MR", kind="ADT^A06")
    assert (stays.get("active"), merged["active"]) == (None, False)
    (alone,), conversion = converted(maps, PID, "MRG|H1^^^R0D^MR", kind="ADT^A06")
    assert "active" not in alone
    assert "MRG-1" in conversion.loss.unmapped


def test_lines_of_several_segments_are_one_text(maps: mapping.Maps) -> None:
    made, conversion = converted(maps, PID, "NTE|1||one~two", "NTE|2||", 'NTE|3||""~three', kind="ORU^R01")
    assert made[0]["extension"] == [{"url": "urn:x", "valueString": "one\ntwo\nthree"}]
    assert b64decode(made[1]["data"]) == b"one\ntwo\nthree"
    assert not [path for path in conversion.loss.unmapped if path.endswith("-3") and path.startswith("NTE")]


def test_a_text_of_several_segments_leaves_the_value_of_another_row(maps: mapping.Maps) -> None:
    made, conversion = converted(maps, PID, "NTE|1|L|one", "NTE|2||two", kind="ORU^R01")
    assert made[0]["extension"] == [{"url": "urn:x", "valueString": "L"}]
    assert b64decode(made[1]["data"]) == b"one\ntwo"
    assert not [path for path in conversion.loss.unmapped if path.endswith("-3") and path.startswith("NTE")]
