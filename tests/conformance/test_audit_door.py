"""What is decided before any rule is asked has its rows in the audit: tokens, receipts, who is turned away.

Source: "Audit" in `trust.md` of the design: every decision, permitted or not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from gateway.journal import SqliteJournal
from gateway.journal.model import JournalUnavailable
from tests.conformance.test_facade_writes import ask
from tests.running import NHS_NUMBER, Running, message, running
from tests.traffic import free_port

Row = tuple[str, str, str, str]


@pytest.fixture
def gateway(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path / "data", decisions) as one:
        one.token("demo-partner")
        one.token("demo-engine")
        yield one


def rows(one: Running) -> list[Row]:
    with sqlite3.connect(one.data / "journal.db") as journal:
        return journal.execute("SELECT action, principal, what, outcome FROM audit ORDER BY id").fetchall()


def newest(one: Running, count: int = 1) -> list[Row]:
    return rows(one)[-count:]


def test_who_got_a_token_and_who_did_not(gateway: Running) -> None:
    assert rows(gateway) == [
        ("token", "demo-partner", "issued", "issued"),
        ("token", "demo-engine", "issued", "issued"),
    ]
    grant = {"grant_type": "client_credentials"}
    assert gateway.http.post("/$ingest/auth", data=grant, auth=("demo-partner", "wrong")).status_code == 401
    assert newest(gateway) == [("token", "unknown", "issued", "invalid_client")]


@pytest.mark.parametrize(
    ("headers", "status", "row"),
    [
        (
            {"Authorization": "Bearer nonsense"}, 401,
            ("authenticate", "unknown", "GET /{type:resource_type}/{id:resource_id} HTTP-A01", "unauthorised"),
        ),
        (
            {"purpose-of-use": "HOPERAT"}, 403,
            ("authenticate", "demo-partner", "GET /{type:resource_type}/{id:resource_id} HTTP-A04", "denied"),
        ),
        (
            {"purpose-of-use": "NONSENSE"}, 400,
            ("authenticate", "demo-partner", "GET /{type:resource_type}/{id:resource_id} HTTP-A03", "unreadable"),
        ),
        (
            {"break-glass-reason": "short"}, 400,
            ("authenticate", "demo-partner", "GET /{type:resource_type}/{id:resource_id} HTTP-A06", "unreadable"),
        ),
    ],
)  # fmt: skip
def test_who_is_turned_away_at_the_door(gateway: Running, headers: dict[str, str], status: int, row: Row) -> None:
    own = {"Authorization": f"Bearer {gateway.token('demo-partner')}", "purpose-of-use": "TREAT"}
    before = len(rows(gateway))
    assert gateway.http.get(f"/Patient/{NHS_NUMBER}", headers={**own, **headers}).status_code == status
    assert rows(gateway)[before:] == [row]


def test_an_engine_without_a_token_is_in_the_audit_and_gets_its_acknowledgement(gateway: Running) -> None:
    answer = gateway.send(message(), Authorization="Bearer nonsense")
    assert answer.status_code == 401
    assert answer.text.startswith("MSH|")
    (action, principal, what, outcome) = newest(gateway)[0]
    assert (action, principal, outcome) == ("authenticate", "unknown", "unauthorised")
    assert what.startswith("POST /$ingest")


def test_a_look_at_a_receipt(gateway: Running) -> None:
    receipt = gateway.send(message()).headers["location"].rpartition("/")[2]
    theirs = {"Authorization": f"Bearer {gateway.token('demo-engine')}"}
    assert gateway.http.get(f"/$ingest/receipts/{receipt}", headers=theirs).status_code == 200
    assert newest(gateway) == [("receipt", "demo-engine", f"receipt {receipt}", "permit")]
    assert gateway.http.get("/$ingest/receipts/9990000018", headers=theirs).status_code == 404
    assert newest(gateway) == [("receipt", "demo-engine", "no receipt of theirs", "not-found")]


def test_what_was_permitted_and_came_to_nothing(tmp_path: Path, decisions: loading.Decisions) -> None:
    down = {"record": f"http://127.0.0.1:{free_port()}"}
    with running(tmp_path / "data", decisions, targets=down) as one:
        answer = ask(one, "GET", f"/Patient/{NHS_NUMBER}", principal="demo-partner")
        assert answer.status_code == 503
        (action, principal, what, outcome) = newest(one)[0]
    assert (action, principal, outcome) == ("request", "demo-partner", "down")
    assert what.endswith("TGT-01")


def test_of_many_that_come_too_fast_one_a_second_is_told(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=2) as one:
        for _ in range(6):
            one.http.get("/Patient/1", headers={"Authorization": "Bearer nonsense"})
        told = [outcome for _, _, _, outcome in rows(one)]
    assert told == ["unauthorised", "unauthorised", "too-many"]


def test_of_one_site_that_has_a_whole_network_one_a_second_is_told(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=2) as one:
        for number in range(6):
            monkeypatch.setattr(one.http._transport, "client", (f"2001:db8:1:2::{number}", 50000))
            one.http.get("/Patient/1", headers={"Authorization": "Bearer nonsense"})
        told = [outcome for _, _, _, outcome in rows(one)]
    assert told == ["unauthorised", "unauthorised", "too-many"]


def test_of_many_that_ask_for_tokens_too_fast_one_a_second_is_told(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=2) as one:
        for _ in range(6):
            one.http.post("/$ingest/auth", data={"no": "grant"})
        told = [outcome for _, _, _, outcome in rows(one)]
    assert told == ["invalid_request", "invalid_request", "slow_down"]


def test_where_the_audit_can_not_be_written_no_token_is_issued_and_a_bad_one_is_refused_as_ever(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise JournalUnavailable("the disk is full")

    monkeypatch.setattr(SqliteJournal, "audit", fails)
    gateway.tokens.clear()
    grant: dict[str, Any] = {"grant_type": "client_credentials"}
    with pytest.raises(AssertionError) as refused:
        gateway.token("demo-partner")
    assert json.loads(str(refused.value).splitlines()[0])["error"] == "temporarily_unavailable"
    assert gateway.http.post("/$ingest/auth", data=grant, auth=("demo-partner", "wrong")).status_code == 401
    answer = gateway.http.get("/Patient/1", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
