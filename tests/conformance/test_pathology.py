"""The domain `pathology`, end to end: laboratories send, partners find, and see no more than the rules let them.

Source: issue 4, line 1; the design's pages on conversion (identity, update) and the rules language (points 7 to 11).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from tests.running import Running, acknowledged, issues, running

pytestmark = pytest.mark.any_record

SAMPLES = Path(__file__).parents[2] / "rules" / "samples"
PATHOLOGY = SAMPLES / "pathology"
LATER = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
MARIAN, IDRIS, BERTRAM = "9990000018", "9990001006", "9990001014"

FOUND = {
    "accepted-oru-r01-blood-count": {
        f"DiagnosticReport?patient={MARIAN}&code=http://snomed.info/sct|26604007": 1,
        f"Observation?patient={MARIAN}&code=http://loinc.org|718-7&status=final": 1,
        f"Specimen?patient={MARIAN}": 2,
        f"ServiceRequest?patient={MARIAN}&status=completed": 1,
    },
    "accepted-oru-r01-blood-count-corrected": {
        f"DiagnosticReport?patient={MARIAN}&status=corrected": 1,
        f"Observation?patient={MARIAN}&code=718-7&status=corrected": 1,
    },
    "accepted-oru-r01-microbiology": {
        f"DiagnosticReport?patient={MARIAN}&category=MB&date=2026-05-12": 2,
        f"Observation?patient={MARIAN}&date=ge2026-05-12": 8,
    },
    "accepted-oru-r01-preliminary": {
        f"DiagnosticReport?patient={IDRIS}": 0,
        f"Observation?patient={IDRIS}": 0,
        f"ServiceRequest?patient={IDRIS}": 1,
    },
    "accepted-oml-o21-order": {
        f"ServiceRequest?patient={MARIAN}&status=active": 1,
        f"Specimen?patient={MARIAN}": 1,
    },
    "accepted-orm-o01-order": {
        f"ServiceRequest?patient={BERTRAM}&code=http://loinc.org|1988-5": 1,
        f"Specimen?patient={BERTRAM}": 1,
    },
}
"""How many a partner finds of each sample, sent alone."""

REFUSED = {
    "refused-oru-r01-bad-nhs-number": ("PA-C2", "PID-3[1].1"),
    "refused-oru-r01-nobody": ("PA-C1", "PID-3"),
    "refused-oru-r01-number-is-text": ("PA-C4", "OBX-5[1]"),
    "refused-oru-r01-result-without-state": ("PA-C3", "OBX[3]-11"),
    "refused-oru-r01-received-after-report": ("PA-C6", "OBR-14[1].1"),
    "refused-oml-o21-order-without-number": ("PA-C8", "ORC-2"),
    "refused-oul-r22-type-not-accepted": (None, None),
}
"""The check that refuses each sample, and where."""


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory, decisions: loading.Decisions) -> Iterator[Running]:
    """A gateway that nothing is ever stored in."""
    with running(tmp_path_factory.mktemp("refusing"), decisions, clock=lambda: LATER) as running_one:
        yield running_one


@pytest.fixture
def one(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path / "data", decisions, clock=lambda: LATER) as running_one:
        yield running_one


def send(one: Running, name: str, domain: str = "pathology") -> Any:
    return one.send((SAMPLES / domain / f"{name}.hl7").read_bytes(), source_domain=domain)


def accepted(one: Running, name: str, domain: str = "pathology") -> None:
    reply = send(one, name, domain)
    assert (reply.status_code, acknowledged(reply).code) == (200, "AA"), reply.text


def search(one: Running, query: str) -> list[dict[str, Any]]:
    reply = one.search(query)
    assert reply.status_code == 200, reply.text
    return [entry["resource"] for entry in reply.json().get("entry", ())]


def value(one: Running, code: str) -> dict[str, Any]:
    (found,) = search(one, f"Observation?patient={MARIAN}&code={code}")
    return found


def test_every_sample_is_told_of_here() -> None:
    assert {path.stem for path in PATHOLOGY.glob("*.hl7")} == {*FOUND, *REFUSED}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_what_is_accepted_is_found_by_a_partner(name: str, one: Running) -> None:
    accepted(one, name)
    assert {query: len(search(one, query)) for query in FOUND[name]} == FOUND[name]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_refused_by_its_check_at_its_place(name: str, refusing: Running) -> None:
    reply = send(refusing, name)
    assert 400 <= reply.status_code < 500
    rule, place = REFUSED[name]
    if rule is not None:
        errors = [issue for issue in issues(reply) if issue["severity"] == "error"]
        assert [(issue["expression"], rule in json.dumps(issue)) for issue in errors] == [([place], True)]
    assert search(refusing, f"Observation?patient={MARIAN}") == []


def test_the_same_result_sent_again_or_corrected_is_the_same_resource(one: Running) -> None:
    accepted(one, "accepted-oru-r01-blood-count")
    first = value(one, "718-7")
    assert (first["valueQuantity"]["value"], first["status"]) == (98, "final")
    accepted(one, "accepted-oru-r01-blood-count")
    assert value(one, "718-7") == first, "the same again makes no new version"
    accepted(one, "accepted-oru-r01-blood-count-corrected")
    corrected = value(one, "718-7")
    assert (corrected["id"], corrected["valueQuantity"]["value"], corrected["status"]) == (
        first["id"],
        108,
        "corrected",
    )
    assert corrected["meta"]["versionId"] != first["meta"]["versionId"]
    (report,) = search(one, f"DiagnosticReport?patient={MARIAN}")
    assert report["status"] == "corrected"
    assert len(report["result"]) == 3


def test_an_order_and_its_result_tell_of_one_request_and_one_visit(one: Running) -> None:
    accepted(one, "accepted-a01-admission", "emergency-care")
    (visit,) = search(one, f"Encounter?patient={MARIAN}")
    accepted(one, "accepted-oml-o21-order")
    accepted(one, "accepted-oru-r01-blood-count")
    (request,) = search(one, f"ServiceRequest?patient={MARIAN}")
    assert request["status"] == "completed", "the laboratory tells how far it is"
    assert request["reasonCode"][0]["coding"][0]["code"] == "29857009", "what the ward told stays"
    assert request["encounter"]["reference"] == f"Encounter/{visit['id']}"
    assert search(one, f"Encounter?patient={MARIAN}") == [visit], "a laboratory's word never replaces the ward's"
    (report,) = search(one, f"DiagnosticReport?patient={MARIAN}")
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{request['id']}"}]
    assert {"reference": report["encounter"]["reference"]} == {"reference": f"Encounter/{visit['id']}"}


def test_what_is_not_verified_stays_in_the_laboratory(one: Running) -> None:
    accepted(one, "accepted-oru-r01-preliminary")
    (request,) = search(one, f"ServiceRequest?patient={IDRIS}")
    assert one.search(f"ServiceRequest/{request['id']}").status_code == 200
    assert search(one, f"Observation?patient={IDRIS}&status=preliminary") == []


def test_what_a_view_hides_is_not_shown_and_not_searched_by(one: Running) -> None:
    accepted(one, "accepted-oml-o21-order")
    (request,) = search(one, f"ServiceRequest?patient={MARIAN}")
    assert "note" not in request
    assert {"SUBSETTED"} <= {tag["code"] for tag in request["meta"]["tag"]}


def test_results_are_asked_for_by_patient_and_for_treatment(one: Running) -> None:
    accepted(one, "accepted-oru-r01-blood-count")
    assert one.search("Observation?code=718-7").status_code == 403
    assert one.search(f"Observation?patient={MARIAN}", purpose=None).status_code == 403
    assert one.search(f"Observation?patient={MARIAN}", principal="demo-engine").status_code == 403


def test_a_control_id_that_comes_again_is_no_reason_to_refuse(one: Running) -> None:
    sent = (PATHOLOGY / "accepted-oru-r01-blood-count.hl7").read_bytes()
    assert one.send(sent, source_domain="pathology").status_code == 200
    assert one.send(sent.replace(b"|98|", b"|99|"), source_domain="pathology").status_code == 200
    assert value(one, "718-7")["valueQuantity"]["value"] == 99
