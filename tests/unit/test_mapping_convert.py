"""What the engine does with maps: small maps of the tests' own, in the real language."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import fhir, hl7v2, mapping, specs
from gateway.hl7v2 import dictionary
from gateway.mapping import memory
from gateway.mapping.run import Run
from gateway.mapping.when_used import WhenUsed

HEADER = "MSH|^~\\&|PAS|R0D|DEX|QVV|20260501103000||ADT^A01|C1|P|2.5.1"
CONTEXT = mapping.Context("R0D", "emergency-care", datetime(2026, 5, 1, 12, tzinfo=UTC), "receipt-1", "ab" * 32)

Convert = Callable[..., mapping.Conversion]


@pytest.fixture(scope="module")
def known() -> SimpleNamespace:
    elements = fhir.Elements(specs.fhir())
    return SimpleNamespace(dictionaries={"2.5.1": dictionary.load("2.5.1")}, elements=elements, tables=elements.tables)


@pytest.fixture(scope="module")
def real(known: SimpleNamespace) -> mapping.Maps:
    maps = mapping.load(specs.ROOT, known).maps
    assert maps is not None
    return maps


@pytest.fixture
def load(tmp_path: Path, known: SimpleNamespace) -> Callable[[str], mapping.Maps]:
    """Maps of a test's own beside the real data types and code maps."""
    shutil.copytree(specs.ROOT / "hl7v2" / "datatypes", tmp_path / "hl7v2" / "datatypes")
    (tmp_path / "hl7v2" / "messages").mkdir()
    (tmp_path / "hl7v2" / "dictionary").symlink_to(specs.ROOT / "hl7v2" / "dictionary")
    (tmp_path / "codes").symlink_to(specs.ROOT / "codes")

    def made(text: str) -> mapping.Maps:
        (tmp_path / "hl7v2" / "messages" / "own.map").write_text(f"language 1\n{text}", encoding="utf-8")
        loaded = mapping.load(tmp_path, known)
        assert loaded.diagnostics == ()
        assert loaded.maps is not None
        return loaded.maps

    return made


def convert(maps: mapping.Maps, *segments: str, header: str = HEADER) -> mapping.Conversion:
    return maps.convert(hl7v2.read("\r".join([header, *segments]).encode()), CONTEXT)


def one(conversion: mapping.Conversion, type_: str) -> dict[str, Any]:
    (found,) = [d.resource for d in conversion.drafts if d.resource["resourceType"] == type_]
    return found


# --- identity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pid3", "id_"),
    [
        ("9990000018^^^NHS^NH", "9990000018"),
        ("9990000018^^^^NH", "9990000018"),
        ("9990000018^^^NHS", "9990000018"),
        ("X1^^^R0D^MR~9990000018^^^NHS", "9990000018"),
        ("9990000018^^^NHS~999-000-0018^^^NHS", "9990000018"),
        ("9990000018^^^R0D^PI", fhir.derived_id("Patient", "R0D", "9990000018")),
        ("X1^^^NHS^NH~X2^^^R0D", fhir.derived_id("Patient", "R0D", "X2")),
        ("9990000018^^^NHS~9990000026^^^NHS~X2^^^R0D^MR", fhir.derived_id("Patient", "R0D", "X2")),
        ("X1^^^HOSP^PI~X2^^^PAS&1.2.3&ISO^MR", fhir.derived_id("Patient", "1.2.3", "X2")),
        ("X1^^^R0D^MR~X2^^^R0D^MR", fhir.derived_id("Patient", "R0D", "X1")),
        ("X1", fhir.derived_id("Patient", "R0D", "X1")),
    ],
)
def test_a_patients_id(pid3: str, id_: str, real: mapping.Maps) -> None:
    assert one(convert(real, f"PID|1||{pid3}||Test"), "Patient")["id"] == id_


@pytest.mark.parametrize("pid", [None, "PID|1", "PID|1||1111111111^^^NHS^NH", 'PID|1||""', "PID|1||~^^^R0D"])
def test_without_an_identified_patient_there_is_no_conversion(pid: str | None, real: mapping.Maps) -> None:
    conversion = convert(real, *([pid] if pid else []), "PV1|1|I|||||||||||||||||V1")
    assert conversion.drafts == ()
    assert "MAP-REQUIRED" in [f.rule for f in conversion.findings if f.severity == "error"]


def test_a_visit_is_one_encounter_whatever_tells_of_it(real: mapping.Maps) -> None:
    first = one(convert(real, "PID|1||X1", "PV1|1|I|||||||||||||||||V1^^^PAS"), "Encounter")
    later = one(convert(real, "PID|1||X1", "PV1|1|O|||||||||||||||||V1^^^PAS"), "Encounter")
    other = one(convert(real, "PID|1||X1", "PV1|1|O|||||||||||||||||V1"), "Encounter")
    assert first["id"] == later["id"] == fhir.derived_id("Encounter", "PAS", "V1")
    assert other["id"] == fhir.derived_id("Encounter", "R0D", "V1")


