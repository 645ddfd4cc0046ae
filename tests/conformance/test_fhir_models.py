"""What the gateway itself writes, against models that others wrote (fhir.resources, R4B)."""

from __future__ import annotations

import json

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.patient import Patient

from gateway import fhir, query, specs
from gateway.finding import Finding

TABLES = specs.fhir()
ELEMENTS = fhir.Elements(TABLES)
MERGING = fhir.Merging(ELEMENTS)
PATIENT = {"resourceType": "Patient", "id": "9990000018", "name": [{"use": "official", "family": "Example"}]}


def test_operation_outcomes() -> None:
    for findings in (
        (),
        (Finding("error", "code-invalid", "PID-3 is wrong", "PID-3[1].1", "EC-C1"),),
        tuple(Finding("warning", "business-rule", "x" * 2000) for _ in range(50)),
    ):
        outcome = fhir.operation_outcome(findings, id="f7f8910f", last_updated="2024-02-13T14:49:32.5810000+00:00")
        OperationOutcome.model_validate_json(fhir.dump(outcome))
        assert fhir.validate(outcome, ELEMENTS) == ()


def test_findings_of_every_part_have_issue_types_of_the_standard() -> None:
    codes = TABLES.codes["http://hl7.org/fhir/ValueSet/issue-type"]
    wrong = [("birthdate", "x"), ("_has:a", "x"), ("family:of", "x"), ("family", ""), ("_count", "x"), ("_count", "y")]
    found = query.parse("Patient", wrong, TABLES)
    assert isinstance(found, tuple)
    assert len(found) == len(wrong)
    resource = {"resourceType": "Patient", "x": 1, "gender": "x", "birthDate": "x", "name": [], "link": [{}]}
    faults = (*found, *fhir.validate(resource, ELEMENTS), *fhir.validate({"resourceType": "Group"}, ELEMENTS))
    assert {fault.code for fault in faults} <= codes


def test_bundles() -> None:
    bundles = [
        fhir.searchset(
            [("http://localhost:8000/Patient/9990000018", PATIENT, "match")],
            links={
                "self": "http://localhost:8000/Patient?_id=9990000018",
                "next": "http://localhost:8000/Patient?_page=x",
            },
            total=3,
            id="b1",
            last_updated="2026-01-01T00:00:00Z",
        ),
        fhir.transaction([fhir.entry_put(PATIENT, "1")]),
        fhir.batch([fhir.entry_get("Patient/9990000018")]),
    ]
    for bundle in bundles:
        Bundle.model_validate(json.loads(fhir.dump(bundle)))


def test_a_merged_patient_with_its_marks() -> None:
    draft = fhir.Draft(
        fhir.contributed(PATIENT, organisation="r0d", domain="emergency-care", marks=MERGING.marks, source="urn:uuid:1")
    )
    merged = MERGING.merge(None, draft, told="2026-01-01T10:00:00+00:00").resource
    assert merged is not None
    Patient.model_validate_json(fhir.dump(merged))
    assert fhir.validate(merged, ELEMENTS) == ()
