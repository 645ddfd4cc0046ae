"""`gateway audit who-saw` and `export`: every access to a patient's record, and none to another's.

Source: "Audit" in `trust.md` of the design; https://profiles.ihe.net/ITI/BALP/
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from gateway import cli, fhir, loading, specs
from gateway.fhir import Elements
from gateway.finding import refuses
from tests import rule_sets
from tests.conformance.test_facade_operations import ASYNC, exported
from tests.conformance.test_facade_writes import ask, flag
from tests.running import NHS_NUMBER, Running, message, running
from tests.traffic import ROOT

Json = dict[str, Any]
Told = Callable[..., list[Json]]
OTHER, ROW = "9990000026", "9990000107"
RULES = """
permit T-H1 "GP viewers see former versions"
  to history Patient
  when caller has role gp-viewer and purpose is TREAT
  all rows
permit T-E1 "and all of a patient"
  to operation everything Patient, Encounter
  when caller has role gp-viewer and purpose is TREAT
  all rows
permit T-X1 "and of all patients"
  to operation export Encounter
  when caller has role gp-viewer and purpose is TREAT
  all rows
permit T-C1 "and count visits"
  to count Encounter
  when caller has role gp-viewer
  allowing status
  all rows
permit T-W1 "Keepers have patients of their own"
  to create, search, read Patient
  when caller has role flag-keeper
  asking _id or identifier
  all rows
mask T-M1 "Whose visit it is stays hidden"
  to search, read Encounter
  when purpose is absent
  hide Encounter.subject
permit T-V1 "Viewers without a purpose see visits"
  to search, read Encounter
  when caller has role gp-viewer
  asking _id
  all rows
"""
USER = "dr.quill@example.org"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    folder = tmp_path_factory.mktemp("accessed") / "rules"
    return rule_sets.with_more(folder, repository, {"shared-record.rules": RULES})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, loaded: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("accesses"), loaded) as one:
        for body in (message(), message(control_id="C-2", nhs_number=OTHER, visit="V-2")):
            assert one.send(body).status_code == 200
        yield one


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Run `gateway audit ...` and read the lines that it prints."""

    def run(one: Running, *arguments: str) -> list[Json]:
        capsys.readouterr()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gateway", "audit", *arguments, "--data", str(one.data)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        # the gateway that runs in this process logs to the same output
        return [json.loads(line) for line in printed.out.splitlines() if line.startswith("{")]

    return run


def partner(one: Running, address: str, **headers: str) -> Any:
    return ask(one, "GET", address, None, principal="demo-partner", **headers)


def actions(rows: list[Json]) -> list[str]:
    return [row["did"] for row in rows]


def since(one: Running, told: Told, number: str = NHS_NUMBER, *more: str) -> Callable[[], list[Json]]:
    """What who-saw tells of a patient from now on."""
    before = len(told(one, "who-saw", "--nhs-number", number, "--format", "json", *more))
    return lambda: told(one, "who-saw", "--nhs-number", number, "--format", "json", *more)[before:]


def test_who_sent_is_told_first(gateway: Running, told: Told) -> None:
    row, *_ = told(gateway, "who-saw", "--nhs-number", "999 000 0018", "--format", "json")
    assert (row["did"], row["principal"], row["outcome"]) == ("ingest", "demo-engine", "stored")
    assert row["agreements"] == ["DSA-2026-014"]
    assert row["rules"] == ["EC-P1"]


@pytest.mark.parametrize(
    ("address", "did"),
    [
        (f"/Patient/{NHS_NUMBER}", "read"),
        (f"/Patient?_id={NHS_NUMBER}", "search"),
        (f"/Encounter?patient={NHS_NUMBER}", "search"),
        (f"/Patient/{NHS_NUMBER}/_history", "history"),
        (f"/Patient/{NHS_NUMBER}/_history/1", "history"),
        (f"/Patient/{NHS_NUMBER}/$everything", "operation everything"),
    ],
)
def test_every_way_to_see_a_record_is_told_with_who_and_by_which_rules(
    gateway: Running, told: Told, address: str, did: str
) -> None:
    theirs, others = since(gateway, told), since(gateway, told, OTHER)
    assert partner(gateway, address, on_behalf_of=USER).status_code == 200
    (row,) = theirs()
    assert (row["did"], row["principal"], row["user"], row["purpose"]) == (did, "demo-partner", USER, "TREAT")
    assert row["rules"]
    assert row["request"]
    assert others() == []


