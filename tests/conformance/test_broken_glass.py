"""Broken glass: each use is a row of the audit of its own, and an AuditEvent for whoever the rules say is told.

Source: `rules-language.md` of the design, meaning 13; https://hl7.org/fhir/R4/auditevent.html;
https://profiles.ihe.net/ITI/BALP/
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from gateway import cli, fhir, loading, specs
from gateway.fhir import Elements
from gateway.finding import refuses
from gateway.interactions import access
from gateway.journal import SqliteJournal
from gateway.journal.model import JournalUnavailable
from tests import rule_sets
from tests.conformance.test_delivery import Clock, until
from tests.conformance.test_facade_writes import ask
from tests.running import NHS_NUMBER, Running, issues, message, running
from tests.traffic import free_port

Json = dict[str, Any]
LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[")
REASON = "unconscious in resus 2"
OFFICE = "folder:privacy-office"
ROUTE = """  on break-glass
  to privacy-office on failure queue for 30 days"""
NAMED = """  on break-glass Patient
  when patient has age under 16 years
  to privacy-office on failure queue for 30 days"""
pytestmark = pytest.mark.usefixtures("stood_on")


def glass(one: Running, address: str = f"/Patient/{NHS_NUMBER}", reason: str = REASON, **headers: str) -> Any:
    return ask(one, "GET", address, None, principal="demo-partner", break_glass_reason=reason, **headers)


def events(one: Running) -> list[Json]:
    files = sorted((one.data / "privacy-office").glob("*.json"))
    return sorted((json.loads(file.read_bytes()) for file in files), key=lambda event: str(event["recorded"]))


def rows(one: Running) -> list[tuple[str, str, str]]:
    with sqlite3.connect(one.data / "journal.db") as journal:
        return journal.execute("SELECT action, what, outcome FROM audit ORDER BY id").fetchall()


def deliveries(one: Running) -> list[tuple[str, str]]:
    with sqlite3.connect(one.data / "journal.db") as journal:
        return journal.execute("SELECT target, state FROM delivery WHERE target = 'privacy-office'").fetchall()


@pytest.fixture
def gateway(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path / "data", decisions, targets={"privacy-office": OFFICE}) as one:
        assert one.send(message()).status_code == 202
        yield one


def test_a_use_is_delivered_as_an_audit_event_that_names_who_why_and_whose_record(gateway: Running) -> None:
    assert glass(gateway, on_behalf_of="dr.quill@example.org").status_code == 200
    until(lambda: len(events(gateway)) == 1)
    (event,) = events(gateway)
    AuditEvent.model_validate(event)
    assert (event["action"], event["outcome"], event["outcomeDesc"]) == ("R", "0", "permit")
    assert [one["code"] for one in event["subtype"]] == ["read", "110127"]
    assert [one["coding"][0]["code"] for one in event["purposeOfEvent"]] == ["BTG", "TREAT"]
    client, _, user = event["agent"]
    assert client["who"]["identifier"]["value"] == "demo-partner"
    assert (user["name"], user["requestor"]) == ("dr.quill@example.org", True)
    patient = next(one for one in event["entity"] if one["type"]["code"] == "1")
    assert patient["what"] == {"reference": f"Patient/{NHS_NUMBER}"}
    details = {one["type"]: one["valueString"] for entity in event["entity"] for one in entity.get("detail", ())}
    assert (details["rule"], details["agreement"]) == ("SR-P1", "DSA-2026-021")
    assert details["break-glass-reason"] == REASON
    assert event["meta"]["profile"] == [
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"
    ]


def test_every_use_is_told_whatever_it_asked_for_and_however_it_ended(gateway: Running) -> None:
    told = {
        f"/Patient?_id={NHS_NUMBER}": 200,
        "/Patient?family=MARLOW": 403,
        "/Patient/9990000026": 404,
        f"/Encounter?patient={NHS_NUMBER}&_include=Encounter:patient": 200,
    }
    for address, status in told.items():
        assert glass(gateway, address).status_code == status
    until(lambda: len(events(gateway)) == len(told))
    came = ["denied", "not-found", "permit", "permit"]
    assert sorted(event["outcomeDesc"] for event in events(gateway)) == came
    assert [row[2] for row in rows(gateway) if row[0] == "break-glass"] == ["permit", "denied", "not-found", "permit"]
    elements = Elements(specs.fhir())
    for event in events(gateway):
        AuditEvent.model_validate(event)
        assert not refuses(fhir.validate(event, elements))


def test_an_event_is_listed_with_what_came_in_and_no_rule_explains_it(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert glass(gateway).status_code == 200

    def told(*arguments: str) -> tuple[str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["gateway", *arguments, "--data", str(gateway.data)])
        with pytest.raises(SystemExit):
            cli.main()
        printed = capsys.readouterr()
        out = printed.out.splitlines(keepends=True)
        # the gateway that runs in this process logs to the same output
        return "".join(line for line in out if not LOGGED.match(line)), printed.err

    (listed,) = json.loads(told("journal", "list", "--type", "AuditEvent", "--format", "json")[0])
    assert (listed["principal"], listed["domain"]) == ("demo-partner", "shared-record")
    said = told("rules", "explain", listed["receipt"], "--rules", "rules")[1]
    assert f"{listed['receipt']} is the gateway's own AuditEvent, which no rule judged" in said


def test_without_broken_glass_nothing_is_told(gateway: Running) -> None:
    assert ask(gateway, "GET", f"/Patient/{NHS_NUMBER}", principal="demo-partner").status_code == 200
    assert glass(gateway, reason="urgent").status_code == 400
    assert gateway.send(message(control_id="C-9"), break_glass_reason=REASON).status_code == 202
    assert deliveries(gateway) == []


def test_a_reason_keeps_no_patients_number_in_the_audit(gateway: Running) -> None:
    assert glass(gateway, reason="collapsed, 999 000 0018 on the wristband").status_code == 200
    (row,) = [what for action, what, _ in rows(gateway) if action == "break-glass"]
    assert "999 000 0018" not in row
    assert NHS_NUMBER not in row
    assert row.startswith("read Patient: collapsed, [")


def test_a_route_on_patients_is_asked_of_whom_was_shown(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(repository / "rules", folder, ignore=shutil.ignore_patterns("*.test.rules", "samples", "examples"))
    policy = (folder / "shared-record.rules").read_text("utf-8")
    assert ROUTE in policy
    (folder / "shared-record.rules").write_text(policy.replace(ROUTE, NAMED), "utf-8")
    loaded = rule_sets.decisions(folder, repository / "specs")
    with running(tmp_path / "data", loaded, targets={"privacy-office": OFFICE}) as one:
        one.send(message())  # of somebody grown up
        child = message(control_id="C-2", nhs_number="9990000026", visit="V-2").replace(b"19800214", b"20150214")
        assert one.send(child).status_code == 202
        assert glass(one, "/Patient/9990000026").status_code == 200
        assert glass(one).status_code == 200
        until(lambda: len(events(one)) == 1)
        assert len(deliveries(one)) == 1


def test_a_route_is_asked_of_what_stands_however_many_entries_of_a_batch_came_before(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller sees no birth date, and the route asks for it."""
    monkeypatch.setattr(access, "MOST_WHOLE", 1)
    folder = tmp_path / "rules"
    shutil.copytree(repository / "rules", folder, ignore=shutil.ignore_patterns("*.test.rules", "samples", "examples"))
    policy = (folder / "shared-record.rules").read_text("utf-8")
    assert "  hide Patient.telecom" in policy
    policy = policy.replace(ROUTE, NAMED).replace(" or (family and birthdate)", "", 1)
    policy = policy.replace("  hide Patient.telecom", "  hide Patient.birthDate, Patient.telecom")
    (folder / "shared-record.rules").write_text(policy, "utf-8")
    loaded = rule_sets.decisions(folder, repository / "specs")
    with running(tmp_path / "data", loaded, targets={"privacy-office": OFFICE}) as one:
        numbers = [NHS_NUMBER, "9990000026", "9990000034"]
        for place, number in enumerate(numbers):
            body = message(control_id=f"C-{place}", nhs_number=number, visit=f"V-{place}")
            child = body.replace(b"19800214", b"20150214")
            assert one.send(child if number == numbers[1] else body).status_code == 202
        reads = [{"request": {"method": "GET", "url": f"Patient/{number}"}} for number in numbers]
        batch = {"resourceType": "Bundle", "type": "batch", "entry": reads}
        told = ask(one, "POST", "/", batch, principal="demo-partner", break_glass_reason=REASON)
        assert [entry["response"]["status"] for entry in told.json()["entry"]] == ["200 OK"] * 3
        assert not any("birthDate" in entry["resource"] for entry in told.json()["entry"])
        until(lambda: len(events(one)) == 1)  # of the child, and of nobody else for want of a birth date
        assert len(deliveries(one)) == 1