def test_a_visit_without_a_number_is_the_patients_at_that_time(real: mapping.Maps) -> None:
    visit = "PV1|1|I" + "|" * 42 + "20260501101500"
    found = one(convert(real, "PID|1||X1", visit), "Encounter")
    patient = one(convert(real, "PID|1||X1", visit), "Patient")
    assert found["id"] == fhir.derived_id("Encounter", f"Patient/{patient['id']}", "20260501101500")


def test_a_visit_that_nothing_identifies_is_told_of(real: mapping.Maps) -> None:
    conversion = convert(real, "PID|1||X1", "PV1|1|I|WARD7", "DG1|1||I21.9")
    assert [d.resource["resourceType"] for d in conversion.drafts if d.resource["resourceType"] == "Encounter"] == []
    assert [(f.severity, f.rule, f.expression) for f in conversion.findings] == [("warning", "MAP-IDENTITY", "PV1")]
    assert {"PV1-2", "PV1-3"} <= set(conversion.loss.unmapped)
    assert "encounter" not in one(conversion, "Condition")


def test_one_resource_told_of_twice_is_one_draft(real: mapping.Maps) -> None:
    conversion = convert(real, "PID|1||X1", "PV1|1|I|||||C1^Smith^Ann^^^^^^GMC|C1^^^^^Dr^^^GMC|||||||||||V1")
    practitioner = one(conversion, "Practitioner")
    assert practitioner["name"] == [{"family": "Smith", "given": ["Ann"]}, {"prefix": ["Dr"]}]
    again = convert(real, "PID|1||X1", "PV1|1|I|||||C1^Smith^Ann^^^^^^GMC|C1^^^^^Dr^^^GMC|||||||||||V1")
    assert shown(again) == shown(conversion)


def shown(conversion: mapping.Conversion) -> list[bytes]:
    return [fhir.dump(draft.resource) for draft in conversion.drafts]


def test_a_visit_that_is_told_of_two_patients_is_refused(real: mapping.Maps) -> None:
    visit = "PV1|1|I|||||||||||||||||V1"
    header = HEADER.replace("ADT^A01", "ORU^R01")
    sent = [part for mrn in "12" for part in (f"PID|1||{mrn}^^^R0D^MR", visit, f"OBR|1|P{mrn}|F{mrn}|C^T")]
    found = convert(real, *sent, header=header).findings
    assert [(f.severity, f.code, f.rule, f.expression) for f in found] == [
        ("error", "conflict", "MAP-IDENTITY", "PV1[2]")
    ]
    assert convert(real, *[part.replace("2^^^", "1^^^") for part in sent], header=header).findings == ()


def test_a_person_without_identifier_is_shown_not_referred_to(real: mapping.Maps) -> None:
    conversion = convert(real, "PID|1||X1", "PV1|1|I|||||^Smith^Ann^^^Dr||||||||||||V1")
    assert one(conversion, "Encounter")["participant"][0]["individual"] == {"display": "Dr Ann Smith"}


def test_the_senders_own_code_is_its_organisation(real: mapping.Maps) -> None:
    patient = one(convert(real, "PID|1||X1^^^R0D^MR"), "Patient")
    assert patient["identifier"][0]["assigner"] == {"reference": "Organization/R0D"}


# --- what is told ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evn2", "msh7", "told"),
    [
        ("20260501093000", "20260501103000", "2026-05-01T09:30:00+01:00"),
        ("20260501", "20260501103000", "2026-05-01T10:30:00+01:00"),
        ('""', "20260501103000-0500", "2026-05-01T10:30:00-05:00"),
        ("", "2026", "2026-05-01T12:00:00.000+00:00"),
    ],
)
def test_the_instant_that_a_message_tells_of(evn2: str, msh7: str, told: str, real: mapping.Maps) -> None:
    header = HEADER.replace("20260501103000", msh7)
    assert convert(real, f"EVN||{evn2}", "PID|1||X1", header=header).told == told


def test_contributors_and_source_are_marked(real: mapping.Maps) -> None:
    for draft in convert(real, "PID|1||X1").drafts:
        meta = draft.resource["meta"]
        assert fhir.contributors(draft.resource, real.marks) == (frozenset({"R0D"}), frozenset({"emergency-care"}))
        assert meta["source"] == "urn:uuid:receipt-1"


