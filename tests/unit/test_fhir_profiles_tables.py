"""The tables of a set of profiles: written from definitions of our own, read back, and what is wrong in them told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway import specs
from gateway.fhir import build_profiles

PROFILES = """profile,version,status,element,slice,min,max,types,must_support,binding,value_set,fixed,invariants,short
X-Patient,1.0,active,Patient,,,,,,,,,x-1[warning]: name.exists(),not restated
X-Patient,1.0,active,Patient.name,,,,,true,,,,,not restated
X-Patient,1.0,active,Patient.active,,1,,,,,,,,
X-Patient,1.0,active,Patient.extension:kind,kind,,1,Extension(Extension-X-Kind),,,,,,
X-Patient,1.0,active,Patient.extension:place,place,,,Extension(patient-birthPlace),,,,,,
X-Patient,1.0,active,Patient.identifier:own,own,,2,,,,,,,
X-Patient,1.0,active,Patient.identifier:own.system,,1,,,,,,fixedUri=urn:own,,
X-Patient,1.0,active,Patient.maritalStatus,,,,,,extensible,urn:set,,,
X-Patient,1.0,active,Patient.managingOrganization,,,,Reference(UKCore-Organization|Practitioner),,,,,,
UKCore-Observation-VitalSigns,1.0,active,Observation.code.coding:loinc,loinc,1,1,,,,,,,
UKCore-Observation-VitalSigns,1.0,active,Observation.code.coding:loinc.system,,,,,,,,fixedUri=http://loinc.org,,
UKCore-Observation-VitalSigns-Own,1.0,active,Observation.code.coding:loinc.code,,,,,,,,fixedCode=1-8,,
"""
EXTENSIONS = """url,version,status,contexts,value_types,value_sets,parts,description
https://x.example/Extension-X-Kind,1.0,active,Patient Person,CodeableConcept,urn:kinds,,not restated
"""
CODES = """value_set,system,code,display
urn:set,urn:a,1,not restated
urn:set,urn:a,2,
urn:set,urn:b,constraint = <<3,(filter)
urn:kinds,urn:k,k,
urn:unbound,urn:k,k,
"""


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    folder = tmp_path / "reference"
    folder.mkdir()
    for name, text in (("profiles", PROFILES), ("extensions", EXTENSIONS), ("codes", CODES)):
        (folder / f"{name}.csv").write_text(text, "utf-8")
    return folder


@pytest.fixture
def root(reference: Path, tmp_path: Path) -> Path:
    build_profiles.write(reference, tmp_path / "specs" / "fhir" / "own")
    return tmp_path / "specs"


def test_what_is_written_is_read_back(root: Path) -> None:
    assert specs.profile_sets(root) == ("own",)
    found = specs.profiles("own", root)
    patient = found.profiles["X-Patient"]
    asked = {one.path: one for one in patient.asked}
    assert patient.type == "Patient"
    assert "name" not in asked  # that it must be supported asks nothing of a resource
    assert (asked["active"].min, asked["active"].max) == (1, None)
    assert asked["extension:kind"].types == "Extension(https://x.example/Extension-X-Kind)"
    assert asked["extension:place"].types == ("Extension(http://hl7.org/fhir/StructureDefinition/patient-birthPlace)")
    assert asked["identifier:own"].told_by == (("system", "urn:own"),)
    assert asked["managingOrganization"].types == "Reference(Organization|Practitioner)"
    assert (asked["maritalStatus"].binding, asked["maritalStatus"].value_set) == ("extensible", "urn:set")
    assert [(one.key, one.path, one.severity, one.fhirpath) for one in patient.invariants] == [
        ("x-1", "", "warning", "name.exists()")
    ]
    assert found.codings == {
        "urn:set": {("urn:a", "1"), ("urn:a", "2"), ("urn:b", "*")},
        "urn:kinds": {("urn:k", "k")},
    }
    kind = found.extensions["https://x.example/Extension-X-Kind"]
    assert (kind.contexts, kind.types, kind.value_sets, kind.parts) == (
        ("Patient", "Person"), ("CodeableConcept",), ("urn:kinds",), (),
    )  # fmt: skip


def test_a_profile_asks_what_the_one_below_it_asks_too(root: Path) -> None:
    own = specs.profiles("own", root).profiles["UKCore-Observation-VitalSigns-Own"]
    assert [one.path for one in own.asked] == [
        "code.coding:loinc", "code.coding:loinc.system", "code.coding:loinc.code",
    ]  # fmt: skip


def test_no_drift_after_writing_and_each_difference_by_its_first_line(reference: Path, root: Path) -> None:
    folder = root / "fhir" / "own"
    assert build_profiles.drift(reference, folder) == ()
    path = folder / "codes.txt"
    path.write_text(path.read_text("utf-8").replace("urn:a 1 2", "urn:a 1"), "utf-8")
    (folder / "extensions.csv").unlink()
    assert build_profiles.drift(reference, folder) == (
        "extensions.csv: missing",
        "codes.txt:6: differs from the reference",
    )


def test_the_committed_tables_have_not_drifted(shared: Path) -> None:
    assert build_profiles.drift(shared / "reference" / "uk-core", specs.ROOT / "fhir" / "uk-core") == ()


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (
            "elements.csv",
            ",extensible,",
            ",strong,",
            "`strong` is no strength: write required, extensible or preferred",
        ),
        ("elements.csv", "Patient.active,1,", "Patient.active,one,", "`one` is no number: write min as one"),
        (
            "elements.csv",
            "X-Patient,Patient.active",
            "Y-Patient,Patient.active",
            "`Y-Patient` is missing: add its line",
        ),
        ("profiles.csv", "UKCore-Observation-VitalSigns,1.0", "Z,1.0", "`Z` is no profile: name one of this table"),
        ("codes.txt", "  urn:k k", "  urn:k", "codes need a value set above and a system before them"),
    ],
)
def test_what_is_wrong_in_a_table_is_told(
    root: Path, tmp_path: Path, name: str, old: str, new: str, words: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(root, other)
    path = other / "fhir" / "own" / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(specs.SpecsError, match=words):
        specs.profiles("own", other)
