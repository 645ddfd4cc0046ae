"""The worked example of the first issue, through the application with everything real behind it."""

from __future__ import annotations

import sqlite3

import httpx
import pytest

from tests.running import NHS_NUMBER, Running, acknowledged, issues, message

pytestmark = pytest.mark.any_record

BAD = "9990000019"
KINDS = ("Patient", "Encounter", "Provenance")


def stored(gateway: Running) -> int:
    """How many resources the record has; the store makes its file when it is first asked for something."""
    if (record := gateway.settings.targets.get("record")) is not None:
        counted = (httpx.get(f"{record}/{kind}?_summary=count", trust_env=False, timeout=30) for kind in KINDS)
        return sum(int(answer.json()["total"]) for answer in counted)
    file = gateway.data / "store.db"
    if not file.exists():
        return 0
    with sqlite3.connect(file) as store:
        return int(store.execute("SELECT count(*) FROM resource").fetchone()[0])


def test_an_admission_is_stored_and_a_partner_sees_it(gateway: Running) -> None:
    reply = gateway.send(message())
    assert reply.status_code == 200
    assert acknowledged(reply).code == "AA"
    assert acknowledged(reply).control_id == "C-1"
    found = gateway.search(f"/Patient?_id={NHS_NUMBER}")
    assert found.status_code == 200
    bundle = found.json()
    assert bundle["total"] == 1
    patient = bundle["entry"][0]["resource"]
    assert patient["id"] == NHS_NUMBER
    assert patient["name"][0]["family"] == "MARLOW"
    assert patient["birthDate"] == "1980-02-14"
    assert bundle["entry"][0]["fullUrl"] == f"http://localhost:8000/Patient/{NHS_NUMBER}"
    assert "telecom" not in patient


def test_a_bad_check_digit_is_refused_stores_nothing_and_takes_no_key(gateway: Running) -> None:
    refused = gateway.send(message(nhs_number=BAD))
    assert refused.status_code == 422
    assert acknowledged(refused).code == "AE"
    (issue,) = [issue for issue in issues(refused) if issue["severity"] == "error"]
    assert issue["details"]["coding"][0]["code"] == "EC-C1"
    assert issue["expression"] == ["PID-3[1].1"]
    assert BAD in issue["diagnostics"]
    assert stored(gateway) == 0
    corrected = gateway.send(message())
    assert acknowledged(corrected).code == "AA"
    assert gateway.search(f"/Patient?_id={NHS_NUMBER}").json()["total"] == 1


def test_the_same_message_again_gets_its_first_answer_byte_for_byte(gateway: Running) -> None:
    first, again = gateway.send(message()), gateway.send(message())
    assert again.content == first.content
    assert (again.status_code, again.headers["location"]) == (first.status_code, first.headers["location"])


def test_another_body_under_an_accepted_control_id_is_a_conflict(gateway: Running) -> None:
    gateway.send(message())
    other = gateway.send(message(name="MARLOW^EDITHA"))
    assert other.status_code == 409
    assert acknowledged(other).code == "AR"
    assert issues(other)[0]["code"] == "duplicate"
    assert gateway.search(f"/Patient?_id={NHS_NUMBER}").json()["entry"][0]["resource"]["name"][0]["given"] == ["EDITH"]


def test_the_receipt_tells_each_target_to_its_sender_alone(gateway: Running) -> None:
    reply = gateway.send(message())
    address = reply.headers["location"].removeprefix("http://localhost:8000")
    own = gateway.http.get(address, headers={"Authorization": f"Bearer {gateway.token('demo-engine')}"})
    assert own.status_code == 200
    assert own.json()["state"] == "accepted"
    assert {target["target"]: target["state"] for target in own.json()["targets"]} == {
        "record": "delivered",
        "bed-board": "delivered",
    }
    other = gateway.http.get(address, headers={"Authorization": f"Bearer {gateway.token('demo-partner')}"})
    assert other.status_code == 404
    copies = list((gateway.data / "bed-board").glob("*.hl7"))
    assert [copy.read_bytes() for copy in copies] == [message()]


def test_a_dry_run_answers_as_usual_and_stores_only_its_audit_row(gateway: Running) -> None:
    reply = gateway.send(message(), query="?dry-run=true")
    assert (reply.status_code, acknowledged(reply).code) == (200, "AA")
    assert "location" not in reply.headers
    assert stored(gateway) == 0
    with sqlite3.connect(gateway.data / "journal.db") as journal:
        assert journal.execute("SELECT count(*) FROM submission").fetchone() == (0,)
        assert journal.execute("SELECT outcome FROM audit WHERE action <> 'token'").fetchall() == [("dry-run",)]
    assert acknowledged(gateway.send(message(name="OTHER^NAME"))).code == "AA"
