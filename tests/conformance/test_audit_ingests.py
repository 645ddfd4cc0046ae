"""What the audit and the journal keep of a submission's patients: never in the clear, and never nobody.

Source: "Audit" in `trust.md` of the design.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from gateway.interactions.gateway import hash_of
from gateway.upstream import Answer, NotAsked, TargetDown
from gateway.upstream.embedded_server import EmbeddedServer
from tests import rule_sets
from tests.running import NHS_NUMBER, Running, issues, message, running
from tests.traffic import ROOT, free_port

FILE = (ROOT / "rules" / "samples" / "emergency-care" / "accepted-ed-attendances.csv").read_bytes()
IN_FILE = "9990000107"
TWO_TARGETS = "  on Csv, Fhir\n  to record\n  and to privacy-office"
WAITS = "earlier messages with the same order key are waiting for it"


def rows(one: Running, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(one.data / "journal.db")) as journal:
        return journal.execute(statement).fetchall()


def ingests(one: Running, nhs_number: str = NHS_NUMBER) -> list[tuple[str, str, bool]]:
    """Outcome and subject of the audit's rows about submissions, and whether they tell of the patient."""
    hashed = hash_of((one.data / "keys" / "hash.key").read_bytes(), f"Patient/{nhs_number}")
    found = rows(one, "SELECT outcome, what, detail FROM audit WHERE action = 'ingest' ORDER BY id")
    return [(outcome, what, hashed in json.loads(detail).get("patients", ())) for outcome, what, detail in found]


def with_routes(folder: Path, repository: Path, old: str, new: str, more: str = "") -> loading.Decisions:
    """The shipped rules with something else said once in a file."""
    rule_sets.with_more(folder, repository, {})
    path = folder / "emergency-care.rules"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new) + more, "utf-8")
    return rule_sets.decisions(folder, repository / "specs")


def block(one: Running) -> None:
    (one.data / "bed-board").write_text("a file where the folder should be")


# --- what is left after a refusal, and what is told again ----------------------------------------------------------


def test_a_refusal_after_one_target_took_it_tells_of_whom_that_was(tmp_path: Path, repository: Path) -> None:
    loaded = with_routes(
        tmp_path / "rules", repository, "and to bed-board on failure queue for 72 hours", "and to bed-board"
    )
    with running(tmp_path / "data", loaded, targets={"record": "embedded"}) as one:  # there is no bed board
        assert one.send(message()).status_code == 503
        assert one.search(f"/Patient?_id={NHS_NUMBER}").json()["total"] == 1
        assert [(outcome, told) for outcome, _, told in ingests(one)] == [("unknown", True)]


@pytest.mark.parametrize(
    ("step", "fault", "outcome"),
    [
        ("write", TargetDown("record", "the connection broke"), "unknown"),
        ("write", TimeoutError(), "unknown"),
        ("write", NotAsked("record", "left alone"), "down"),
        ("read_many", TargetDown("record", "the connection broke"), "down"),
    ],
)
@pytest.mark.parametrize("sent", [(message(), "Hl7v2", NHS_NUMBER), (FILE, "Csv", IN_FILE)], ids=["one", "file"])
def test_a_refusal_says_whether_the_target_may_have_taken_it(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch, step: str, fault: Exception,
    outcome: str, sent: tuple[bytes, str, str],
) -> None:  # fmt: skip
    body, data_type, nhs_number = sent

    async def fails(*_: object) -> None:
        raise fault

    with running(tmp_path / "data", decisions) as one:
        monkeypatch.setattr(EmbeddedServer, step, fails)
        assert one.send(body, data_type=data_type).status_code == 503
        assert [(found, told) for found, _, told in ingests(one, nhs_number)] == [(outcome, True)]


def test_a_file_that_one_target_took_tells_of_whom_it_was(tmp_path: Path, repository: Path) -> None:
    loaded = with_routes(tmp_path / "rules", repository, "  on Csv, Fhir\n  to record", TWO_TARGETS)
    nowhere = f"http://127.0.0.1:{free_port()}"
    with running(tmp_path / "data", loaded, targets={"record": "embedded", "privacy-office": nowhere}) as one:
        assert one.send(FILE, data_type="Csv").status_code == 503
        assert one.search(f"/Patient?_id={IN_FILE}").json()["total"] == 1
        assert [(outcome, told) for outcome, _, told in ingests(one, IN_FILE)] == [("unknown", True)]
        assert rows(one, "SELECT target, state FROM delivery") == [("record", "delivered")]


def test_so_does_one_that_a_target_refuses(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object) -> Answer:
        return Answer(422, {}, b"")

    with running(tmp_path / "data", decisions) as one:
        monkeypatch.setattr(EmbeddedServer, "write", refuses)
        assert one.send(FILE, data_type="Csv").status_code == 422
        assert [(outcome, told) for outcome, _, told in ingests(one, IN_FILE)] == [("failed", True)]


def test_an_answer_that_is_told_again_has_a_row_of_its_own(gateway: Running) -> None:
    first = gateway.send(message())
    assert gateway.send(message()).content == first.content
    (stored, what, _), (repeat, again, _) = ingests(gateway)
    assert (stored, repeat) == ("stored", "repeat")
    assert again == what, "it names the receipt that was told"


def test_so_has_that_of_a_file(gateway: Running) -> None:
    first = gateway.send(FILE, data_type="Csv")
    assert gateway.send(FILE, data_type="Csv").content == first.content
    (_, what, _), (repeat, again, _) = ingests(gateway)[-2:]
    assert repeat == "repeat"
    assert again == what


# --- the key of an order -------------------------------------------------------------------------------------------


def test_an_order_key_is_kept_as_a_hash_and_only_of_what_waits(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path / "data", decisions) as one:
        block(one)
        assert one.send(message()).status_code == 202
        assert one.send(message(control_id="C-2")).status_code == 202
        found = rows(one, "SELECT target, state, order_key FROM delivery ORDER BY id")
    taken, key = ("record", "delivered", None), found[1][2]
    assert re.fullmatch(r"[0-9a-f]{32}", key)
    waits = ("bed-board", "queued", key)
    assert found == [taken, waits, taken, waits]


def test_rows_of_a_file_wait_behind_messages_of_the_same_order_key(tmp_path: Path, repository: Path) -> None:
    more = """
route EC-R9 "Files go in order too"
  on Csv
  to record
  in order of row.NHS_NUMBER
  on failure reject
"""
    queue, reject = (
        "  in order of PID-3.1\n  on failure queue for 72 hours",
        "  in order of PID-3.1\n  on failure reject",
    )
    folder = tmp_path / "rules"
    with_routes(folder, repository, reject, queue, more)
    path = folder / "emergency-care.rules"
    text = path.read_text("utf-8")
    assert text.count("  on Csv, Fhir\n  to record") == 1
    path.write_text(text.replace("  on Csv, Fhir\n  to record", "  on Fhir\n  to record"), "utf-8")
    loaded = rule_sets.decisions(folder, repository / "specs")
    with running(tmp_path / "data", loaded, targets={"record": f"http://127.0.0.1:{free_port()}"}) as one:
        assert one.send(message(nhs_number=IN_FILE)).status_code == 202
        reply = one.send(FILE, data_type="Csv")
        assert reply.status_code == 503
        assert any(WAITS in issue["diagnostics"] for issue in issues(reply))
