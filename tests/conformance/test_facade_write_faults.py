"""Writes while the record is down, slow or says no: nothing is acknowledged that isn't stored, nothing is sent twice.

Source: `http-interface.md` of the design, "The facade"; `trust.md`, "Journal"
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from tests.answering import Answering, answering
from tests.conformance.test_facade_bundles import bundle, entry
from tests.conformance.test_facade_writes import ask, flag
from tests.running import issues, running

pytestmark = pytest.mark.any_record

Json = dict[str, Any]
NOTHING_STANDS = {"resourceType": "Bundle", "type": "batch-response", "entry": [{"response": {"status": "404"}}]}
REFUSED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x", "diagnostics": "SECRET"}]}


@contextmanager
def record(status: int | None, body: Json) -> Iterator[tuple[str, list[str]]]:
    """A FHIR server where nothing stands, which answers a transaction so; None breaks the connection."""
    asked: list[str] = []

    class Handler(Answering):
        def respond(self, sent: bytes) -> None:
            kind = json.loads(sent)["type"]
            asked.append(kind)
            told, code = (NOTHING_STANDS, 200) if kind == "batch" else (body, status)
            if code is None:
                self.close_connection = True
                return
            self.answer(json.dumps(told).encode(), code)

    with answering(Handler) as address:
        yield address, asked


FAULTS: dict[str, tuple[int | None, Json, int, str, int]] = {
    "the connection breaks": (None, {}, 504, "TGT-02", 1),
    "500": (500, {}, 504, "TGT-02", 1),
    "it refuses": (422, REFUSED, 422, "TGT-03", 1),
    "others are quicker, always": (412, REFUSED, 409, "HTTP-W18", 4),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_record_says_is_told_and_nothing_is_sent_blindly_again(
    tmp_path: Path, decisions: loading.Decisions, name: str
) -> None:
    status, body, told, rule, times = FAULTS[name]
    with (
        record(status, body) as (address, asked),
        running(tmp_path, decisions, targets={"record": address, "bed-board": "folder:bed-board"}) as one,
    ):
        answer = ask(one, "PUT", "/Flag/one", flag(id="one"))
        assert answer.status_code == told, answer.text
        assert issues(answer)[0]["details"]["coding"][0]["code"] == rule
        assert asked.count("transaction") == times
        assert "SECRET" not in answer.text
        assert "etag" not in answer.headers
        assert "127.0.0.1" not in answer.text
        (batched,) = ask(one, "POST", "/", bundle("batch", entry("POST", "Flag", flag()))).json()["entry"]
        assert batched["response"]["status"].startswith(str(told))


def test_a_record_that_is_not_there_is_503_and_nothing_was_sent(tmp_path: Path, decisions: loading.Decisions) -> None:
    address = {"record": "http://127.0.0.1:9", "bed-board": "folder:bed-board"}
    with running(tmp_path, decisions, targets=address) as one:
        for method, path, body in (("POST", "/Flag", flag()), ("PUT", "/Flag/one", flag(id="one"))):
            answer = ask(one, method, path, body)
            assert answer.status_code == 503, answer.text
            assert "retry-after" in answer.headers
        batch = ask(one, "POST", "/", bundle("batch", entry("GET", "Flag/one"), entry("POST", "Flag", flag()))).json()
        assert [each["response"]["status"][:3] for each in batch["entry"]] == ["503", "503"]


def rows(data: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(data / "journal.db") as journal:
        return journal.execute("SELECT action, what, outcome FROM audit ORDER BY id").fetchall()


def test_each_write_has_its_row_in_the_audit_without_ids(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path, decisions) as one:
        ask(one, "PUT", "/Flag/an-id", flag(id="an-id"))
        ask(one, "POST", "/Flag", flag(period=None))
        ask(one, "POST", "/Patient", {"resourceType": "Patient"})
        ask(one, "POST", "/", bundle("batch", entry("PUT", "Flag/an-id", flag(id="an-id")), entry("GET", "Flag/an-id")))
        ask(
            one,
            "POST",
            "/",
            bundle("transaction", entry("POST", "Flag", flag()), entry("POST", "Flag", flag(code=None))),
        )
    found = [row for row in rows(tmp_path) if row[0] not in {"ingest", "token"}]
    assert [(action, what.split()[0], outcome) for action, what, outcome in found] == [
        ("update", "Flag", "permit"), ("create", "Flag", "refused"), ("create", "Patient", "denied"),
        ("update", "Flag", "permit"), ("read", "Flag", "permit"), ("create", "Flag", "refused"),
    ]  # fmt: skip
    assert not any("an-id" in what for _, what, _ in found)


def test_where_the_audit_can_not_be_written_nothing_is_stored(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.journal.group_commit._PATIENCE", 0.2)
    with running(tmp_path, decisions) as one:
        token = one.token("demo-writer")
        assert token
        holder = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            answer = ask(one, "PUT", "/Flag/one", flag(id="one"))
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        assert answer.status_code == 503, answer.text
        assert issues(answer)[0]["details"]["coding"][0]["code"] == "JRN-01"
        assert ask(one, "GET", "/Flag/one").status_code == 404


def test_a_site_may_want_the_version_with_every_update(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path, decisions, versioned_updates=True) as one:
        assert ask(one, "PUT", "/Flag/one", flag(id="one")).status_code == 201
        wanted = ask(one, "PUT", "/Flag/one", flag(id="one"))
        assert wanted.status_code == 428
        assert "W/'1'" in issues(wanted)[0]["diagnostics"]
        assert ask(one, "PUT", "/Flag/one", flag(id="one"), If_Match='W/"1"').status_code == 200
