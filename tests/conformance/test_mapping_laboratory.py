"""Results and orders, row by row: what a segment must become, each case named for its row of the guide's tables.

Source: HL7's v2-to-FHIR guide (STU1): OBX[Observation], OBX[Observation-Component], OBR[...], ORC[...], SPM[Specimen],
NTE[...], TQ1[ServiceRequest], Message ORU_R01, Message OML_O21.
"""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import fhir, hl7v2, mapping, specs
from gateway.hl7v2 import dictionary

CONTEXT = mapping.Context("R0D", "pathology", datetime(2026, 5, 14, 12, tzinfo=UTC), "receipt-1", "ab" * 32)
PID = "PID|1||9990000018^^^NHS^NH||Tallis^Marian"
OBR = "OBR|1|P-1^EDORDERS|F-1^LIMS|26604007^Full blood count^SCT|||20260512103000||||||||||||||||||F"
LOINC = {"coding": [{"code": "1-8", "display": "Test", "system": "http://loinc.org"}]}
UCUM = {"code": "g/L", "system": "http://unitsofmeasure.org", "unit": "g/L"}
V2 = "http://terminology.hl7.org/CodeSystem/v2-"
PGN, FGN = ({"coding": [{"code": code, "system": f"{V2}0203"}]} for code in ("PGN", "FGN"))
BLOOD = {"coding": [{"code": "BLD", "system": f"{V2}0487", "display": "Whole blood"}]}
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
LOW = {"coding": [{"code": "L", "system": INTERPRETATION, "display": "Low"}]}
ORIGINAL = "http://hl7.org/fhir/StructureDefinition/originalText"
ATTACHMENT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.valueAttachment"

Convert = Any


def header(kind: str, version: str = "2.5.1") -> str:
    return f"MSH|^~\\&|LIMS|R0D|DEX|QVV|20260514110000||{kind}|C1|P|{version}"


@pytest.fixture(scope="module")
def elements() -> fhir.Elements:
    return fhir.Elements(specs.fhir())


@pytest.fixture(scope="module")
def maps(elements: fhir.Elements) -> mapping.Maps:
    versions = {v: dictionary.load(v) for v in ("2.3", "2.3.1", "2.4", "2.5", "2.5.1")}
    known = SimpleNamespace(dictionaries=versions, elements=elements, tables=elements.tables)
    loaded = mapping.load(specs.ROOT, known)
    assert loaded.maps is not None
    return loaded.maps


@pytest.fixture
def convert(maps: mapping.Maps, elements: fhir.Elements) -> Convert:
    def converted(*segments: str, kind: str = "ORU^R01", version: str = "2.5.1") -> mapping.Conversion:
        message = hl7v2.read("\r".join([header(kind, version), *segments]).encode())
        conversion = maps.convert(message, CONTEXT)
        for draft in conversion.drafts:
            assert fhir.validate(draft.resource, elements) == ()
            model = importlib.import_module(f"fhir.resources.R4B.{draft.resource['resourceType'].lower()}")
            getattr(model, draft.resource["resourceType"]).model_validate_json(fhir.dump(draft.resource))
        return conversion

    return converted


def made(conversion: mapping.Conversion, type_: str) -> list[dict[str, Any]]:
    found = (draft.resource for draft in conversion.drafts)
    return [json.loads(fhir.dump(resource)) for resource in found if resource["resourceType"] == type_]


def one(conversion: mapping.Conversion, type_: str) -> dict[str, Any]:
    (found,) = made(conversion, type_)
    return found


def obx(kind: str, value: str, unit: str = "") -> str:
    return f"OBX|1|{kind}|1-8^Test^LN||{value}|{unit}|||||F"


def attached(**content: str) -> dict[str, Any]:
    return {"extension": [{"url": ATTACHMENT, "valueAttachment": content}]}


def words(kind: str, text: str, **value: Any) -> dict[str, Any]:
    return {kind: {**value, "extension": [{"url": ORIGINAL, "valueString": text}]}}