def test_provenance_names_message_map_and_rules(real: mapping.Maps) -> None:
    provenance = one(convert(real, "PID|1||X1"), "Provenance")
    assert provenance["policy"] == ["urn:sha256:" + "ab" * 32]
    message, map_ = (entity["what"] for entity in provenance["entity"])
    assert message["identifier"] == {"value": "C1"}
    assert map_["identifier"]["value"] == f"urn:sha256:{real.digest}"
    assert map_["display"] == "map ADT_A01"
    assert provenance["occurredDateTime"] == "2026-05-01T10:30:00+01:00"
    assert {t["reference"].partition("/")[0] for t in provenance["target"]} == {"Organization", "Patient"}


# --- values that can't be taken -------------------------------------------------------------------------------------


def test_a_value_of_another_kind_is_left_out_and_told(real: mapping.Maps) -> None:
    conversion = convert(real, "PID|1||X1||Test||19801340|Q")
    assert "birthDate" not in one(conversion, "Patient")
    assert [(f.rule, f.expression) for f in conversion.findings] == [("MAP-VALUE", "PID-7"), ("MAP-CODE", "PID-8")]
    assert conversion.loss.unmapped == ("PID-7", "PID-8")


def test_a_part_that_is_lost_is_reported_with_its_path(real: mapping.Maps) -> None:
    conversion = convert(
        real, "PID|1||X1||Test^^^^^^B", "NK1|1|Kin", "NK1|2|Kin^^^^^^B~Two|SPO^Spouse^99X||1^QQ^PH|||20261301"
    )
    assert set(conversion.loss.unmapped) == {
        "PID-5.7", "NK1[2]-2[2]", "NK1[2]-2.7", "NK1[2]-3.3", "NK1[2]-5.2", "NK1[2]-8",
    }  # fmt: skip


def test_null_clears_what_it_stands_for(real: mapping.Maps) -> None:
    fields = {1: "1", 3: "X1", **dict.fromkeys((4, 5, 7, 8, 11, 13, 14, 16, 20, 29), '""')}
    pid = "|".join(["PID", *(fields.get(number, "") for number in range(1, 30))])
    (patient,) = [d for d in convert(real, pid).drafts if d.resource["resourceType"] == "Patient"]
    assert patient.clears == (
        "Patient.name", "Patient.birthDate", "Patient.gender", "Patient.address", "Patient.telecom[use=home]",
        "Patient.telecom[use=work]", "Patient.maritalStatus", "Patient.deceased[x]",
    )  # fmt: skip


def test_a_part_sent_as_null_is_absent(real: mapping.Maps) -> None:
    patient = one(convert(real, 'PID|1||X1^^^""||Test^""^May&""||""^^|'), "Patient")
    assert patient["name"] == [{"family": "Test", "given": ["May"]}]
    assert patient["identifier"] == [{"value": "X1"}]


@pytest.mark.parametrize(
    ("segments", "place", "words"),
    [
        (("PID|1||X1||Test", "PID|2||X2||Other"), "PID[2]", "one patient in one PID segment, and this message has two"),
        (("PID|1||X1", "PID", "PID"), "PID[2]", "one patient in one PID segment, and this message has 3 PID"),
        (("PID|1||X1", "PD1", "PD1"), "PD1[2]", "one patient in one PD1 segment, and this message has two PD1"),
        (("PID|1||X1", "PV1|1|I", "PV1|2|O"), "PV1[2]", "one encounter in one PV1 segment"),
    ],
)  # fmt: skip
def test_a_segment_that_may_stand_once_stands_once(
    segments: tuple[str, ...], place: str, words: str, real: mapping.Maps
) -> None:
    conversion = convert(real, *segments)
    (error,) = [f for f in conversion.findings if f.severity == "error"]
    assert (error.code, error.expression, error.rule) == ("structure", place, "MAP-STRUCTURE")
    assert words in error.diagnostics
    assert conversion.drafts == ()
    assert convert(real, "PID|1||X1", "AL1|1||a", "AL1|2||b", "NK1|1|K", "NK1|2|L").drafts


@pytest.mark.parametrize(
    ("pid", "clears", "name", "unmapped"),
    [
        ('PID|1||X1||""', ("Patient.name",), None, ()),
        ('PID|1||X1||""||||Alias', (), [{"family": "Alias"}], ("PID-5",)),
        ('PID|1||X1||Test||||""', (), [{"family": "Test"}], ("PID-9",)),
        ('PID|1||X1||""^""^^^^^L', (), None, ("PID-5",)),
        ("PID|1||X1||^^^^^^L^^^^F^2020^2021", (), None, ("PID-5",)),
        ('PID|1||X1||""^May^^^^^L', (), [{"given": ["May"], "use": "official"}], ()),
    ],
)
def test_names_are_removed_by_the_field_of_names_and_none_is_without_content(
    pid: str, clears: tuple[str, ...], name: Any, unmapped: tuple[str, ...], real: mapping.Maps
) -> None:
    conversion = convert(real, pid)
    (patient,) = [d for d in conversion.drafts if d.resource["resourceType"] == "Patient"]
    assert (patient.clears, patient.resource.get("name"), conversion.loss.unmapped) == (clears, name, unmapped)


