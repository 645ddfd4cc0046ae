"""Invariants of R4, by key: what breaks each and what keeps it. Source: the types' pages at https://hl7.org/fhir/R4/."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway import fhir, specs
from gateway.fhir import fhirpath
from gateway.fhir.constraints import constraints_of
from gateway.fhir.invariants import KEYS

TABLES = specs.fhir()
ELEMENTS = fhir.Elements(TABLES)
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


def guide(**told: Any) -> dict[str, Any]:
    resource = {"reference": {"reference": "Patient/1"}, **told}
    return {
        "resourceType": "ImplementationGuide", "url": "urn:x", "name": "X", "status": "draft", "packageId": "x.y",
        "fhirVersion": ["4.0.1"],
        "definition": {"grouping": [{"id": "a", "name": "x"}], "resource": [resource]},
    }  # fmt: skip


def structure(view: str, *paths: str) -> dict[str, Any]:
    whole = {"base": {"path": "x", "min": 0, "max": "*"}, "definition": "x", "min": 0, "max": "*"}
    elements = [{"id": f"e{i}", "path": path, **whole} for i, path in enumerate(paths)]
    return {
        "resourceType": "StructureDefinition", "url": "urn:x", "name": "X", "status": "draft", "kind": "resource",
        "abstract": True, "type": "Patient", view: {"element": elements},
    }  # fmt: skip


POINTED = {"type": "seealso", "other": {"reference": "Patient/1"}}
POINTS = {"url": "http://x.example", "valueReference": {"reference": "#a"}}
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
     patient(contained=[patient(id="a")], extension=[POINTS])),
    ("dom-3", "Patient.contained[0]", patient(contained=[patient(id="b")], extension=[POINTS]),
     patient(contained=[patient(id="a")], extension=[POINTS])),
    ("dom-3", "Patient.contained[0]", patient(contained=[patient(id="b", link=[POINTED])]),
     patient(contained=[patient(id="b", link=[{"type": "seealso", "other": {"reference": "#"}}])])),
    ("dom-4", "Patient.contained[0].meta", patient(contained=[patient(id="a", meta={"versionId": "1"})]),
     patient(contained=[patient(id="a", meta={"profile": ["urn:x"]})], extension=[POINTS])),
    ("dom-5", "Patient.contained[0].meta.security",
     patient(contained=[patient(id="a", meta={"security": [{"code": "R"}]})]),
     patient(contained=[patient(id="a")], extension=[POINTS])),
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
    ("ig-1", "ImplementationGuide.definition.resource[0].groupingId", guide(groupingId="b"), guide(groupingId="a")),
    ("ig-2", "ImplementationGuide.definition.resource[0].fhirVersion", guide(fhirVersion=["3.0.2"]),
     guide(fhirVersion=["4.0.1"])),
    ("sdf-8", "StructureDefinition.snapshot.element[1].path", structure("snapshot", "Patient", "Person.name"),
     structure("snapshot", "Patient", "Patient.name")),
    ("sdf-8", "StructureDefinition.snapshot.element[0].path", structure("snapshot", "Person"),
     structure("snapshot", "Patient")),
    ("sdf-8a", "StructureDefinition.differential.element[0].path", structure("differential", "Person.name"),
     structure("differential", "Patient.name", "Patient.link")),
    ("sdf-8a", "StructureDefinition.differential.element[1].path", structure("differential", "Patient", "x"),
     structure("differential", "Patient.name", "Patient.link")),
    ("txt-2", "Patient.text.div", told("<p> <!-- x -->&#160;</p>"), told('<img src="#a"/>')),
    ("obs-7", "Observation.component[0].code",
     observation(code=code(SCT, "1"), valueString="x", component=[{"code": code(SCT, "1")}]),
     observation(code=code(SCT, "1"), valueString="x", component=[{"code": code(SCT, "2")}])),
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
    # ele-1 is told as FHIR-EMPTY, where `test_fhir_validate.py` has it
    assert {case[0] for case in CASES} == set(KEYS) - {"ele-1"}


# judged in FHIRPath: the key, where it is broken, what breaks it, and what doesn't
NAME = {"resourceType": "Questionnaire", "status": "draft"}
TASK = {"resourceType": "Task", "status": "draft", "intent": "order"}
UCUM = "http://unitsofmeasure.org"


def timed(**repeat: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest", "status": "draft", "intent": "order", "subject": {"display": "x"},
        "occurrenceTiming": {"repeat": repeat},
    }  # fmt: skip


def question(**item: Any) -> dict[str, Any]:
    return {**NAME, "item": [{"linkId": "1", "type": "string", **item}]}


def ranged(low: Any, high: Any) -> dict[str, Any]:
    return observation(valueRange={"low": low, "high": high})


def listed(**more: Any) -> dict[str, Any]:
    return {"resourceType": "List", "status": "current", "mode": "working", **more}


def organized(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Organization", "name": "x", **more}


def aged(**age: Any) -> dict[str, Any]:
    return condition(onsetAge=age)


def dispensed(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "medicationReference": {"display": "x"},
        **more,
    }


def parameter(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "x", **more}]}


def risk(**more: Any) -> dict[str, Any]:
    return {"resourceType": "RiskAssessment", "status": "final", "subject": {"display": "x"}, "prediction": [more]}


def valued(*include: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "status": "draft", "compose": {"include": list(include)}}


ENTRY = {"item": {"display": "x"}}
PERCENT = {"value": 10, "system": UCUM, "code": "%"}
IN_FHIRPATH: list[tuple[str, str, Any, Any]] = [
    ("age-1", "Condition.onsetAge", aged(value=5), aged(value=5, code="a", system=UCUM)),
    ("age-1", "Condition.onsetAge", aged(value=-5, code="a", system=UCUM),
     aged(code="a", system=UCUM, _value={"id": "x"})),
    ("app-4", "Appointment", appointment(start=NOW, end=NOW, cancelationReason={"text": "x"}),
     appointment(status="noshow", cancelationReason={"text": "x"}, start=NOW, end=NOW)
     | {"status": "cancelled"}),
    ("tim-1", "ServiceRequest.occurrenceTiming.repeat", timed(duration=1), timed(duration=1, durationUnit="h")),
    ("tim-4", "ServiceRequest.occurrenceTiming.repeat", timed(duration=-1, durationUnit="h"),
     timed(duration=0, durationUnit="h")),
    ("tim-9", "ServiceRequest.occurrenceTiming.repeat", timed(offset=1, when=["C"]), timed(offset=1, when=["AC"])),
    ("rng-2", "Observation.valueRange", ranged({"value": 2}, {"value": 1}), ranged({"value": 1}, {"value": 2})),
    ("rng-2", "Observation.valueRange", ranged({"value": 2, "unit": "g"}, {"value": 1, "unit": "g"}),
     ranged({"value": 2, "unit": "g"}, {"value": 1, "unit": "kg"})),
    ("obs-3", "Observation.referenceRange[0]", observation(referenceRange=[{"age": {"low": {"value": 1}}}]),
     observation(referenceRange=[{"text": "x"}])),
    ("lst-1", "List", listed(emptyReason={"text": "x"}, entry=[ENTRY]), listed(emptyReason={"text": "x"})),
    ("lst-2", "List", listed(entry=[{**ENTRY, "deleted": True}]),
     listed(mode="changes", entry=[{**ENTRY, "deleted": True}])),
    ("org-2", "Organization.address[1]", organized(address=[{"use": "work"}, {"use": "home"}]),
     organized(address=[{"use": "work"}])),
    ("org-3", "Organization.telecom[0]", organized(telecom=[{"use": "home", "system": "phone"}]),
     organized(telecom=[{"use": "work", "system": "phone"}])),
    ("mdd-1", "MedicationDispense", dispensed(whenPrepared="2026-02-01", whenHandedOver="2026-01-01"),
     dispensed(whenPrepared="2026-02-01", whenHandedOver="2026-02-01T10:00:00Z")),
    ("inv-1", "Task", {**TASK, "authoredOn": "2026-02-01T10:00:00+01:00", "lastModified": "2026-02-01T08:00:00Z"},
     {**TASK, "authoredOn": "2026-02-01T10:00:00+01:00", "lastModified": "2026-02-01T09:00:00Z"}),
    ("inv-1", "Parameters.parameter[0]", parameter(), parameter(valueString="x")),
    ("que-2", "Questionnaire", question(item=[{"linkId": "1", "type": "string"}]),
     question(item=[{"linkId": "2", "type": "string"}])),
    ("que-7", "Questionnaire.item[0].enableWhen[0]",
     question(enableWhen=[{"question": "2", "operator": "exists", "answerString": "x"}]),
     question(enableWhen=[{"question": "2", "operator": "exists", "answerBoolean": True}])),
    ("que-13", "Questionnaire.item[0]", question(initial=[{"valueString": "x"}, {"valueString": "y"}]),
     question(repeats=True, initial=[{"valueString": "x"}, {"valueString": "y"}])),
    ("ras-1", "RiskAssessment.prediction[0].probabilityRange", risk(probabilityRange={"low": {"value": 10}}),
     risk(probabilityRange={"low": PERCENT})),
    ("ras-2", "RiskAssessment.prediction[0]", risk(probabilityDecimal=101), risk(probabilityDecimal=100)),
    ("vsd-9", "ValueSet.expansion.contains[0]",
     {**valued({"system": "urn:x"}), "expansion": {"timestamp": NOW, "contains": [{"display": "x"}]}},
     {**valued({"system": "urn:x"}),
      "expansion": {"timestamp": NOW, "contains": [{"display": "x", "abstract": True}]}}),
    ("vsd-1", "ValueSet.compose.include[0]", valued({"version": "1"}), valued({"system": "urn:x"})),
    ("eld-3", "StructureDefinition.snapshot.element[0].max",
     structure("snapshot", "Patient") | {"snapshot": {"element": [
         {"id": "e", "path": "Patient", "definition": "x", "min": 0, "max": "x",
          "base": {"path": "x", "min": 0, "max": "*"}}]}},
     structure("snapshot", "Patient")),
    ("csd-1", "CodeSystem",
     {"resourceType": "CodeSystem", "status": "draft", "content": "complete",
      "concept": [{"code": "a"}, {"code": "b", "concept": [{"code": "a"}]}]},
     {"resourceType": "CodeSystem", "status": "draft", "content": "complete",
      "concept": [{"code": "a"}, {"code": "b", "concept": [{"code": "c"}]}]}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "place", "wrong", "right"), IN_FHIRPATH, ids=[f"{c[0]} {c[1]}" for c in IN_FHIRPATH])
def test_invariants_in_fhirpath(key: str, place: str, wrong: Any, right: Any) -> None:
    assert (key, place) in [(f.rule, f.expression) for f in fhir.validate(wrong, ELEMENTS)]
    assert fhir.validate(right, ELEMENTS) == ()


def test_advice_is_told_to_who_asks_for_it() -> None:
    named = {**NAME, "name": "not an identifier"}
    assert fhir.validate(named, ELEMENTS) == ()
    (one,) = fhir.validate(named, ELEMENTS, advice=True)
    assert (one.severity, one.rule, one.expression) == ("warning", "que-0", "Questionnaire")
    assert fhir.validate({**NAME, "name": "Named"}, ELEMENTS, advice=True) == ()


def test_every_invariant_of_r4_is_judged_or_listed_with_the_reason() -> None:
    """By hand, in FHIRPath wherever an element states it, or in `invariants-not-judged.csv`: exactly one of them."""
    by_hand = set(KEYS)
    listed_ = {one.key for one in TABLES.invariants.values() if one.reason}
    judged: set[str] = set()
    for path, definition in TABLES.elements.items():
        inline = {"BackboneElement": path, "Element": path}
        codes = [inline.get(one.code, one.code) for one in definition.types if "." in path]
        for below in codes or [(definition.content_reference or path).removeprefix("#")]:
            judged |= {one.key for one in constraints_of(TABLES, path, below)}
    assert by_hand | listed_ | judged == {one.key for one in TABLES.invariants.values()}
    assert not by_hand & listed_
    assert not by_hand & judged
    assert not listed_ & judged


def objects(value: Any, below: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with its type or backbone path."""
    if isinstance(value, list):
        for one in value:
            yield from objects(one, below)
    elif isinstance(value, dict):
        below = value["resourceType"] if below in {"", "Resource"} else below
        yield below, value
        for name, child in value.items():
            member = ELEMENTS.members(below).get(name)
            if member is not None:
                yield from objects(child, member.below)


