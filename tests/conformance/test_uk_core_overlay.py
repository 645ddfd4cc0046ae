"""`convert with uk-core`: what senders of the NHS write, and what it becomes; each beside what the base makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import fhir, loading, mapping, specs
from gateway.hl7v2 import read

HEADER = rb"MSH|^~\&|PAS|R0D|DEX|QVV|20260515120000||ADT^A01|1|P|2.4"
EVENT = b"EVN|A01|20260515120000"
PID: Mapping[int, str] = {1: "1", 3: "9990000018^^^NHS^NH", 5: "Smith^Ann"}
PV1: Mapping[int, str] = {1: "1", 2: "I", 19: "V1"}
UK = "https://fhir.hl7.org.uk/"

Made = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def convert() -> Made:
    """A resource of a type, of a message with these fields: by the overlay, or without."""
    names = loading.vocabulary(specs.ROOT)
    maps = mapping.load(specs.ROOT, names, laid=[("uk-core",)]).maps
    assert maps is not None

    def made(
        type_: str, *more: str, pid: Mapping[int, str] = PID, pv1: Mapping[int, str] = PV1, over: bool = True
    ) -> dict[str, Any]:
        segments = [segment("PID", {**PID, **pid}), segment("PV1", {**PV1, **pv1}), *more]
        raw = b"\r".join([HEADER, EVENT, *(each.encode() for each in segments)])
        now = datetime(2026, 5, 15, 12, tzinfo=UTC)
        overlays = ("uk-core",) if over else ()
        conversion = maps.convert(read(raw), mapping.Context("R0D", "here", now, "r", "r", overlays=overlays))
        found = [draft.resource for draft in conversion.drafts]
        for resource in found:
            assert [one for one in fhir.validate(resource, names.elements) if one.severity == "error"] == []
        return next(resource for resource in found if resource["resourceType"] == type_)

    return made


def segment(name: str, fields: Mapping[int, str]) -> str:
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def extension(of: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    """System and code of an extension of UK Core."""
    url = f"{UK}StructureDefinition/Extension-UKCore-{name}"
    found = [each["valueCodeableConcept"] for each in of.get("extension", ()) if each["url"] == url]
    return [(coding["system"], coding["code"]) for concept in found for coding in concept["coding"]]


@pytest.mark.parametrize(
    ("code", "gender"),
    [("1", "male"), ("2", "female"), ("9", "other"), ("0", "unknown"), ("X", "unknown"), ("F", "female")],
)
def test_gender_by_the_nhs_data_dictionary(convert: Made, code: str, gender: str) -> None:
    assert convert("Patient", pid={8: code})["gender"] == gender


def test_the_base_knows_no_codes_of_the_nhs(convert: Made) -> None:
    patient = convert("Patient", pid={8: "2", 22: "A"}, over=False)
    assert "gender" not in patient
    assert extension(patient, "EthnicCategory") == []


def test_ethnic_category(convert: Made) -> None:
    patient = convert("Patient", pid={22: "A"})
    assert extension(patient, "EthnicCategory") == [(f"{UK}CodeSystem/UKCore-EthnicCategoryEngland", "A")]


def test_an_nhs_number_without_its_type_is_known_by_its_authority(convert: Made) -> None:
    patient = convert("Patient", pid={3: "9990000018^^^NHS~X1^^^R0D^MR"})
    number, local = patient["identifier"]
    assert patient["id"] == "9990000018"
    assert (number["system"], number["type"]["coding"][0]["code"]) == ("https://fhir.nhs.uk/Id/nhs-number", "NH")
    assert local["type"]["coding"][0]["code"] == "MR"
    assert "type" not in convert("Patient", pid={3: "9990000018^^^NHS"}, over=False)["identifier"][0]


def test_how_far_a_number_was_traced_is_told_of_the_nhs_number_alone(convert: Made) -> None:
    patient = convert("Patient", pid={3: "9990000018^^^NHS^NH~X1^^^R0D^MR", 32: "01"})
    system = f"{UK}CodeSystem/UKCore-NHSNumberVerificationStatusEngland"
    told = [extension(identifier, "NHSNumberVerificationStatus") for identifier in patient["identifier"]]
    assert told == [[(system, "01")], []]
    assert extension(convert("Patient", pid={32: "US"})["identifier"][0], "NHSNumberVerificationStatus") == []


def test_a_number_in_pid_19_is_none_of_the_us(convert: Made) -> None:
    assert convert("Patient", pid={19: "AB123456C"})["identifier"][1] == {"value": "AB123456C"}


@pytest.mark.parametrize(
    ("sent", "code"),
    [("EN", "en"), ("eng^English^ISO639", "en"), ("wel", "cy"), ("Polish", "pl"), ("1", "und"), ("x^Xhosan", "und")],
)
def test_a_language_stands_by_bcp_47_beside_the_sender_s_own(convert: Made, sent: str, code: str) -> None:
    first, second = convert("Patient", pid={15: sent})["communication"][0]["language"]["coding"]
    assert first["code"] == sent.partition("^")[0]
    assert second == {"code": code, "system": "urn:ietf:bcp:47"}


def test_separated_and_not_disclosed_are_what_they_are_in_the_nhs(convert: Made) -> None:
    assert convert("Patient", pid={16: "P"})["maritalStatus"]["coding"][0]["code"] == "L"
    assert convert("Patient", pid={16: "N"})["maritalStatus"]["coding"][0]["display"] == "Not disclosed"
    assert convert("Patient", pid={16: "P"}, over=False)["maritalStatus"]["coding"][0]["code"] == "T"


def test_consultants_and_practitioners_are_one_person_whoever_sends_them(convert: Made) -> None:
    by_type, by_authority = (
        convert("Practitioner", pv1={7: sent})
        for sent in ("C1234567^Darwin^Sam^^^^^^^^^^GMC", "C1234567^Darwin^Sam^^^^^^GMC")
    )
    assert by_type["id"] == by_authority["id"]
    assert by_type["identifier"] == [{"value": "C1234567", "system": f"{UK}Id/gmc-number"}]
    general = convert("Practitioner", "PD1||||G1234567^Jones^P^^^^^^GMP")
    assert general["identifier"] == [{"value": "G1234567", "system": f"{UK}Id/gmp-number"}]


def test_a_practice_has_its_ods_code_as_id(convert: Made) -> None:
    practice = convert("Organization", "PD1|||SURGERY^^J81012^^^ODS", pid={3: "9990000018^^^NHS^NH"})
    assert practice["id"] == "R0D"  # the sender comes first
    patient = convert("Patient", "PD1|||SURGERY^^J81012^^^ODS")
    assert patient["generalPractitioner"] == [{"reference": "Organization/J81012"}]


@pytest.mark.parametrize(
    ("sent", "is_site"), [("^^^R0D09^^^^^^^R0D", True), ("^^^R0D09", False), ("^^^MAIN^^^^^^^R0D", False)]
)
def test_a_site_has_the_system_of_sites_where_the_sender_says_whose_code_it_is(
    convert: Made,
    sent: str,
    is_site: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    system = convert("Location", pv1={3: sent})["identifier"][0].get("system")
    assert (system == "https://fhir.nhs.uk/Id/ods-site-code") is is_site


def test_admission_source_and_discharge_by_the_nhs_data_dictionary(convert: Made) -> None:
    visit = convert("Encounter", pv1={4: "21", 10: "300", 14: "19", 36: "1"})
    systems = f"{UK}CodeSystem/UKCore-"
    assert extension(visit["hospitalization"], "AdmissionMethod") == [(f"{systems}AdmissionMethodEngland", "21")]
    assert extension(visit, "DischargeMethod") == [(f"{systems}DischargeMethodEngland", "1")]
    assert visit["hospitalization"]["admitSource"]["coding"][0]["system"] == f"{systems}SourceOfAdmissionEngland"
    assert visit["serviceType"]["coding"][0]["display"] == "General Internal Medicine"
    assert "type" not in visit
    other = convert("Encounter", pv1={4: "E", 36: "01"})
    assert other["type"][0]["coding"][0]["code"] == "E"
    assert other["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] == "01"


@pytest.mark.parametrize(
    ("name", "system"),
    [("OPCS4", f"{UK}Id/opcs-4"), ("SNM3", "http://snomed.info/sct"), ("DMD", "https://dmd.nhs.uk")],
)
def test_coding_systems_of_the_nhs_have_their_uris(convert: Made, name: str, system: str) -> None:
    procedure = convert("Procedure", f"PR1|1||U19.2^ECG^{name}||20260515")
    assert procedure["code"]["coding"][0]["system"] == system