@pytest.mark.parametrize(
    ("evn2", "msh7", "place"),
    [
        ("20991231", "20991231103000", "MSH-7"),
        ("20991231103000", "20260501103000", "EVN-2"),
        ("99991231235959-1200", "20260501103000", "EVN-2"),
        ("20260502130001", "20260501103000", "EVN-2"),
        ("20260502130000", "20260501103000", None),
    ],
)
def test_a_time_far_ahead_does_not_count(evn2: str, msh7: str, place: str | None, real: mapping.Maps) -> None:
    conversion = convert(real, f"EVN||{evn2}", "PID|1||X1", header=HEADER.replace("20260501103000", msh7))
    told = [(f.severity, f.code, f.expression) for f in conversion.findings if f.rule == "MAP-AHEAD"]
    assert told == ([("warning", "value", place)] if place else [])
    assert conversion.told == ("2026-05-01T12:00:00.000+00:00" if place else "2026-05-02T13:00:00+01:00")
    assert conversion.drafts


@pytest.mark.parametrize(
    ("event", "patient_class", "more", "status"),
    [
        *((event, sent, "", "in-progress") for event in ("A01", "A04", "A08") for sent in ("", '""', "Q", "I")),
        ("A03", "", "", "finished"),
        ("A03", "Q", "", "finished"),
        ("A01", "P", "", "planned"),
        ("A01", "U", "", "unknown"),
        ("A08", "", "|" * 26 + "20260501", "finished"),
    ],
)
def test_the_event_gives_the_status_that_the_class_does_not(
    event: str, patient_class: str, more: str, status: str, real: mapping.Maps
) -> None:
    visit = f"PV1|1|{patient_class}|||||||||||||||||V1{more}"
    conversion = convert(real, "PID|1||X1", visit, header=HEADER.replace("A01", event))
    assert one(conversion, "Encounter")["status"] == status
    assert [f.expression for f in conversion.findings] == (["PV1-2"] if patient_class == "Q" and event != "A03" else [])


UNKNOWN = {"coding": [{"code": "unknown", "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason"}]}


@pytest.mark.parametrize(
    ("sent", "severity", "criticality"), [("SV", "severe", "high"), ("MO", "moderate", None), ("MI", "mild", "low")]
)
def test_the_severity_of_an_allergy(sent: str, severity: str, criticality: str | None, real: mapping.Maps) -> None:
    conversion = convert(real, "PID|1||X1", f"AL1|1|DA|P^Pen|{sent}^Words^HL70128|Rash~Wheeze")
    allergy = one(conversion, "AllergyIntolerance")
    assert allergy["reaction"] == [
        {"severity": severity, "manifestation": [{"text": text}]} for text in ("Rash", "Wheeze")
    ]
    assert (allergy.get("criticality"), conversion.findings, conversion.loss.unmapped) == (criticality, (), ())
    alone = one(convert(real, "PID|1||X1", f"AL1|1|DA|P^Pen|{sent}"), "AllergyIntolerance")
    assert alone["reaction"] == [{"severity": severity, "manifestation": [UNKNOWN]}]
    assert fhir.validate(alone, fhir.Elements(specs.fhir())) == ()


@pytest.mark.parametrize("sent", ["U", "U ", "Q^x^HL70128", "U^Unknown^99X^ Y "])
def test_a_severity_without_equivalent_is_told_of_once(sent: str, real: mapping.Maps) -> None:
    conversion = convert(real, "PID|1||X1", f"AL1|1|DA|P^Pen|{sent}")
    assert "reaction" not in one(conversion, "AllergyIntolerance")
    assert conversion.loss.unmapped == ("AL1-4",)


@pytest.mark.parametrize(
    ("pid3", "place"),
    [
        ("9990000018^^^NHS~9990000026^^^NHS", "PID-3[2]"),
        ("9990000018^^^NHS~1111111111^^^NHS~999 000 0018^^^NHS~9990000026^^^NHS", "PID-3[4]"),
    ],
)
def test_two_nhs_numbers_are_said_to_be_two(pid3: str, place: str, real: mapping.Maps) -> None:
    conversion = convert(real, f"PID|1||{pid3}", "PV1|1|I|||||||||||||||||V1")
    found = [f for f in conversion.findings if f.rule in {"MAP-IDENTITY", "MAP-REQUIRED"}]
    assert [(f.severity, f.expression) for f in found] == [("warning", place), ("error", place)]
    assert all("two different NHS numbers were sent" in f.diagnostics for f in found)
    assert "999" not in str(found)


MANY = 8_000


def each(form: str) -> list[str]:
    return [form.format(i) for i in range(MANY)]