@pytest.mark.parametrize("case", CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_what_is_judged_by_hand_is_what_the_standard_s_fhirpath_says(case: tuple[str, str, Any, Any]) -> None:
    """For those whose FHIRPath the subset can run."""
    key, _, wrong, right = case
    stated = TABLES.invariants[key, ""]
    unasked = ("%resource", "%rootResource", "%context", "htmlChecks")
    if any(word in stated.fhirpath for word in unasked):
        with pytest.raises(fhirpath.FhirPathError):
            fhirpath.invariant(stated.fhirpath, stated.element, TABLES)
        return
    # what stands with every resource or quantity is written with the first of them
    of = {"Account": "Patient", "Age": "Quantity", "Element.extension": "Extension"}.get(stated.element, stated.element)
    judged = fhirpath.invariant(stated.fhirpath, of, TABLES)
    said = {name: [judged(one) for below, one in objects(doc, "") if below == of]
            for name, doc in (("wrong", wrong), ("right", right))}  # fmt: skip
    assert [False] in said["wrong"]
    assert [False] not in said["right"]


@pytest.mark.parametrize("odd", [None, 1, "x", [], {}, [1], [None], {"coding": 1}])
@pytest.mark.parametrize("member", ["type", "entry", "identifier", "total", "timestamp", "contained", "meta"])
def test_what_is_wrong_otherwise_breaks_nothing(member: str, odd: Any) -> None:
    for name in ("Bundle", "Patient", "Condition", "Appointment"):
        fhir.validate({"resourceType": name, member: odd}, ELEMENTS)