VALUES: dict[str, tuple[str, dict[str, Any]]] = {
    "OBX-5 of NM": (obx("NM", "98.50", "g/L^^UCUM"), {"valueQuantity": {"value": 98.5, **UCUM}}),
    "OBX-6 without a system": (obx("NM", "98", "g/L"), {"valueQuantity": {"value": 98, "unit": "g/L"}}),
    "OBX-6 with a display": (
        obx("NM", "98", "g/L^gram per litre^UCUM"), {"valueQuantity": {"value": 98, **UCUM, "unit": "gram per litre"}},
    ),
    "OBX-6 of a system of the sender's own": (
        obx("NM", "98", "gpl^^99LAB"),
        {"valueQuantity": {"value": 98, "code": "gpl", "system": "99LAB", "unit": "gpl"}},
    ),
    "OBX-5 of SN[Quantity]": (
        obx("SN", ">^100", "g/L^^UCUM"), {"valueQuantity": {"comparator": ">", "value": 100, **UCUM}},
    ),
    "OBX-5 of SN[Quantity], SN.1 that is no comparator": (obx("SN", "=^100"), {"valueQuantity": {"value": 100}}),
    "OBX-5 of SN[Range]": (
        obx("SN", "^1^-^5", "g/L^^UCUM"),
        words("valueRange", "1 - 5", low={"value": 1, **UCUM}, high={"value": 5, **UCUM}),
    ),
    "OBX-5 of SN[Ratio]": (
        obx("SN", "^1^:^128"), words("valueRatio", "1 : 128", numerator={"value": 1}, denominator={"value": 128}),
    ),
    "OBX-5 of SN with `+`": (obx("SN", "^3^+", "g/L"), {"valueString": "3 + g/L"}),
    "OBX-5 of SN with `<>`": (obx("SN", "<>^3"), {"valueString": "<> 3"}),
    "OBX-5 of NR": (obx("NR", "1^5"), {"valueRange": {"low": {"value": 1}, "high": {"value": 5}}}),
    "OBX-5 of ST": (obx("ST", "not seen"), {"valueString": "not seen"}),
    "OBX-5 of TX": (obx("TX", "A \\T\\ B"), {"valueString": "A & B"}),
    "OBX-5 of FT": (obx("FT", "one\\.br\\two"), {"valueString": "one\ntwo"}),
    "OBX-5 of CE": (
        obx("CE", "POS^Positive^HL70078"),
        {"valueCodeableConcept": {"coding": [
            {"code": "POS", "display": "Positive", "system": "http://terminology.hl7.org/CodeSystem/v2-0078"},
        ]}},
    ),
    "OBX-5 of CWE": (
        obx("CWE", "112283007^Escherichia coli^SCT^^^^^^E. coli"),
        {"valueCodeableConcept": {
            "coding": [{"code": "112283007", "display": "Escherichia coli", "system": "http://snomed.info/sct"}],
            "text": "E. coli",
        }},
    ),
    "OBX-5 of CWE without a code": (
        obx("CWE", "^Growth"), {"valueCodeableConcept": {"coding": [{"display": "Growth"}]}},
    ),
    "OBX-5 of IS": (obx("IS", "POS"), {"valueCodeableConcept": {"coding": [{"code": "POS"}]}}),
    "OBX-5 of DT": (obx("DT", "20260514"), {"valueDateTime": "2026-05-14"}),
    "OBX-5 of DTM": (obx("DTM", "202605141015"), {"valueDateTime": "2026-05-14T10:15:00+01:00"}),
    "OBX-5 of TS": (obx("TS", "20260514101500+0000"), {"valueDateTime": "2026-05-14T10:15:00+00:00"}),
    "OBX-5 of TM": (obx("TM", "101530"), {"valueTime": "10:15:30"}),
    "OBX-5 of DR": (
        obx("DR", "20260501^20260514"), {"valuePeriod": {"start": "2026-05-01", "end": "2026-05-14"}},
    ),
    "OBX-5 of VR": (obx("VR", "a^b"), {"valueString": "a-b"}),
    "OBX-5 of ED, ED.4 Base64": (
        obx("ED", "LIMS^application^pdf^Base64^JVBERi0="), attached(contentType="application/pdf", data="JVBERi0="),
    ),
    "OBX-5 of ED, ED.4 Hex": (
        obx("ED", "^^PDF^Hex^25504446"), attached(contentType="application/pdf", data="JVBERg=="),
    ),
    "OBX-5 of ED, ED.4 A": (obx("ED", "^text^plain^A^seen"), attached(contentType="text/plain", data="c2Vlbg==")),
    "OBX-5 of RP": (
        obx("RP", "https://lab.example/r/1^^image^png"),
        attached(url="https://lab.example/r/1", contentType="image/png"),
    ),
    "OBX-5 of CX, which the guide leaves open": (obx("CX", "H400118^^^R0D^MR"), {"valueString": "H400118"}),
    "OBX-5 of EI, which the guide leaves open": (obx("EI", "E-1^LIMS"), {"valueString": "E-1"}),
    "OBX-5 of no type": ("OBX|1||1-8^Test^LN||seen||||||F", {"valueString": "seen"}),
    "OBX-5 twice, of NM": (
        obx("NM", "1~2", "g/L^^UCUM"),
        {"component": [
            {"code": LOINC, "valueQuantity": {"value": 1, **UCUM}},
            {"code": LOINC, "valueQuantity": {"value": 2, **UCUM}},
        ]},
    ),
    "OBX-5 twice, of TX": (
        obx("TX", "a~b"), {"component": [{"code": LOINC, "valueString": "a"}, {"code": LOINC, "valueString": "b"}]},
    ),
    "OBX-5 twice, of SN": (
        obx("SN", ">^1~^2^-^3"),
        {"component": [
            {"code": LOINC, "valueQuantity": {"comparator": ">", "value": 1}},
            {"code": LOINC, **words("valueRange", "2 - 3", low={"value": 2}, high={"value": 3})},
        ]},
    ),
}  # fmt: skip