@pytest.mark.parametrize(
    "segments",
    [
        ["PID|1||" + "~".join(each("X{0}^^^H{0}^MR"))],
        ["PID|1||X1||||||||" + "~" * MANY + "|" + "~".join(each("A{}"))],
        ["PID|1||X1" + "|" * 26 + "~" * MANY + "|" + "~".join(each("Q{}"))],
        ["PID|1||X1", "PV1|1|I|||||" + "~".join(each("C1^S{}^^^^^^^GMC")) + "||||||||||||V1"],
        ["PID|1||X1", *each("AL1|1|DA|P^Pen|SV|r{}")],
        ["PID|1||X1", *each("AL1|1|ZZ|P{}^Pen|Q|r|x")],
        ["PID|1||X1", *each("NK1|1|K{}|SPO" + "|" * 30 + "I1^^^R0D")],
    ],
)
def test_many_repetitions_and_segments_are_converted_in_a_time_in_proportion(
    segments: list[str], real: mapping.Maps
) -> None:
    began = time.process_time()
    assert convert(real, *segments).drafts
    assert time.process_time() - began < 5  # one by one each of them takes longer, up to a minute


def test_a_resource_that_is_told_of_often_has_each_entry_once(real: mapping.Maps) -> None:
    told = [f"AL1|1|DA|P^Pen||r{i % 40}" for i in range(200)]
    allergy = one(convert(real, "PID|1||X1", *told), "AllergyIntolerance")
    assert [r["manifestation"][0]["text"] for r in allergy["reaction"]] == [f"r{i}" for i in range(40)]


def test_escapes_and_other_delimiters(real: mapping.Maps) -> None:
    header = "MSH*:~!@*PAS*R0D*DEX*QVV*20260501103000**ADT:A01*C1*P*2.5.1"
    patient = one(convert(real, "PID*1**X1:::HOSP@1.2:MR**O!T!MALLEY:A!R!B", header=header), "Patient")
    assert patient["name"] == [{"family": "O@MALLEY", "given": ["A~B"]}]


def test_no_map_for_the_type(real: mapping.Maps) -> None:
    conversion = convert(real, "PID|1||X1", header=HEADER.replace("A01", "A99"))
    assert [(f.severity, f.rule, f.diagnostics) for f in conversion.findings] == [
        ("error", "MAP-FAILED", "there is no map for ADT^A99")
    ]
    assert conversion.loss.mapped == 0
    assert "PID-3" in conversion.loss.unmapped
    assert real.convert(hl7v2.read(b""), CONTEXT).drafts == ()


# --- the engine -----------------------------------------------------------------------------------------------------

OWN = """
message ADT_A01 for ADT^A01
  source "a test"
  PID -> patient using PID to Patient as own
segment PID to Patient as own
  source "a test"
  identity PID-3.1
"""


