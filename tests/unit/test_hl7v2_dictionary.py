"""The standard's dictionaries, as `specs/hl7v2/dictionary/` holds them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway import specs
from gateway.hl7v2 import Group, SegmentUse, dictionary, label_fits, structure
from gateway.hl7v2.dictionary import Dictionaries, Dictionary, load
from gateway.specs import Origin, Row, SpecsError

VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
HAND_WRITTEN = ("patches.csv", "events.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of dictionaries with the hand-written files alone."""
    made = tmp_path / "specs" / dictionary.FOLDER
    made.mkdir(parents=True)
    for name in HAND_WRITTEN:
        shutil.copy(specs.ROOT / dictionary.FOLDER / name, made / name)
    return made


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Specs with the dictionary of 2.4 alone."""
    root = tmp_path / "specs"
    made = root / dictionary.FOLDER
    shutil.copytree(specs.ROOT / dictionary.FOLDER / "2.4", made / "2.4")
    for name in HAND_WRITTEN:
        shutil.copy(specs.ROOT / dictionary.FOLDER / name, made / name)
    return root


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# Fields and components


def test_there_is_a_dictionary_of_every_version() -> None:
    assert dictionary.versions() == VERSIONS


@pytest.mark.parametrize(
    ("version", "segment", "number", "name", "datatype", "occurs", "table"),
    [
        ("2.3", "PID", 3, "PATIENT_ID_INTERNAL_ID", "CX", (1, None), None),
        ("2.3.1", "PID", 3, "PATIENT_IDENTIFIER_LIST", "CX", (1, None), None),
        ("2.3", "PID", 8, "SEX", "IS", (0, 1), "0001"),
        ("2.5.1", "PID", 8, "ADMINISTRATIVE_SEX", "IS", (0, 1), "0001"),
        ("2.8.2", "PID", 8, "ADMINISTRATIVE_SEX", "CWE", (0, 1), "0001"),
        ("2.5.1", "PV1", 45, "DISCHARGE_DATE_TIME", "TS", (0, None), None),
        ("2.6", "PV1", 45, "DISCHARGE_DATE_TIME", "DTM", (0, 1), None),
        ("2.5.1", "MSH", 18, "CHARACTER_SET", "ID", (0, None), "0211"),
        ("2.5.1", "OBX", 5, "OBSERVATION_VALUE", "varies", (0, None), None),
        # hl7apy's oddities: a segment without a kind, a field with one entry too many, no type, `wd`
        ("2.1", "ORO", 1, "ORDER_ITEM_ID", "CE", (0, 1), None),
        ("2.1", "RX1", 30, "INSTRUCTIONS_SIG", "TX", (0, None), None),
        ("2.5.1", "MSA", 5, "DELAYED_ACKNOWLEDGMENT_TYPE", "WD", (0, 0), None),
        ("2.6", "PR1", 8, "ANESTHESIOLOGIST", "WD", (0, 0), None),
    ],
)
def test_fields(
    version: str,
    segment: str,
    number: int,
    name: str,
    datatype: str,
    occurs: tuple[int, int | None],
    table: str | None,
) -> None:
    found = load(version).field(segment, number)
    assert found is not None
    assert (found.position, found.name, found.datatype) == (number, name, datatype)
    assert ((found.min, found.max), found.table) == (occurs, table)


def test_a_definition_says_where_it_stands() -> None:
    found = load("2.5.1").field("PID", 3)
    assert found is not None
    assert found.origin.file == "specs/hl7v2/dictionary/2.5.1/fields.csv"
    lines = (specs.ROOT.parent / found.origin.file).read_text(encoding="utf-8").splitlines()
    assert lines[found.origin.line - 1].startswith("PID,3,PATIENT_IDENTIFIER_LIST,CX")


def test_what_a_version_has_not_is_none() -> None:
    found = load("2.3")
    assert found.field("PID", 39) is None
    assert found.field("ZZZ", 1) is None
    assert found.field("ARV", 1) is None
    assert "ANYHL7SEGMENT" not in found.segments
    assert load("2.8.2").field("ARV", 1) is not None


@pytest.mark.parametrize(
    ("version", "segment", "number", "path", "datatype"),
    [
        ("2.5.1", "PID", 3, (), "CX"),
        ("2.5.1", "PID", 3, (4,), "HD"),
        ("2.5.1", "PID", 3, (4, 2), "ST"),
        ("2.5.1", "PID", 3, (1, 1), "ST"),
        ("2.5.1", "PID", 3, (1, 2), None),
        ("2.5.1", "PID", 3, (40,), None),
        ("2.5.1", "PID", 3, (40, 1), None),
        ("2.5.1", "PID", 8, (1,), "IS"),
        ("2.5.1", "PID", 8, (2,), None),
        ("2.8.2", "PID", 8, (1,), "ST"),
        ("2.5.1", "OBX", 5, (7, 3), "varies"),
        ("2.5.1", "ZZZ", 5, (1,), None),
    ],
)
def test_components(version: str, segment: str, number: int, path: tuple[int, ...], datatype: str | None) -> None:
    found = load(version).component(segment, number, path)
    assert (found.datatype if found else None) == datatype


def test_datatypes_are_composite_or_primitive() -> None:
    found = load("2.5.1").datatypes
    assert found["CX"].components[5].name == "IDENTIFIER_TYPE_CODE"
    assert found["ST"].components == {}
    assert "IS" in found
    assert "XYZ" not in found
    with pytest.raises(KeyError):
        found["XYZ"]


@pytest.mark.parametrize(
    ("label", "fits"),
    [("Discharge Date/Time", True), ("discharge date time", True), ("DISCHARGE_DATE_TIME", True), ("Discharge", False)],
)
def test_labels_are_compared_by_letters_and_digits(label: str, *, fits: bool) -> None:
    found = load("2.5.1").field("PV1", 45)
    assert found is not None
    assert label_fits(found, label) is fits


# Tables


def test_tables_and_their_codes() -> None:
    found = load("2.5.1").tables
    assert found["0001"].name == "Administrative Sex"
    assert found["0001"].codes == {"A", "F", "M", "N", "O", "U"}
    assert "8859/15" in found["0211"].codes
    assert "PID" not in found
    assert len(load("2.3").tables) == 0


# Structures


def test_a_structure_is_a_tree() -> None:
    tree = load("2.5.1").structures["ORU_R01"]
    assert (tree.name, tree.min, tree.max, tree.choice) == ("ORU_R01", 1, 1, False)
    result = tree.members[2]
    assert isinstance(result, Group)
    assert (result.name, result.min, result.max) == ("PATIENT_RESULT", 1, None)
    assert [group.name for group in tree.groups()] == [
        "ORU_R01",
        "PATIENT_RESULT",
        "PATIENT",
        "VISIT",
        "ORDER_OBSERVATION",
        "TIMING_QTY",
        "OBSERVATION",
        "SPECIMEN",
    ]
    assert tree.members[1] == SegmentUse("SFT", 0, None)
    assert {"MSH", "PID", "OBX", "NTE", "SPM"} <= tree.segments()


def test_a_choice_and_a_group_called_like_a_segment() -> None:
    choices = [group for group in load("2.5.1").structures["ORM_O01"].groups() if group.choice]
    assert [m.name for m in choices[0].members] == ["OBR", "RQD", "RQ1", "RXO", "ODS", "ODT"]
    named = [group for group in load("2.6").structures["EHC_E02"].groups() if group.name == "PSG"]
    assert "PSG" in [m.name for m in named[0].members if isinstance(m, SegmentUse)]


def test_any_segment_is_a_star() -> None:
    uses = {
        name for name, tree in load("2.5.1").structures.items() if structure.ANY_SEGMENT in tree.segments()
    }  # fmt: skip
    assert uses


@pytest.mark.parametrize(
    ("version", "message_type", "expected"),
    [
        ("2.5.1", "ADT^A01", "ADT_A01"),
        ("2.5.1", "ADT^A04", "ADT_A01"),
        ("2.5.1", "ADT^A08", "ADT_A01"),
        ("2.5.1", "ADT^A03", "ADT_A03"),
        ("2.5.1", "ADT^A31", "ADT_A05"),
        ("2.3.1", "ADT^A31", "ADT_A01"),
        ("2.2", "ADT^A04", "ADT_A01"),
        ("2.2", "ADT^A20", "ADT_A20"),
        ("2.1", "ADT^A13", "ADT_A13"),
        ("2.3.1", "ADT^A13", "ADT_A01"),
        ("2.3.1", "ADT^A05", "ADT_A01"),
        ("2.4", "ADT^A05", "ADT_A05"),
        ("2.3", "ADT^A22", "ADT_A02"),
        ("2.4", "ADT^A22", "ADT_A21"),
        ("2.5.1", "ADT^A40", "ADT_A39"),
        ("2.3", "ADT^A15", "ADT_A09"),
        ("2.5.1", "SIU^S14", "SIU_S12"),
        ("2.5.1", "MDM^T08", "MDM_T02"),
        ("2.8", "CCR^I18", "CCR_I16"),
        ("2.5.1", "ACK^A01", "ACK"),
        ("2.5.1", "ACK", "ACK"),
        ("2.5.1", "ADT", None),
        ("2.5.1", "ADT^Z99", None),
        ("2.5.1", "", None),
    ],
)
def test_events_have_structures(version: str, message_type: str, expected: str | None) -> None:
    assert load(version).structure_of(message_type) == expected


@pytest.mark.parametrize(
    "member", ["PID", "[PD1]", "{OBX}", "[{NTE}]", "PATIENT()", "[{PATIENT()}]", "[{*}]"]
)  # fmt: skip
def test_notation_is_read_and_written_alike(member: str) -> None:
    tree = structure.parse("X", {"": (False, [member]), "PATIENT": (False, ["PID"])})
    assert structure.write_member(tree.members[0]) == member


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"": (False, ["[PID"])}, "no member"),
        ({"": (False, ["{PID]"])}, "no member"),
        ({"": (False, ["pid"])}, "no member"),
        ({"": (False, ["PATIENT()"])}, "has no row"),
        ({"": (False, ["A()"]), "A": (False, ["A()"])}, "holds itself"),
    ],
)
def test_notation_that_is_wrong(rows: dict[str, tuple[bool, list[str]]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        structure.parse("X", rows)


# Loading


def test_dictionaries_are_loaded_when_asked_for() -> None:
    found = Dictionaries()
    assert tuple(found) == VERSIONS
    assert len(found) == len(VERSIONS)
    assert isinstance(found["2.4"], Dictionary)
    assert found["2.4"] is load("2.4")
    assert "3.0" not in found


def test_a_version_without_a_dictionary() -> None:
    with pytest.raises(SpecsError, match=r"`9\.9`: there are 2\.1, 2\.2"):
        load("9.9")


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("fields.csv", "segment,position", "segment,place", r"fields\.csv:1: is not a row of segment,position"),
        ("components.csv", "AD,1,STREET", "AD,1,,STREET", r"components\.csv:2: is not a row"),
        ("structures.csv", "ACK,,sequence", 'ACK,"', r"structures\.csv:1: can not be read"),
    ],
)
def test_a_file_that_is_broken(copied: Path, file: str, old: str, new: str, words: str) -> None:
    replace(copied / dictionary.FOLDER / "2.4" / file, old, new)
    with pytest.raises(SpecsError, match=words):
        load("2.4", copied)


def test_a_file_that_is_missing(copied: Path) -> None:
    (copied / dictionary.FOLDER / "2.4" / "tables.csv").unlink()
    with pytest.raises(SpecsError, match=r"tables\.csv:1: can not be read: run `gateway specs build`"):
        load("2.4", copied)


def test_a_bad_cell_is_an_error_when_it_is_asked_for(copied: Path) -> None:
    path = copied / dictionary.FOLDER / "2.4"
    replace(path / "fields.csv", "PID,1,SET_ID_PID,SI,0", "PID,1,SET_ID_PID,SI,none")
    replace(path / "structures.csv", "ACK,,sequence,MSH MSA", "ACK,,sequence,MSH (MSA")
    found = load("2.4", copied)
    assert found.field("PV1", 2) is not None
    with pytest.raises(SpecsError, match=r"fields\.csv:\d+: position, min and max are numbers"):
        found.field("PID", 3)
    with pytest.raises(SpecsError, match=r"structures\.csv:2: structure `ACK`: `\(MSA` is no member"):
        found.structures["ACK"]


# Building


def test_what_is_committed_is_what_build_makes() -> None:
    assert dictionary.drift(specs.ROOT / dictionary.FOLDER) == ()


def test_write_and_drift(folder: Path) -> None:
    assert len(dictionary.drift(folder)) == len(VERSIONS) * 5
    dictionary.write(folder)
    assert dictionary.drift(folder) == ()
    replace(folder / "2.4" / "fields.csv", "PID,1,", "PID,01,")
    (folder / "2.5" / "codes.csv").unlink()
    (folder / "2.6" / "more.csv").write_text("", encoding="utf-8")
    (folder / "1.9").mkdir()
    (folder / "1.9" / "fields.csv").write_text("", encoding="utf-8")
    assert dictionary.drift(folder) == ("1.9/fields.csv", "2.4/fields.csv", "2.5/codes.csv", "2.6/more.csv")
    dictionary.write(folder)
    assert dictionary.drift(folder) == ()
    assert not (folder / "2.6" / "more.csv").exists()


def patch(**cells: str) -> Row:
    row = {
        "version": "2.6", "kind": "field", "of": "DG1", "position": "7", "name": "NEW", "datatype": "ST", "min": "0",
        "max": "1", "table": "", "source": "test",
    }  # fmt: skip
    return Row(Origin("patches.csv", 3), {**row, **cells})


def test_a_patch_adds_and_replaces() -> None:
    files = dictionary.build(
        "2.6",
        [
            patch(),
            patch(of="PID", position="1", max="*", table="0001"),
            patch(kind="component", of="CX", position="1"),
            patch(version="2.7", of="ZZZ"),
        ],
    )
    assert "DG1,7,NEW,ST,0,1,\n" in files["fields.csv"]
    assert "PID,1,NEW,ST,0,*,0001\n" in files["fields.csv"]
    assert "CX,1,NEW,ST,0,1,\n" in files["components.csv"]
    assert "ZZZ" not in files["fields.csv"]


@pytest.mark.parametrize("cells", [{"kind": "segment"}, {"source": ""}, {"position": "x"}, {"min": ""}])
def test_a_patch_that_is_wrong(cells: dict[str, str]) -> None:
    with pytest.raises(SpecsError, match=r"patches\.csv:3"):
        dictionary.build("2.6", [patch(**cells)])
