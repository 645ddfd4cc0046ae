"""Targets that are down, refuse, or come back: `http-interface.md` "Targets", `rules-language.md` point 8."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from gateway import assemble
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
    for _ in range(100):
        if found():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to pass within 10 s")


def state(one: Running, reply_location: str) -> dict[str, str]:
    address = reply_location.removeprefix("http://localhost:8000")
    receipt = one.http.get(address, headers={"Authorization": f"Bearer {one.token('demo-engine')}"}).json()
    return {target["target"]: target["state"] for target in receipt["targets"]}


def test_a_target_that_is_down_is_queued_for_and_delivered_in_order(
    tmp_path: Path, decisions: assemble.Decisions
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


def test_what_can_not_be_delivered_in_the_routes_time_is_dead(tmp_path: Path, decisions: assemble.Decisions) -> None:
    clock = Clock()
    with running(tmp_path / "data", decisions, clock=clock) as one:
        (one.data / "bed-board").write_text("a file where the folder should be")
        reply = one.send(message())
        clock.now += timedelta(hours=73)
        until(lambda: state(one, reply.headers["location"])["bed-board"] == "dead")


def test_a_target_that_rejects_makes_it_503_and_takes_no_key(tmp_path: Path, decisions: assemble.Decisions) -> None:
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


def test_a_submission_left_in_hand_is_taken_up_at_the_next_start(tmp_path: Path, decisions: assemble.Decisions) -> None:
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
