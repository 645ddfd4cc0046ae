"""Targets that are down, refuse, or come back: `http-interface.md` "Targets", `rules-language.md` point 8."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from gateway import loading
from tests.running import NOW, Running, acknowledged, issues, message, running
from tests.traffic import free_port

UPDATE = {"kind": "ADT^A08", "control_id": "C-2", "name": "MARLOW^EDITHA", "sent": "20261122111500"}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def until(found: Callable[[], bool]) -> None:
    for _ in range(3000):
        if found():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to pass within 60 s")


def state(one: Running, reply_location: str) -> dict[str, str]:
    address = reply_location.removeprefix("http://localhost:8000")
    receipt = one.http.get(address, headers={"Authorization": f"Bearer {one.token('demo-engine')}"}).json()
    return {target["target"]: target["state"] for target in receipt["targets"]}


def test_a_target_that_is_down_is_queued_for_and_delivered_in_order(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    clock = Clock()
    with running(tmp_path / "data", decisions, clock=clock) as one:
        blocked = one.data / "bed-board"
        blocked.write_text("a file where the folder should be")
        first = one.send(message())
        assert (first.status_code, acknowledged(first).code) == (202, "AA")
        assert any("bed-board" in issue["diagnostics"] for issue in issues(first))
        assert state(one, first.headers["location"]) == {"record": "delivered", "bed-board": "queued"}
        blocked.unlink()
        second = one.send(message(**UPDATE))
        assert second.status_code == 202, "the first of the same patient still waits, so this one waits behind it"
        clock.now += timedelta(minutes=10)
        until(lambda: set(state(one, second.headers["location"]).values()) == {"delivered"})
        written = sorted(blocked.glob("*.hl7"), key=lambda file: file.stat().st_mtime_ns)
        assert [b"C-1" in file.read_bytes() for file in written] == [True, False]
        assert one.send(message()).content == first.content


def test_what_can_not_be_delivered_in_the_routes_time_is_dead(tmp_path: Path, decisions: loading.Decisions) -> None:
    clock = Clock()
    with running(tmp_path / "data", decisions, clock=clock) as one:
        (one.data / "bed-board").write_text("a file where the folder should be")
        reply = one.send(message())
        clock.now += timedelta(hours=73)
        until(lambda: state(one, reply.headers["location"])["bed-board"] == "dead")


def test_a_target_that_rejects_makes_it_503_and_takes_no_key(tmp_path: Path, decisions: loading.Decisions) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with running(tmp_path / "data", decisions, targets={"record": nowhere, "bed-board": "folder:bed-board"}) as one:
        reply = one.send(message())
        assert (reply.status_code, acknowledged(reply).code) == (503, "AE")
        assert reply.headers["retry-after"]
        assert not (one.data / "bed-board").exists(), "what the first target rejects is told to no other"
        search = one.search("/Patient?_id=9990000018")
        assert (search.status_code, search.headers["retry-after"]) == (503, "10")
        ready = one.http.get("/_health/ready")
        assert ready.status_code == 503
        assert ready.json()["parts"]["target record"].startswith("down")
    with running(tmp_path / "data", decisions) as one:
        assert acknowledged(one.send(message())).code == "AA"


def test_a_second_telling_merges_and_an_older_one_changes_nothing(gateway: Running) -> None:
    assert gateway.send(message()).status_code == 200
    assert gateway.send(message(**UPDATE)).status_code == 200
    late = gateway.send(message(control_id="C-3", name="MARLOW^OLD", sent="20261122090000"))
    assert acknowledged(late).code == "AA"
    assert any("later message" in issue["diagnostics"] for issue in issues(late))
    patient = gateway.search("/Patient?_id=9990000018").json()["entry"][0]["resource"]
    assert [name["given"] for name in patient["name"]] == [["EDITHA"]]
    assert patient["meta"]["versionId"] == "2"


def test_a_submission_left_in_hand_is_taken_up_at_the_next_start(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path / "data", decisions) as one:
        reply = one.send(message())
        assert reply.status_code == 200
    with sqlite3.connect(tmp_path / "data" / "journal.db") as journal:
        (submission, receipt, key) = journal.execute("SELECT id, receipt, key FROM submission").fetchone()
        journal.execute("DELETE FROM outcome")
        journal.execute("DELETE FROM delivery")
        journal.execute("INSERT INTO in_hand (receipt, submission, key) VALUES (?, ?, ?)", (receipt, submission, key))
    shutil.rmtree(tmp_path / "data" / "bed-board")
    with running(tmp_path / "data", decisions) as one:
        assert state(one, reply.headers["location"]) == {"record": "delivered", "bed-board": "delivered"}
        assert acknowledged(one.send(message())).code == "AA"
        patient = one.search("/Patient?_id=9990000018").json()["entry"][0]["resource"]
        assert patient["meta"]["versionId"] == "1"


def test_a_visit_of_another_patient_is_not_taken_over(gateway: Running) -> None:
    assert gateway.send(message()).status_code == 200
    other = gateway.send(message(control_id="C-9", nhs_number="9990000026", sent="20261122111500"))
    assert (other.status_code, acknowledged(other).code) == (422, "AE")
    assert issues(other)[0]["expression"] == ["Encounter.subject"]
    assert gateway.search("/Encounter?patient=9990000018").json()["total"] == 1
    assert gateway.search("/Patient?_id=9990000026").json()["total"] == 0


def test_what_the_reader_found_travels_back(gateway: Running) -> None:
    reply = gateway.send(message().replace(b"|P|2.4", b"|P|2.4||||||8859/1"), content_type="text/plain; charset=utf-8")
    assert acknowledged(reply).code == "AA"
    assert any(issue.get("expression") == ["MSH-18"] for issue in issues(reply)), reply.text


def test_a_dry_run_meets_the_key_as_the_message_would(gateway: Running) -> None:
    first = gateway.send(message())
    other = gateway.send(message(name="MARLOW^EDITHA"), query="?dry-run=true")
    assert (other.status_code, acknowledged(other).code) == (409, "AR")
    assert acknowledged(gateway.send(message(), query="?dry-run=true")).code == "AA"
    assert gateway.send(message()).content == first.content


def test_refused_rows_of_the_audit_name_their_rules(gateway: Running) -> None:
    gateway.send(message(), organisation_code="rdz")
    gateway.search("/Patient?family=Marlow")
    with sqlite3.connect(gateway.data / "journal.db") as journal:
        rows = journal.execute("SELECT action, rules, outcome FROM audit WHERE action <> 'token'").fetchall()
    assert [(action, outcome) for action, _, outcome in rows] == [("ingest", "denied"), ("search", "denied")]
    assert "EC-P1" in rows[0][1]
    assert "SR-P1" in rows[1][1]


def test_no_redirect_leaves_the_gateway(gateway: Running) -> None:
    answer = gateway.http.get("/Patient/9990000018/", follow_redirects=False, headers={"Host": "evil.example"})
    assert answer.status_code == 404
    assert issues(answer)
