"""Invariants of R4, by key: what breaks each and what keeps it. Source: the types' pages at https://hl7.org/fhir/R4/."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import fhir, specs
from gateway.fhir.invariants import KEYS

ELEMENTS = fhir.Elements(specs.fhir())
SCT = "http://snomed.info/sct"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
ALLERGY = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ALLERGY_VERIFIED = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
NOW = "2026-11-22T10:00:00Z"


def code(system: str, value: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": value}]}


def bundle(kind: str, *entries: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, **more, **({"entry": list(entries)} if entries else {})}


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **more}


def observation(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


def condition(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, **more}


def allergy(**more: Any) -> dict[str, Any]:
    return {"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/1"}, **more}


def appointment(**more: Any) -> dict[str, Any]:
    who = more.pop("participant", {"actor": {"reference": "Patient/1"}, "status": "accepted"})
    return {"resourceType": "Appointment", "status": "booked", "participant": [who], **more}


POST = {"method": "POST", "url": "Patient"}
HELD = {"reference": "#o"}
DOCUMENT = {"identifier": {"system": "urn:x", "value": "1"}, "timestamp": NOW}
COMPOSITION = {
    "resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": NOW, "title": "x",
    "author": [{"display": "x"}],
}  # fmt: skip
HEADER = {"resourceType": "MessageHeader", "eventUri": "urn:x", "source": {"endpoint": "urn:x"}}

TAKEN = '<p title="a &gt; b">one = 1&nbsp;mg</p><a href="http://x.example/on=1">x</a><br/><!-- kept -->'
ACTING = {
    "script": "<script>x</script>", "handler": '<p title=">" onclick="x">x</p>', "form": "<form/>",
    "in capitals": "<SCRIPT>x</SCRIPT>", "link": '<a href="java&#9;script:x">x</a>',
    "named": '<a href="javascript&colon;x">x</a>', "prefixed": '<h:script xmlns:h="http://www.w3.org/1999/xhtml"/>',
    "CDATA": "<![CDATA[<script>]]>", "entity": '<!DOCTYPE d [<!ENTITY e "x">]>', "not closed": "<p>x",
    "unquoted": "<img src=x onerror=x/>", "deep": "<div>" * 9999 + "</div>" * 9999 + "<object/>",
}  # fmt: skip


def told(div: str) -> dict[str, Any]:
    return patient(text={"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{div}</div>'})


# the key, where it is broken, what breaks it, and what doesn't
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
CASES: list[tuple[str, str, Any, Any]] = [
    ("bdl-1", "Bundle.total", bundle("collection", total=1), bundle("searchset", total=1)),
    ("bdl-2", "Bundle.entry[0].search", bundle("collection", {"resource": patient(), "search": {"mode": "match"}}),
     bundle("searchset", {"resource": patient(), "search": {"mode": "match"}})),
    ("bdl-3", "Bundle.entry[0].request", bundle("transaction", {"resource": patient()}),
     bundle("transaction", {"resource": patient(), "request": POST})),
    ("bdl-3", "Bundle.entry[0].request", bundle("collection", {"resource": patient(), "request": POST}),
     bundle("collection", {"resource": patient()})),
    ("bdl-4", "Bundle.entry[0].response", bundle("collection", {"response": {"status": "200"}}),
     bundle("batch-response", {"response": {"status": "200"}})),
    ("bdl-5", "Bundle.entry[0]", bundle("collection", {"fullUrl": "urn:oid:1.2"}),
     bundle("collection", {"resource": patient()})),
    ("bdl-7", "Bundle.entry[1].fullUrl", bundle("collection", *[{"fullUrl": "urn:oid:1.2", "resource": patient()}] * 2),
     bundle("collection", *[{"fullUrl": f"urn:oid:1.{i}", "resource": patient()} for i in (1, 2)])),
    ("bdl-8", "Bundle.entry[0].fullUrl",
     bundle("collection", {"fullUrl": "http://x.example/Patient/1/_history/2", "resource": patient(id="1")}),
     bundle("collection", {"fullUrl": "http://x.example/Patient/1", "resource": patient(id="1")})),
    ("bdl-9", "Bundle.identifier", bundle("document", {"resource": COMPOSITION}, timestamp=NOW),
     bundle("document", {"resource": COMPOSITION}, **DOCUMENT)),
    ("bdl-10", "Bundle.timestamp", bundle("document", {"resource": COMPOSITION}, identifier=DOCUMENT["identifier"]),
     bundle("document", {"resource": COMPOSITION}, **DOCUMENT)),
    ("bdl-11", "Bundle.entry", bundle("document", {"resource": patient()}, **DOCUMENT),
     bundle("document", {"resource": COMPOSITION}, **DOCUMENT)),
    ("bdl-12", "Bundle.entry", bundle("message", {"resource": patient()}), bundle("message", {"resource": HEADER})),
    ("dom-2", "Patient.contained[0].contained", patient(contained=[patient(id="a", contained=[patient(id="b")])]),
     patient(contained=[patient(id="a")])),
    ("dom-4", "Patient.contained[0].meta", patient(contained=[patient(id="a", meta={"versionId": "1"})]),
     patient(contained=[patient(id="a", meta={"profile": ["urn:x"]})])),
    ("dom-5", "Patient.contained[0].meta.security",
     patient(contained=[patient(id="a", meta={"security": [{"code": "R"}]})]), patient(contained=[patient(id="a")])),
    ("ext-1", "Patient.extension[0]", patient(extension=[{"url": "urn:x"}]),
     patient(extension=[{"url": "urn:x", "valueString": "x"}])),
    ("ext-1", "Patient.extension[0]",
     patient(extension=[{"url": "urn:x", "valueString": "x", "extension": [{"url": "urn:y", "valueString": "y"}]}]),
     patient(extension=[{"url": "urn:x", "extension": [{"url": "urn:y", "valueString": "y"}]}])),
    ("per-1", "Patient.name[0].period", patient(name=[{"period": {"start": "2026-02", "end": "2026-01"}}]),
     patient(name=[{"period": {"start": "2026-02", "end": "2026-02-01"}}])),
    ("per-1", "Patient.name[0].period",
     patient(name=[{"period": {"start": "2026-02-01T10:00:00+01:00", "end": "2026-02-01T08:59:59Z"}}]),
     patient(name=[{"period": {"start": "2026-02-01T10:00:00+01:00", "end": "2026-02-01T09:00:00Z"}}])),
    ("qty-3", "Observation.valueQuantity", observation(valueQuantity={"value": 1, "code": "mm"}),
     observation(valueQuantity={"value": 1, "code": "mm", "system": "http://unitsofmeasure.org"})),
    ("cpt-2", "Patient.telecom[0]", patient(telecom=[{"value": "01632 960118"}]),
     patient(telecom=[{"value": "01632 960118", "system": "phone"}])),
    ("att-1", "Patient.photo[0]", patient(photo=[{"data": "QUJD"}]),
     patient(photo=[{"data": "QUJD", "contentType": "image/png"}])),
    ("pat-1", "Patient.contact[0]", patient(contact=[{"gender": "female"}]),
     patient(contact=[{"gender": "female", "name": {"text": "x"}}])),
    ("org-1", "Organization", {"resourceType": "Organization", "active": True},
     {"resourceType": "Organization", "name": "x"}),
    ("obs-6", "Observation.dataAbsentReason", observation(dataAbsentReason={"text": "x"}, valueString="y"),
     observation(dataAbsentReason={"text": "x"})),
    ("con-4", "Condition.clinicalStatus", condition(abatementString="x", clinicalStatus=code(CLINICAL, "active")),
     condition(abatementString="x", clinicalStatus=code(CLINICAL, "resolved"))),
    ("con-5", "Condition.clinicalStatus",
     condition(clinicalStatus=code(CLINICAL, "active"), verificationStatus=code(VERIFIED, "entered-in-error")),
     condition(verificationStatus=code(VERIFIED, "entered-in-error"))),
    ("ait-1", "AllergyIntolerance", allergy(), allergy(clinicalStatus=code(ALLERGY, "active"))),
    ("ait-2", "AllergyIntolerance.clinicalStatus",
     allergy(clinicalStatus=code(ALLERGY, "active"), verificationStatus=code(ALLERGY_VERIFIED, "entered-in-error")),
     allergy(verificationStatus=code(ALLERGY_VERIFIED, "entered-in-error"))),
    ("app-1", "Appointment.participant[0]", appointment(start=NOW, end=NOW, participant={"status": "accepted"}),
     appointment(start=NOW, end=NOW)),
    ("app-2", "Appointment", appointment(start=NOW), appointment(start=NOW, end=NOW)),
    ("app-2", "Appointment", appointment(start=NOW), appointment(start=NOW, _end=ABSENT)),
    ("app-3", "Appointment", appointment(), appointment(status="proposed")),
    ("app-3", "Appointment", appointment(), appointment(_start=ABSENT, _end=ABSENT)),
    *[("txt-1", "Patient.text.div", told(div), told(TAKEN)) for div in ACTING.values()],
    ("ref-1", "Patient.managingOrganization", patient(managingOrganization=HELD),
     patient(managingOrganization=HELD, contained=[{"resourceType": "Organization", "id": "o", "name": "x"}])),
]  # fmt: skip


@pytest.mark.parametrize(("key", "place", "wrong", "right"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_each_invariant(key: str, place: str, wrong: Any, right: Any) -> None:
    assert (key, place) in [(f.rule, f.expression) for f in fhir.validate(wrong, ELEMENTS)]
    assert fhir.validate(right, ELEMENTS) == ()


def test_every_key_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(KEYS)


@pytest.mark.parametrize("odd", [None, 1, "x", [], {}, [1], [None], {"coding": 1}])
@pytest.mark.parametrize("member", ["type", "entry", "identifier", "total", "timestamp", "contained", "meta"])
def test_what_is_wrong_otherwise_breaks_nothing(member: str, odd: Any) -> None:
    for name in ("Bundle", "Patient", "Condition", "Appointment"):
        fhir.validate({"resourceType": name, member: odd}, ELEMENTS)
