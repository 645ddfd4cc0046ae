"""Targets that answer nonsense or refuse: nothing is lost, nothing else is held up, and what is told is true."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from gateway.interactions.target_issues import issues as issues_of
from gateway.upstream import Answer, FolderTarget
from tests import rule_sets
from tests.conformance.test_delivery import UPDATE, Clock, state, until
from tests.running import Running, acknowledged, issues, message, running

REFUSAL = b"MSH|^~\\&|BED|R0D|||20261122||ACK|1|P|2.4\rMSA|AR|C-1|no such ward\r"


@contextmanager
def engine(*answers: tuple[int, bytes]) -> Iterator[str]:
    """An engine that gives the answers in turn, the last for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b'{"issue":null}', b'{"issue":[{"severity":"error","details":null,"expression":5}]}',
     b'{"issue":[{"severity":[1]},7,{"severity":"error","code":{},"expression":[{}]}]}', b"[" * 100_000],
)  # fmt: skip
def test_any_refusal_becomes_findings(body: bytes) -> None:
    found = issues_of("record", Answer(422, {}, body))
    assert found
    assert all(finding.severity == "error" and "record" in finding.diagnostics for finding in found)


def test_a_targets_own_words_are_passed_on() -> None:
    body = {"issue": [
        {"severity": "error", "code": "value", "diagnostics": "no", "expression": ["Patient.name"]},
        {"severity": "warning", "code": "value"},
        {"severity": "fatal", "code": "required", "details": {"text": "missing"}},
    ]}  # fmt: skip
    first, second = issues_of("record", Answer(422, {}, json.dumps(body).encode()))
    assert (first.code, first.diagnostics, first.expression) == ("value", "target record: no", "Patient.name")
    assert second.diagnostics == "target record: missing"


def test_a_second_target_that_refuses_is_told_as_a_warning(tmp_path: Path, decisions: loading.Decisions) -> None:
    with engine((200, REFUSAL)) as address, running(tmp_path, decisions, targets={"bed-board": address}) as one:
        reply = one.send(message())
        assert (reply.status_code, acknowledged(reply).code) == (200, "AA")
        assert any(issue["severity"] == "warning" and "bed-board" in issue["diagnostics"] for issue in issues(reply))
        assert state(one, reply.headers["location"]) == {"record": "delivered", "bed-board": "rejected"}


def test_one_poisoned_item_does_not_end_the_queue(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, delivered, fail = Clock(), FolderTarget.deliver, [True]

    async def poisoned(self: FolderTarget, raw: bytes, receipt: str) -> Answer:
        if fail[0]:
            raise LookupError("a fault of the program")
        return await delivered(self, raw, receipt)

    with running(tmp_path, decisions, clock=clock) as one:
        (one.data / "bed-board").write_text("a file where the folder should be")
        first = one.send(message())
        assert first.status_code == 202
        (one.data / "bed-board").unlink()
        monkeypatch.setattr(FolderTarget, "deliver", poisoned)
        clock.now = clock.now.replace(hour=13)
        with sqlite3.connect(one.data / "journal.db") as journal:
            until(lambda: journal.execute("SELECT max(attempts) FROM delivery").fetchone()[0] >= 1)
        assert one.http.get("/_health/ready").json()["parts"]["queue"] == "ready"
        fail[0] = False
        clock.now = clock.now.replace(hour=14)
        until(lambda: state(one, first.headers["location"])["bed-board"] == "delivered")


def test_a_fault_while_a_message_is_in_hand_is_an_acknowledgement_and_the_next_start_goes_on(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_self: FolderTarget, _raw: bytes, _receipt: str) -> Answer:
        raise LookupError("a fault of the program")

    with running(tmp_path, decisions) as one, monkeypatch.context() as patched:
        patched.setattr(FolderTarget, "deliver", broken)
        reply = one.send(message())
        assert (reply.status_code, acknowledged(reply).code) == (503, "AE")
    with monkeypatch.context() as patched:
        patched.setattr(FolderTarget, "deliver", broken)
        with running(tmp_path, decisions) as one:
            assert one.http.get("/_health/live").status_code == 200
    with running(tmp_path, decisions) as one:
        assert acknowledged(one.send(message())).code == "AA"


def test_what_a_target_took_before_another_was_down_stands_on_the_receipt(tmp_path: Path, repository: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for file in (repository / "rules").glob("*.rules"):
        text = file.read_text("utf-8").replace("to bed-board on failure queue for 72 hours", "to bed-board")
        (rules / file.name).write_text(text, "utf-8")
    with running(tmp_path / "data", rule_sets.decisions(rules, repository / "specs")) as one:
        (one.data / "bed-board").write_text("a file where the folder should be")
        reply = one.send(message())
        assert (reply.status_code, acknowledged(reply).code) == (503, "AE")
        with sqlite3.connect(one.data / "journal.db") as journal:
            assert journal.execute("SELECT target, state FROM delivery").fetchall() == [("record", "delivered")]


def test_an_upstream_that_answers_nonsense_is_down(tmp_path: Path, decisions: loading.Decisions) -> None:
    class Nonsense(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Nonsense)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with running(tmp_path, decisions, targets={"record": f"http://127.0.0.1:{server.server_port}"}) as one:
            assert one.search("/Patient?_id=9990000018").status_code == 503
            assert one.search("/Patient/9990000018").status_code == 503
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("version", ["2.04", "2.+4", "2.4 ", "2.\u0664", "2.5.01", "2", ""])
def test_a_version_is_written_as_hl7_writes_it(gateway: Running, version: str) -> None:
    reply = gateway.send(message(version=version))
    assert (reply.status_code, acknowledged(reply).code) == (400, "AR")


def test_a_blank_that_is_none_in_http_is_part_of_a_value(gateway: Running) -> None:
    headers = {**gateway.headers(), "source-domain": "emergency-care\u00a0"}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    reply = gateway.http.post("/$ingest", content=message(), headers=raw)
    assert (reply.status_code, acknowledged(reply).code) == (400, "AR")
    assert gateway.send(message(), source_domain=" emergency-care ").status_code == 200


def test_what_stands_in_a_type_is_neither_logged_nor_audited(
    gateway: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.send(message(kind="TALLIS^MARIAN 9990000018"))
    assert "TALLIS" not in capsys.readouterr().out
    with sqlite3.connect(gateway.data / "journal.db") as journal:
        assert not [row for (row,) in journal.execute("SELECT what FROM audit") if "TALLIS" in row]


def test_a_control_id_has_an_end(gateway: Running) -> None:
    reply = gateway.send(message(control_id="9" * 200))
    assert (reply.status_code, issues(reply)[0]["expression"]) == (400, ["MSH-10"])


def test_an_older_update_is_no_conflict(gateway: Running) -> None:
    assert gateway.send(message(**UPDATE)).status_code == 200