def test_an_agreement_is_told_with_the_rule_that_cites_it(gateway: Running, told: Told) -> None:
    theirs = since(gateway, told)
    partner(gateway, f"/Patient/{NHS_NUMBER}")
    (row,) = theirs()
    assert (row["rules"], row["agreements"]) == (["SR-P1"], ["DSA-2026-021"])


def test_what_comes_along_is_told_of_its_patient(gateway: Running, told: Told) -> None:
    theirs, others = since(gateway, told), since(gateway, told, OTHER)
    assert partner(gateway, f"/Encounter?patient={OTHER}&_include=Encounter:patient").status_code == 200
    assert partner(gateway, f"/Patient?_id={NHS_NUMBER}&_revinclude=Encounter:patient").status_code == 200
    assert (len(theirs()), len(others())) == (1, 1)


def test_a_patient_that_is_hidden_from_the_caller_is_not_from_the_audit(gateway: Running, told: Told) -> None:
    found = partner(gateway, f"/Encounter?patient={NHS_NUMBER}").json()["entry"][0]["resource"]["id"]
    theirs = since(gateway, told)
    seen = ask(gateway, "GET", f"/Encounter/{found}", principal="demo-partner", purpose=None)
    assert seen.status_code == 200
    assert "subject" not in seen.json()
    assert actions(theirs()) == ["read"]


def test_an_export_is_told_of_everyone_in_it(gateway: Running, told: Told) -> None:
    theirs, others = since(gateway, told), since(gateway, told, OTHER)
    exported(gateway, "/$export?_type=Encounter")
    assert ASYNC
    assert (actions(theirs()), actions(others())) == (["operation export"], ["operation export"])


def test_a_number_alone_shows_nobody(gateway: Running, told: Told) -> None:
    theirs = since(gateway, told)
    assert partner(gateway, "/Encounter?_summary=count").status_code == 200
    assert theirs() == []


def test_what_came_to_nothing_is_an_attempt(gateway: Running, told: Told) -> None:
    theirs, tried = since(gateway, told), since(gateway, told, NHS_NUMBER, "--attempts")
    denied = ask(gateway, "GET", f"/Patient/{NHS_NUMBER}/_history", principal="demo-writer")
    assert denied.status_code == 403
    absent = partner(gateway, "/Patient/9990000034")
    assert absent.status_code == 404
    assert (theirs(), tried()) == ([], [])
    rows = told(gateway, "who-saw", "--nhs-number", "9990000034", "--attempts", "--format", "json")
    assert [(row["did"], row["outcome"], row["access"]) for row in rows] == [("read", "not-found", False)]


def test_writes_are_told(gateway: Running, told: Told) -> None:
    theirs = since(gateway, told)
    made = ask(gateway, "POST", "/Flag", flag())
    assert made.status_code == 201, made.text
    name = made.json()["id"]
    changed = ask(gateway, "PUT", f"/Flag/{name}", {**made.json(), "code": {"text": "Needs a signer"}})
    assert changed.status_code == 200, changed.text
    assert ask(gateway, "DELETE", f"/Flag/{name}").status_code == 204
    assert actions(theirs()) == ["create", "update", "delete"]


def test_a_patient_under_another_id_is_found_by_its_number(gateway: Running, told: Told) -> None:
    number = "9990000042"
    body = {
        "resourceType": "Patient",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": number}],
        "name": [{"family": "Sorrel"}],
    }
    made = ask(gateway, "POST", "/Patient", body)
    assert made.status_code == 201, made.text
    name = made.json()["id"]
    assert name != number
    assert ask(gateway, "POST", "/Flag", flag(subject={"reference": f"Patient/{name}"})).status_code == 201
    rows = told(gateway, "who-saw", "--nhs-number", number, "--format", "json")
    assert actions(rows) == ["create", "create"]
    assert actions(told(gateway, "who-saw", "--patient", name, "--format", "json")) == ["create", "create"]


def test_the_rows_of_a_file_are_told_of_the_patients_in_them(gateway: Running, told: Told) -> None:
    file = (ROOT / "rules" / "samples" / "emergency-care" / "accepted-ed-attendances.csv").read_bytes()
    sent = gateway.send(file, data_type="Csv")
    assert sent.status_code == 200, sent.text
    (row,) = told(gateway, "who-saw", "--nhs-number", ROW, "--format", "json")
    assert (row["did"], row["outcome"], row["rules"]) == ("ingest", "stored", ["EC-R2"])
    assert "Csv ed-attendances" in row["what"]


