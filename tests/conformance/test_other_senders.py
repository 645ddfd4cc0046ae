"""What one organisation told is not another's to change, in whatever form it is sent.

Source: `conversion.md` of the design, "Update": the sender's own resources are replaced whole; others' are not its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import loading
from tests import rule_sets
from tests.running import NHS_NUMBER, Running, issues, message, running

ENGINE = """
principal other-engine "Engine of another hospital"
  connects as rdz
  sends as rdz
  sends category emergency-care ADT^A01, ADT^A08, Bundle, Encounter, ed-attendances
  roles data-provider
"""
VISIT = {
    "resourceType": "Encounter",
    "status": "cancelled",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMER"},
    "identifier": [{"system": "R0D", "value": "V-1"}],
    "subject": {"reference": f"Patient/{NHS_NUMBER}"},
}
LATER = "20261122111500"


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    folder = tmp_path_factory.mktemp("rules")
    for file in (one for one in (repository / "rules").glob("*.rules") if not one.name.endswith(".test.rules")):
        words = file.read_text("utf-8")
        (folder / file.name).write_text(words + (ENGINE if file.name == "registry.rules" else ""), "utf-8")
    return rule_sets.decisions(folder, repository / "specs")


@pytest.fixture
def gateway(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path / "data", decisions) as one:
        assert one.send(message()).status_code == 200
        yield one


def from_another(gateway: Running, body: bytes, data_type: str) -> Response:
    return gateway.send(
        body, Authorization=f"Bearer {gateway.token('other-engine')}", organisation_code="rdz", data_type=data_type
    )


def visits(gateway: Running) -> list[dict[str, Any]]:
    found = gateway.search(f"/Encounter?patient={NHS_NUMBER}").json()
    return [entry["resource"] for entry in found.get("entry", [])]


TELLINGS = {
    "a message": (message(kind="ADT^A08", control_id="O-1", sent=LATER), "Hl7v2"),
    "a resource": (json.dumps(VISIT).encode(), "Fhir"),
    "a file": (f"ATTENDANCE_ID,PROVIDER,NHS_NUMBER,ARRIVED\nV-1,R0D,{NHS_NUMBER},2026-11-22 11:00\n".encode(), "Csv"),
}


@pytest.mark.parametrize(("body", "data_type"), TELLINGS.values(), ids=TELLINGS)
def test_another_organisation_does_not_change_a_visit(gateway: Running, body: bytes, data_type: str) -> None:
    before = visits(gateway)
    reply = from_another(gateway, body, data_type)
    assert reply.status_code == 422
    assert "DLV-02" in {issue["details"]["coding"][0]["code"] for issue in issues(reply) if "details" in issue}
    assert "R0D" not in "".join(issue["diagnostics"] for issue in issues(reply)), "nobody is told whose it is"
    assert visits(gateway) == before


def test_its_own_sender_changes_it_and_another_may_refer_to_it(gateway: Running) -> None:
    entry = {"resource": VISIT, "request": {"method": "POST", "url": "Encounter", "ifNoneExist": "identifier=R0D|V-1"}}
    referring = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert from_another(gateway, json.dumps(referring).encode(), "Fhir").status_code == 200
    assert [visit["status"] for visit in visits(gateway)] == ["in-progress"]
    assert gateway.send(message(kind="ADT^A03", control_id="C-2", sent=LATER)).status_code == 200
    assert [visit["status"] for visit in visits(gateway)] == ["finished"]