def test_the_answer_does_not_wait_and_the_event_waits_until_the_target_is_there(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    clock, port = Clock(), free_port()
    away = {"privacy-office": f"http://127.0.0.1:{port}"}
    with running(tmp_path / "data", decisions, clock=clock, targets=away) as one:
        one.send(message())
        started = time.monotonic()
        assert glass(one).status_code == 200
        assert time.monotonic() - started < 10
        until(lambda: deliveries(one) == [("privacy-office", "queued")])
    with running(tmp_path / "data", decisions, clock=clock, targets={"privacy-office": OFFICE}) as one:
        clock.now += timedelta(hours=1)
        until(lambda: deliveries(one) == [("privacy-office", "delivered")])
        assert len(events(one)) == 1


def test_past_its_time_it_is_a_dead_letter(tmp_path: Path, decisions: loading.Decisions) -> None:
    clock = Clock()
    away = {"privacy-office": f"http://127.0.0.1:{free_port()}"}
    with running(tmp_path / "data", decisions, clock=clock, targets=away) as one:
        one.send(message())
        assert glass(one).status_code == 200
        clock.now += timedelta(days=31)
        until(lambda: deliveries(one) == [("privacy-office", "dead")])


def test_where_the_journal_can_not_be_written_nothing_is_shown(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise JournalUnavailable("the disk is full")

    monkeypatch.setattr(SqliteJournal, "announce", fails)
    answer = glass(gateway)
    assert answer.status_code == 503
    assert "MARLOW" not in answer.text
    assert issues(answer)[0]["details"]["coding"][0]["code"] == "JRN-01"


def test_by_default_it_goes_to_the_embedded_store_where_no_partner_sees_it(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    with running(tmp_path / "data", decisions, targets={}) as one:
        one.send(message())
        assert glass(one).status_code == 200
        until(lambda: deliveries(one) == [("privacy-office", "delivered")])
        assert ask(one, "GET", "/AuditEvent", principal="demo-partner").status_code == 403
    with sqlite3.connect(tmp_path / "data" / "store.db") as store:
        kept = store.execute("SELECT type FROM resource WHERE type = 'AuditEvent'").fetchall()
    assert kept == [("AuditEvent",)]