def plain(resource: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: resource[name] for name in names if name in resource}


@pytest.mark.parametrize("row", VALUES)
def test_a_value_becomes_what_its_row_says(row: str, convert: Convert) -> None:
    segment, expected = VALUES[row]
    found = one(convert(PID, OBR, segment), "Observation")
    values = {n: v for n, v in found.items() if n.startswith("value") or n in {"component", "extension"}}
    assert values == expected


STATES = {
    "F": "final", "C": "corrected", "P": "preliminary", "A": "amended", "D": "entered-in-error",
    "W": "entered-in-error",
    "X": "cancelled", "R": "preliminary", "I": "registered", "N": "unknown", "": "unknown",
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_result_has_the_state_of_obx_11(state: str, convert: Convert) -> None:
    found = one(convert(PID, OBR, f"OBX|1|ST|1-8^Test^LN||x||||||{state}"), "Observation")
    assert (found["status"], found["valueString"]) == (STATES[state], "x")
    assert "dataAbsentReason" not in found, "R4: a reason stands in place of a value (obs-6)"


def test_what_was_not_asked_says_so(convert: Convert) -> None:
    found = one(convert(PID, OBR, "OBX|1||1-8^Test^LN||||||||N"), "Observation")
    assert found["dataAbsentReason"]["coding"][0]["code"] == "not-asked"


FIELDS: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "OBX-7, OBX-8": (
        ("OBX|1|NM|1-8^Test^LN||98||115-160|L|||F",), "Observation",
        {"referenceRange": [{"text": "115-160"}], "interpretation": [LOW]},
    ),
    "OBX-14": (("OBX|1|NM|1-8^Test^LN||98||||||F|||20260512110000",), "Observation",
               {"effectiveDateTime": "2026-05-12T11:00:00+01:00"}),
    "OBX-14 absent, which is OBR-7": (("OBX|1|NM|1-8^Test^LN||98||||||F",), "Observation",
                                      {"effectiveDateTime": "2026-05-12T10:30:00+01:00"}),
    "OBX-20, OBX-17": (
        ("OBX|1|NM|1-8^Test^LN||98||||||F||||||M1^Method||^|S1^Arm",), "Observation",
        {"method": {"coding": [{"code": "M1", "display": "Method"}]},
         "bodySite": {"coding": [{"code": "S1", "display": "Arm"}]}},
    ),
    "NTE-3 repeated behind OBX": (("OBX|1|ST|1-8^Test^LN||x||||||F", "NTE|1||one~two", "NTE|2||three"), "Observation",
                                  {"note": [{"text": "one\ntwo"}, {"text": "three"}]}),
    "NTE-3 behind OBR": (("NTE|1||why",), "ServiceRequest", {"note": [{"text": "why"}]}),
    "NTE-3 behind SPM": (("SPM|1|^S-1||BLD", "NTE|1||clotted"), "Specimen", {"note": [{"text": "clotted"}]}),
    "SPM-2, SPM-4, SPM-17, SPM-18": (
        ("SPM|1|P-9&WARD^S-1&LIMS||BLD|||||||||||||20260512103000^20260512103500|20260512111500",), "Specimen",
        {
            "type": BLOOD,
            "collection": {"collectedPeriod": {
                "start": "2026-05-12T10:30:00+01:00", "end": "2026-05-12T10:35:00+01:00",
            }},
            "receivedTime": "2026-05-12T11:15:00+01:00",
            "identifier": [
                {"value": "P-9", "system": "WARD", "type": PGN},
                {"value": "S-1", "system": "LIMS", "type": FGN},
            ],
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", FIELDS)
def test_a_field_becomes_what_its_row_says(row: str, convert: Convert) -> None:
    segments, type_, expected = FIELDS[row]
    found = made(convert(PID, OBR, *segments), type_)[-1]
    assert plain(found, *expected) == expected


ORDERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ORC-5": ("ORC|RE||||CM", OBR, {"status": "completed"}),
    "ORC-1 where ORC-5 is absent": ("ORC|NW", OBR, {"status": "active"}),
    "ORC-1 that the code map leaves open": ("ORC|RE", OBR, {"status": "unknown"}),
    "ORC-9 of NW": ("ORC|NW||||||||20260512104000", OBR, {"authoredOn": "2026-05-12T10:40:00+01:00"}),
    "ORC-9 of others": ("ORC|RE||||||||20260512104000", OBR, {"authoredOn": None}),
    "ORC-7, TQ.4 and TQ.6": (
        "ORC|NW||||||^^^20260512103000^^S", OBR,
        {"priority": "stat", "occurrenceTiming": {"repeat": {"boundsPeriod": {"start": "2026-05-12T10:30:00+01:00"}}}},
    ),
    "OBR-11 G": ("ORC|NW", "OBR|1|P-1|F-1|1^T|||||||G", {"intent": "reflex-order"}),
    "OBR-6": ("ORC|NW", "OBR|1|P-1|F-1|1^T||20260512", {"occurrenceDateTime": "2026-05-12"}),
    "OBR-13": ("ORC|NW", "OBR|1|P-1|F-1|1^T|||||||||fever", {"note": [{"text": "fever"}]}),
    "OBR-31": (
        "ORC|NW", "OBR|1|P-1|F-1|1^T" + "|" * 27 + "R1^Pain",
        {"reasonCode": [{"coding": [{"code": "R1", "display": "Pain"}]}]},
    ),
    "OBR-29": (
        "ORC|NW", "OBR|1|P-1|F-1|1^T" + "|" * 25 + "P-0&WARD^F-0&LIMS",
        {"basedOn": [
            {"type": "ServiceRequest", "identifier": {"value": "P-0", "system": "WARD", "type": PGN}},
            {"type": "ServiceRequest", "identifier": {"value": "F-0", "system": "LIMS", "type": FGN}},
        ]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ORDERS)
def test_an_order_becomes_what_its_row_says(row: str, convert: Convert) -> None:
    orc, obr, expected = ORDERS[row]
    found = one(convert(PID, orc, obr, kind="OML^O21"), "ServiceRequest")
    assert {name: found.get(name) for name in expected} == expected


def test_groups_keep_what_is_theirs_apart(convert: Convert) -> None:
    second = OBR.replace("OBR|1|P-1^EDORDERS|F-1^LIMS|26604007^Full blood count", "OBR|2|P-2^EDORDERS||1988-5^CRP")
    conversion = convert(
        PID, "ORC|RE|P-1^EDORDERS|F-1^LIMS", OBR, obx("ST", "a"), "SPM|1|^S-1", second, obx("ST", "b"), "NTE|1||of b"
    )
    first, other = made(conversion, "DiagnosticReport")
    values = {f"Observation/{o['id']}": o for o in made(conversion, "Observation")}
    assert [[values[r["reference"]]["valueString"] for r in report["result"]] for report in (first, other)] == [
        ["a"],
        ["b"],
    ]
    assert [o.get("note") for o in values.values()] == [None, [{"text": "of b"}]]
    assert (len(first["specimen"]), len(other["specimen"])) == (2, 1)
    assert len(made(conversion, "ServiceRequest")) == 2
    # ORC of the first group says nothing of the second, which has none
    assert [i["value"] for i in other["identifier"]] == ["P-2"]


def test_two_patients_in_one_message_keep_their_results(convert: Convert) -> None:
    other = "PID|2||9990001006^^^NHS^NH||Farrow^Idris"
    conversion = convert(PID, OBR, obx("ST", "a"), other, OBR.replace("F-1", "F-2"), obx("ST", "b"))
    found = {o["valueString"]: o["subject"]["reference"] for o in made(conversion, "Observation")}
    assert found == {"a": "Patient/9990000018", "b": "Patient/9990001006"}


def test_one_filler_number_for_several_tests_makes_several_reports(convert: Convert) -> None:
    conversion = convert(PID, OBR, OBR.replace("26604007^Full blood count", "1988-5^CRP"))
    assert len(made(conversion, "DiagnosticReport")) == 2


def test_results_of_one_code_without_sub_id_are_kept_apart_and_found_again(convert: Convert) -> None:
    lines = [obx("TX", "line 1"), obx("TX", "line 2")]
    once, again = (made(convert(PID, OBR, *lines), "Observation") for _ in range(2))
    assert [o["valueString"] for o in once] == ["line 1", "line 2"]
    assert once == again


@pytest.mark.parametrize("change", ["|C", "|P"])
def test_a_correction_has_the_ids_of_what_it_corrects(change: str, convert: Convert) -> None:
    segments = (PID, "ORC|RE|P-1^EDORDERS|F-1^LIMS", OBR, obx("NM", "98"), "SPM|1|^S-1")
    corrected = [s[:-2] + change if s[:3] in {"OBX", "OBR"} else s for s in segments]
    first, second = (
        {(d.resource["resourceType"], d.resource["id"]) for d in convert(*s).drafts} for s in (segments, corrected)
    )
    assert first == second


def test_an_order_and_its_result_are_one_request_whoever_numbers_it(convert: Convert) -> None:
    obr = "OBR|1|P-1^EDORDERS||26604007^Full blood count^SCT"
    ordered = convert(PID, "ORC|NW|P-1^EDORDERS", obr, kind="OML^O21")
    resulted = convert(PID, "ORC|RE|P-1^EDORDERS|F-1^LIMS", OBR)
    alone = convert(PID, OBR)
    ids = {one(c, "ServiceRequest")["id"] for c in (ordered, resulted, alone)}
    assert len(ids) == 1


def test_a_laboratory_tells_of_a_visit_only_where_nobody_did(convert: Convert) -> None:
    conversion = convert(PID, "PV1|1|E|" + "|" * 15 + "V-1^^^R0D^VN", OBR)
    told = {d.resource["resourceType"]: d.only_new for d in conversion.drafts}
    assert (told["Encounter"], told["DiagnosticReport"]) == (True, False)


def test_what_nothing_identifies_is_known_by_its_submission_alone(maps: mapping.Maps, convert: Convert) -> None:
    segments = ("PID|1||||Tallis^Marian", "OBR|1|||1988-5^CRP^LN", obx("ST", "a"), obx("ST", "b"))
    conversion = convert(*segments)
    assert {f.rule for f in conversion.findings} == {"MAP-IDENTITY"}
    assert [f.expression for f in conversion.findings] == ["PID", "OBR", "OBR", "OBX", "OBX[2]"]
    assert len(made(conversion, "Observation")) == 2
    other = mapping.Context("R0D", "pathology", datetime(2026, 5, 14, 12, tzinfo=UTC), "receipt-2", "ab" * 32)
    again = maps.convert(hl7v2.read("\r".join([header("ORU^R01"), *segments]).encode()), other)
    assert one(again, "Patient")["id"] != one(conversion, "Patient")["id"], "two people without a number are never one"


def test_two_nhs_numbers_never_become_a_patient_by_receipt(convert: Convert) -> None:
    conversion = convert("PID|1||9990000018^^^NHS^NH~9990001006^^^NHS^NH||Tallis", OBR)
    assert conversion.drafts == ()
    assert "MAP-REQUIRED" in {f.rule for f in conversion.findings}


def test_one_unidentified_patient_among_several_refuses_the_message(convert: Convert) -> None:
    doubtful = "PID|1||9990000018^^^NHS^NH~9990001006^^^NHS^NH||Tallis"
    conversion = convert(doubtful, OBR, PID, OBR.replace("F-1", "F-2"))
    assert conversion.drafts == ()


def test_every_loss_is_reported(convert: Convert) -> None:
    conversion = convert(
        PID, "NTE|1||behind PID", OBR, "OBX|1|NM|1-8^Test^LN||hot||||||F|12|13", "PRT|1|UC|||||||||||week"
    )
    assert set(conversion.loss.unmapped) >= {"NTE-3", "OBX-5", "OBX-12", "OBX-13", "PRT-13"}
    assert [f.expression for f in conversion.findings] == ["OBX-5"]


def test_a_message_header_is_made_for_receivers_of_messages_alone(maps: mapping.Maps) -> None:
    sent = hl7v2.read("\r".join([header("ORU^R01"), PID, OBR]).encode())
    for messaging in (False, True):
        context = mapping.Context(
            "R0D", "pathology", datetime(2026, 5, 14, 12, tzinfo=UTC), "r", "ab" * 32, messaging=messaging
        )
        assert len(made(maps.convert(sent, context), "MessageHeader")) == messaging