def test_the_first_row_that_fills_an_element_wins(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(OWN + '  PID-5 -> birthDate\n  PID-7 -> birthDate\n  set birthDate = "1900"\n')
    assert one(convert(maps, "PID|1||X1||1980||1990"), "Patient")["birthDate"] == "1980"
    assert one(convert(maps, "PID|1||X1||||1990"), "Patient")["birthDate"] == "1990"
    assert one(convert(maps, "PID|1||X1"), "Patient")["birthDate"] == "1900"


def test_what_is_preset_wins_and_what_is_by_default_yields(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(
        OWN
        + '  PID-13 -> telecom using XTN to ContactPoint with use = "work" when PID-13.9 is present'
        + " default rank = PID-1\n"
    )
    conversion = convert(maps, "PID|7||X1||||||||||1^PRN^PH^^^^^^x~2^PRN^PH~3^^PH^^^^^^^^^^^^^^^9")
    assert [(t["value"], t.get("use"), t["rank"]) for t in one(conversion, "Patient")["telecom"]] == [
        ("1", "work", 7), ("2", "home", 7), ("3", None, 9),
    ]  # fmt: skip
    assert "PID-1" not in conversion.loss.unmapped


def test_items_by_number_by_url_and_new_ones(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(
        OWN
        + """
  PID-5 -> contact[2].name.text
  PID-6 -> contact[1].name.text
  PID-7 -> contact[2].name.family
  PID-8 -> communication[+].language.text
  PID-9 -> birthDate.extension["http://x"].valueString
  PID-10 -> extension[+"http://y"].extension["a"].valueString
  PID-18 -> name[1] using XPN to HumanName as own
  set name[1].text = "{PID-11} and {PID-12}"
datatype XPN to HumanName as own
  source "a test"
  reads CX
  XPN.1 -> family
"""
    )
    patient = one(convert(maps, "PID|1||X1||two||fam|a~b|c|d~e||twelve||||||Fam"), "Patient")
    assert patient["contact"] == [{"name": {"text": "two", "family": "fam"}}]
    assert patient["communication"] == [{"language": {"text": "a"}}, {"language": {"text": "b"}}]
    assert patient["_birthDate"] == {"extension": [{"url": "http://x", "valueString": "c"}]}
    assert patient["extension"] == [
        {"url": "http://y", "extension": [{"url": "a", "valueString": text}]} for text in "de"
    ]
    assert patient["name"] == [{"family": "Fam", "text": "and twelve"}]


def test_constants_alone_make_nothing(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(
        OWN
        + """
  PID-5 -> maritalStatus using CWE to CodeableConcept as own
datatype CWE to CodeableConcept as own
  source "a test"
  reads XPN
  set text = "fixed"
  CWE.2 -> coding.code
"""
    )
    assert "maritalStatus" not in one(convert(maps, "PID|1||X1||a"), "Patient")
    assert one(convert(maps, "PID|1||X1||a^b"), "Patient")["maritalStatus"] == {
        "text": "fixed", "coding": [{"code": "b"}],
    }  # fmt: skip


def test_conditions_read_this_repetition_other_fields_and_other_segments(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(
        OWN
        + """
  PID-3 -> identifier using CX to Identifier when PID-3.5 is "MR" and PID-8 is present and MSH-11.1 is "P"
  PID-5 -> name using XPN to HumanName when repetitions is 1
  PID-7 -> birthDate when EVN-1 is "A01" or PID-3.4.2 is "1.2"
  set active = "true" when PID-9 is present
"""
    )
    patient = one(convert(maps, "PID|1||X1^^^^PI~X2^^^^MR~X3||a~b||1980|F|x"), "Patient")
    assert [i["value"] for i in patient["identifier"]] == ["X2"]
    assert "name" not in patient
    assert "birthDate" not in patient
    assert patient["active"] is True
    other = one(convert(maps, "EVN|A01", "PID|1||X1^^^^MR||a||1980"), "Patient")
    assert (other["name"], other["birthDate"], "identifier" in other) == ([{"family": "a"}], "1980", False)


def test_a_condition_that_can_not_be_decided_is_an_error_finding(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(OWN + "  PID-7 -> birthDate when PID-25 < 3\n")
    assert one(convert(maps, "PID|1||X1||||1980" + "|" * 18 + "2"), "Patient")["birthDate"] == "1980"
    conversion = convert(maps, "PID|1||X1||||1980" + "|" * 18 + "two")
    assert conversion.drafts == ()
    assert [(f.severity, f.rule) for f in conversion.findings] == [("error", "MAP-FAILED")]
    assert "two" not in conversion.findings[0].diagnostics


def test_codes_of_rows_and_assignments(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(
        OWN
        + """
  PID-8 -> maritalStatus using CWE to CodeableConcept coded MaritalStatus
  PID-16 -> communication.language using CWE to CodeableConcept coded MaritalStatus
  PID-10 -> multipleBirthBoolean using ID to boolean coded YesNoIndicator
  set gender = PID-22 coded AdministrativeSex
  set active = PID-24 coded YesNoIndicator
"""
    )
    sent = {8: "S^Single^HL70002^X^Other^L", 16: "S^Single^L", 10: "Y", 22: "M", 24: "Q"}
    conversion = convert(maps, "|".join(["PID", "", "", "X1", *(sent.get(n, "") for n in range(4, 25))]))
    patient = one(conversion, "Patient")
    assert patient["maritalStatus"]["coding"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "S", "display": "Never Married"},
        {"code": "X", "display": "Other", "_system": named("L")},
    ]
    assert patient["communication"] == [
        {"language": {"coding": [{"code": "S", "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                                  "display": "Never Married"}]}}
    ]  # fmt: skip
    assert patient["multipleBirthBoolean"] is True
    assert patient["gender"] == "male"
    assert "active" not in patient


def test_a_code_of_another_system_is_left_as_it_was_sent(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(OWN + "  PID-8 -> maritalStatus using CWE to CodeableConcept coded MaritalStatus\n")
    sent = convert(maps, "PID|||X1|||||S^Single^SCT")
    assert one(sent, "Patient")["maritalStatus"]["coding"] == [
        {"code": "S", "display": "Single", "system": "http://snomed.info/sct"}
    ]
    assert one(convert(maps, "PID|||X1|||||^Single"), "Patient")["maritalStatus"]["coding"] == [{"display": "Single"}]
    own = convert(maps, "PID|||X1|||||S^Single^99OWN")
    assert one(own, "Patient")["maritalStatus"]["coding"] == [
        {"code": "S", "display": "Single", "_system": named("99OWN")}
    ]
    assert "PID-8.3" in own.loss.unmapped


def test_a_code_that_its_map_lacks_is_kept_and_one_of_a_closed_list_is_reported(
    load: Callable[[str], mapping.Maps],
) -> None:
    maps = load(
        OWN
        + """
  PID-8 -> maritalStatus using CWE to CodeableConcept coded MaritalStatus
  PID-16 -> gender using CWE to code coded AdministrativeSex
"""
    )
    sent = convert(maps, "PID|||X1|||||ZZ^Something^HL70002||||||||ZZ^Something^HL70001")
    assert one(sent, "Patient")["maritalStatus"]["coding"] == [
        {"code": "ZZ", "display": "Something", "system": "http://terminology.hl7.org/CodeSystem/v2-0002"}
    ]
    assert "gender" not in one(sent, "Patient")
    assert [(f.rule, f.expression) for f in sent.findings] == [("MAP-CODE", "PID-16")]
    assert [path for path in sent.loss.unmapped if path.startswith(("PID-8", "PID-16"))] == ["PID-16"]


@pytest.mark.parametrize(("sent", "lost"), [("ZZ^Something", ("PID-8.1",)), ("ZZ^Something^L", ("PID-8.3", "PID-8.1"))])
def test_a_code_that_neither_a_map_nor_a_system_tells_of_is_kept_and_reported(
    load: Callable[[str], mapping.Maps], sent: str, lost: tuple[str, ...]
) -> None:
    maps = load(OWN + "  PID-8 -> maritalStatus using CWE to CodeableConcept coded MaritalStatus\n")
    conversion = convert(maps, f"PID|||X1|||||{sent}")
    (coding,) = one(conversion, "Patient")["maritalStatus"]["coding"]
    assert (coding["code"], coding["display"]) == ("ZZ", "Something")
    assert tuple(path for path in conversion.loss.unmapped if path.startswith("PID-8")) == lost
    assert conversion.findings == ()


def named(system: str) -> dict[str, Any]:
    """How the sender's name of a coding system that has no URI is kept."""
    return {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/originalText", "valueString": system}]}


def test_a_resource_with_a_rows_own_assignments(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(
        OWN
        + """
  PID-5 -> generalPractitioner using XCN to Practitioner as own with active = "true" default birthDate = PID-7
datatype XCN to Practitioner as own
  source "a test"
  reads XPN
  identity XCN.1
  XCN.2 -> name.text
"""
    )
    practitioner = one(convert(maps, "PID|||X1||D1^Dr Who||1970"), "Practitioner")
    assert (practitioner["active"], practitioner["birthDate"]) == (True, "1970")


GROUPED = """
message ORU_R01 for ORU^R01
  source "a test"
  PID -> patient using PID to Patient as own
  group ORDER from ORC, OBR
  OBR -> report using OBR to DiagnosticReport with subject = patient
  OBX -> observation using OBX to Observation with subject = patient
  NTE -> report using NTE to DiagnosticReport
segment PID to Patient as own
  source "a test"
  identity PID-3.1
  PID-7 -> birthDate
segment OBR to DiagnosticReport
  source "a test"
  identity OBR-3.1
  set status = "final"
  OBR-4 -> code using CWE to CodeableConcept
segment NTE to DiagnosticReport
  source "a test"
  NTE-3 -> conclusion
segment OBX to Observation
  source "a test"
  identity "{OBX-3.1} {OBX-1}" of subject
  OBX-3 -> code using CWE to CodeableConcept
"""


def test_rows_of_a_group_are_about_its_own_instance(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(GROUPED)
    header = HEADER.replace("ADT^A01", "ORU^R01")
    conversion = convert(
        maps, "PID|1||X1", "OBR|1||R1|a", "OBX|1||c1", "NTE|1||first", "OBR|2||R2|b", "ORC|1", "NTE|1||of no report",
        "OBR|3|||c", "NTE|1||of none either", header=header,
    )  # fmt: skip
    reports = [d.resource for d in conversion.drafts if d.resource["resourceType"] == "DiagnosticReport"]
    assert [(r["code"]["coding"][0]["code"], r.get("conclusion")) for r in reports] == [("a", "first"), ("b", None)]
    assert {"NTE[2]-3", "NTE[3]-3"} <= set(conversion.loss.unmapped)


def test_a_map_that_uses_itself(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(
        OWN
        + """
  PID-5 -> contact using XPN to Patient.contact
datatype XPN to Patient.contact
  source "a test"
  XPN.1 -> name using FN to HumanName as round
datatype FN to HumanName as round
  source "a test"
  reads ST
  FN.1 -> family
  FN.2 -> this using FN to HumanName as round
"""
    )
    assert one(convert(maps, "PID|1||X1||a&b"), "Patient")["contact"] == [{"name": {"family": "a"}}]


def test_memory_forgets_the_first_of_too_many() -> None:
    seen: list[str] = []

    def convert_one(raw: str, _run: Any) -> dict[str, str]:
        seen.append(raw)
        return {"display": raw}

    convert_remembered = memory.remembered(convert_one, 2)
    header = hl7v2.read(HEADER.encode())
    run = Run(header, {"context.organisation": "R0D"}, UTC, header.segments[0])
    for raw in "aabcba":
        assert convert_remembered(raw, run) == {"display": raw}
    assert "".join(seen) == "abca"


def test_a_code_map_leads_on_once_unless_there_is_something_to_report() -> None:
    seen: list[str] = []

    def recode(concept: dict[str, Any], run: Run) -> dict[str, Any]:
        code = concept["coding"][0]["code"]
        seen.append(code)
        if code == "?":
            run.lack()
        return {"coding": [{"code": code.upper()}]}

    led_on = memory.led_on(lambda raw, _run: {"coding": [{"code": raw}]}, recode, 3)
    header = hl7v2.read(HEADER.encode())
    run = Run(header, {"context.organisation": "R0D"}, UTC, header.segments[0])
    for raw in "aa??":
        found = led_on(raw, run)
        assert found == {"coding": [{"code": raw.upper()}]}
        found["coding"][0]["code"] = "changed by a row"
    assert "".join(seen) == "a??"
    assert run.lost == ["MSH-0.3", "MSH-0.3"]


def test_rows_are_written_when_their_segment_is_first_sent(load: Callable[[str], mapping.Maps]) -> None:
    visit = (
        'segment PV1 to Encounter as own\n  source "a test"\n  identity PV1-19.1\n  PV1-19.1 -> identifier[1].value\n'
    )
    row = "  PV1 -> visit using PV1 to Encounter as own\n"
    maps = load(OWN.replace("as own\n", f"as own\n{row}", 1) + "  PID-7 -> birthDate\n" + visit)
    blocks = dict(maps.messages["ADT^A01"].rows[""])
    assert {name: block.do.__name__ for name, block in blocks.items()} == {"PID": "_first", "PV1": "_first"}
    convert(maps, "PID|1||X1^^^H")
    assert {name: block.do.__name__ for name, block in blocks.items()} == {"PID": "rows of PID", "PV1": "_first"}


def test_what_is_remembered_is_not_changed_by_what_is_added(real: mapping.Maps) -> None:
    plain = "PV1|1|I|||||C1^Smith^^^^^^^GMC||||||||||||V1"
    fuller = "PV1|1|I|||||C1^Smith^^^^^^^GMC|C1^Smith^Ann^^^^^^GMC|||||||||||V1"
    before = one(convert(real, "PID|1||X1", plain), "Practitioner")
    with_more = one(convert(real, "PID|1||X1", fuller), "Practitioner")
    assert with_more["name"] == [{"family": "Smith"}, {"family": "Smith", "given": ["Ann"]}]
    assert one(convert(real, "PID|1||X1", plain), "Practitioner") == before


def test_a_code_that_is_remembered_is_not_changed_by_what_a_row_adds(load: Callable[[str], mapping.Maps]) -> None:
    maps = load(
        """
message ADT_A01 for ADT^A01
  source "a test"
  PID -> patient using PID to Patient as own
segment PID to Patient as own
  source "a test"
  identity PID-3.1
  PID-16 -> maritalStatus using CWE to CodeableConcept
  set maritalStatus.text = PID-2.1
"""
    )
    plain = convert(maps, "PID|||X1|||||||||||||M^Married")
    told = convert(maps, "PID||so she says|X1|||||||||||||M^Married")
    again = convert(maps, "PID|||X1|||||||||||||M^Married")
    status = [one(each, "Patient")["maritalStatus"] for each in (plain, told, again)]
    assert status[0] == status[2] == {"coding": [{"code": "M", "display": "Married"}]}
    assert status[1] == {**status[0], "text": "so she says"}


def test_converters_are_compiled_when_they_are_used_and_once() -> None:
    made: list[str] = []

    def compiled(of: Any) -> Any:
        time.sleep(0.05)  # long enough that each thread asks before the first is done
        made.append(of.structure.text)
        return of.structure.text

    first, second = (SimpleNamespace(structure=SimpleNamespace(text=name)) for name in ("ADT_A01", "ADT_A05"))
    maps: Any = {"ADT^A01": first, "ADT^A04": first, "ADT^A05": second}
    found: Any = WhenUsed(maps, compiled)
    assert (len(found), list(found), "ADT^A04" in found, "ADT^A99" in found, made) == (
        3, ["ADT^A01", "ADT^A04", "ADT^A05"], True, False, [],
    )  # fmt: skip
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(found.__getitem__, ["ADT^A01", "ADT^A04"] * 8)) == {"ADT_A01"}
    assert made == ["ADT_A01"]
    with pytest.raises(KeyError):
        found["ADT^A99"]