def test_a_use_of_broken_glass_is_told_with_its_reason(gateway: Running, told: Told) -> None:
    theirs = since(gateway, told)
    assert partner(gateway, f"/Patient/{NHS_NUMBER}", break_glass_reason="unconscious in resus 2").status_code == 200
    assert [(row["did"], row["what"]) for row in theirs()] == [
        ("read", "Patient"),
        ("break-glass", "read Patient: unconscious in resus 2"),
    ]


def test_nobody_is_named_in_the_clear_in_any_row(gateway: Running, told: Told) -> None:
    everything(gateway, "C-3")
    with sqlite3.connect(gateway.data / "journal.db") as journal:
        rows = journal.execute("SELECT * FROM audit").fetchall()
    said = repr(rows)
    assert len(rows) > 10
    for word in (NHS_NUMBER, OTHER, "MARLOW", "EDITH", "1980-02-14", "19800214"):
        assert word not in said
    assert told(gateway, "who-saw", "--nhs-number", NHS_NUMBER, "--format", "json")


def everything(one: Running, control_id: str) -> None:
    """Some of all that there is."""
    for address in (
        f"/Patient/{NHS_NUMBER}", f"/Patient?_id={NHS_NUMBER}", f"/Encounter?patient={NHS_NUMBER}",
        f"/Patient/{NHS_NUMBER}/_history", f"/Patient/{NHS_NUMBER}/$everything", "/Patient?family=MARLOW",
        "/Patient/9990000034", "/Encounter?_summary=count",
    ):  # fmt: skip
        partner(one, address, on_behalf_of=USER, break_glass_reason="unconscious in resus 2")
    made = ask(one, "POST", "/Flag", flag())
    ask(one, "PUT", f"/Flag/{made.json()['id']}", made.json())
    ask(one, "DELETE", f"/Flag/{made.json()['id']}")
    one.send(message(control_id=control_id, nhs_number="9990000019"))
    one.http.get("/Patient/1", headers={"Authorization": "Bearer nonsense"})


def test_rows_are_exported_with_their_place_in_the_chain(gateway: Running, told: Told) -> None:
    everything(gateway, "C-4")
    rows = told(gateway, "export")
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(re.fullmatch(r"[0-9a-f]{64}", row["mac"]) for row in rows)
    assert {"ingest", "read", "search", "token", "authenticate", "break-glass"} <= {row["action"] for row in rows}
    assert told(gateway, "export", "--since", "2030-01-01") == []


def test_events_are_valid_fhir_and_name_the_profiles_of_balp_that_they_fit(gateway: Running, told: Told) -> None:
    everything(gateway, "C-5")
    events, elements = told(gateway, "export", "--format", "fhir"), Elements(specs.fhir())
    profiles = set()
    for event in events:
        AuditEvent.model_validate(event)
        found = fhir.validate(event, elements)
        assert not refuses(found), found
        profiles |= {name.rpartition(".")[2] for name in event.get("meta", {}).get("profile", ())}
    assert {"PatientRead", "PatientQuery", "PatientCreate", "PatientUpdate", "PatientDelete", "Query"} <= profiles
    assert len({event["id"] for event in events}) == len(events)
    assert events == told(gateway, "export", "--format", "fhir"), "the same row gives the same event"
    refused = [event for event in events if event["outcome"] != "0"]
    assert {event["outcomeDesc"] for event in refused} >= {"denied", "not-found", "unauthorised"}
    assert not any("meta" in event for event in refused)


def test_an_event_of_a_query_names_one_patient_and_what_was_asked_without_values(gateway: Running, told: Told) -> None:
    before = len(told(gateway, "export", "--format", "fhir"))
    partner(gateway, f"/Encounter?patient={NHS_NUMBER},{OTHER}", on_behalf_of=USER)
    events = told(gateway, "export", "--format", "fhir")[before:]
    assert len(events) == 2
    for event in events:
        patients = [one for one in event["entity"] if one["type"]["code"] == "1"]
        (query,) = [one for one in event["entity"] if one.get("role", {}).get("code") == "24"]
        assert len(patients) == 1
        assert re.fullmatch(r"[0-9a-f]{32}", patients[0]["what"]["identifier"]["value"])
        assert query["description"] == "Encounter?patient"
        assert [agent["requestor"] for agent in event["agent"]] == [False, False, True]
