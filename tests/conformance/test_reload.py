"""Rules that are read again while the gateway runs: all at once or not at all.

Source: `rules-language.md` of the design, meaning 3 and "How it runs"; `http-interface.md`, "Operations"
"""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from gateway import loading
from gateway.interactions.gateway import Gateway
from gateway.interactions.reload import Reload
from tests import rule_sets
from tests.running import NHS_NUMBER, Running, acknowledged, issues, message, running
from tests.traffic import ROOT, start_gateway

MATERNITY = """language 1

domain maternity "Maternity"
  owner "Maternity board"
  contact "maternity-board@example.org"
  acknowledge http-status
  same control id refuse for 7 days

accept Hl7v2 ADT^A01
  versions 2.4 to 2.5.1

permit MA-P1 "Engines send for the organisations they are registered for"
  to ingest
  when caller connects as organisation and caller sends as organisation

check MA-C1 "Nobody is called Marlow"
  on Hl7v2
  for each name in PID-5 where name.1 is present
  require name.1 is not "MARLOW"
  otherwise error business-rule "the family name is Marlow"

route MA-R1 "To the shared record"
  on Hl7v2
  to record on failure reject
"""
WAIT = 30.0


def copied(repository: Path, to: Path) -> Path:
    shutil.copytree(repository / "rules", to, ignore=shutil.ignore_patterns("examples", "*.test.rules"))
    return to


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Path:
    """The shipped rules where a test may change them."""
    return copied(repository, tmp_path / "rules")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    """What every test here begins with."""
    return rule_sets.decisions(copied(repository, tmp_path_factory.mktemp("shipped") / "rules"), repository / "specs")


@pytest.fixture
def one(tmp_path: Path, folder: Path, loaded: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path / "data", loaded, rules=folder) as found:
        yield found


def reload_of(one: Running) -> Reload:
    """What signals and the watch of files go to."""
    return cast("Reload", cast("Any", one.http.app).state.reload)


def reread(one: Running) -> bool:
    portal = one.http.portal
    assert portal is not None
    return portal.call(reload_of(one).reread)


def ready(one: Running) -> dict[str, Any]:
    answer = one.http.get("/_health/ready")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def put(folder: Path, name: str, old: str, new: str) -> None:
    """Change a rule file."""
    text = (folder / name).read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), "utf-8")


def test_a_second_domain_is_there_after_a_reload(one: Running, folder: Path) -> None:
    refused = one.send(message(), source_domain="maternity")
    assert refused.status_code == 400
    before = ready(one)["rulesDigest"]
    (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
    assert reread(one)
    assert ready(one)["rulesDigest"] != before
    found = one.send(message(name="OKAFOR^ADA"), source_domain="maternity")
    assert (found.status_code, acknowledged(found).code) == (200, "AA")
    failed = one.send(message(control_id="C-2"), source_domain="maternity")
    assert failed.status_code == 422
    assert "MA-C1" in str(issues(failed))
    assert "maternity" in one.http.get("/openapi.json").text
    assert 'id="MA-C1"' in one.http.get("/rules").text
    assert one.search(f"/Patient?_id={NHS_NUMBER}").json()["total"] == 1


def test_a_domain_that_is_taken_out_is_gone(one: Running, folder: Path) -> None:
    (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
    assert reread(one)
    (folder / "maternity.rules").unlink()
    assert reread(one)
    assert one.send(message(), source_domain="maternity").status_code == 400
    assert "maternity" not in one.http.get("/openapi.json").text


def test_rules_with_an_error_are_not_taken_and_the_status_says_so(one: Running, folder: Path) -> None:
    before = ready(one)
    assert "rulesNotLoaded" not in before
    # one file is new and right, another is wrong: neither is taken
    (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
    put(folder, "shared-record.rules", "Encounter.serviceProvider in", "Encounter.serviceprovider in")
    assert not reread(one)
    told = ready(one)
    assert told["rulesDigest"] == before["rulesDigest"]
    assert told["status"] == "ready", "a mistake in a file takes no gateway out of service"
    assert told["rulesNotLoaded"]["errors"] == 1
    assert told["rulesNotLoaded"]["first"].startswith("rules/shared-record.rules:")
    assert one.send(message(), source_domain="maternity").status_code == 400
    assert one.send(message()).status_code == 200
    assert one.search(f"/Patient?_id={NHS_NUMBER}").json()["total"] == 1
    put(folder, "shared-record.rules", "Encounter.serviceprovider in", "Encounter.serviceProvider in")
    assert reread(one)
    assert "rulesNotLoaded" not in ready(one)


@pytest.mark.parametrize("spoilt", [b"\xff\xfe\x00", b"language 2\n", b""])
def test_a_file_that_is_no_rule_file_changes_nothing(one: Running, folder: Path, spoilt: bytes) -> None:
    before = ready(one)["rulesDigest"]
    (folder / "emergency-care.rules").write_bytes(spoilt)
    assert not reread(one)
    assert ready(one)["rulesDigest"] == before
    assert one.send(message()).status_code == 200


def test_rules_that_do_not_fit_the_settings_are_not_taken(one: Running, folder: Path) -> None:
    put(folder, "registry.rules", 'target bed-board "Bed board"', 'target ward-board "Ward board"')
    put(folder, "emergency-care.rules", "and to bed-board", "and to ward-board")
    assert not reread(one), "the settings name a target that is gone"
    assert "settings" in ready(one)["rulesNotLoaded"]["first"]
    assert one.send(message()).status_code == 200


def test_a_request_under_way_is_answered_by_the_rules_that_it_began_with(one: Running, folder: Path) -> None:
    state = cast("Any", one.http.app).state
    reached, go_on = threading.Event(), threading.Event()
    gateway: Gateway = state.gateway
    journal = gateway.journal

    class Held:
        """The journal, which waits before the audit of a search is written."""

        def __getattr__(self, name: str) -> Any:
            return getattr(journal, name)

        async def audit(self, row: Any) -> None:
            reached.set()
            await asyncio.to_thread(go_on.wait, WAIT)
            told.append(row.digest)
            await journal.audit(row)

    told: list[str] = []
    assert one.send(message()).status_code == 200
    one.token("demo-partner")  # which the audit tells too
    state.gateway = replace(gateway, journal=cast("Any", Held()))
    before, answers = gateway.rules.digest, []
    asking = threading.Thread(target=lambda: answers.append(one.search(f"/Patient?_id={NHS_NUMBER}")))
    asking.start()
    assert reached.wait(WAIT)
    put(folder, "shared-record.rules", "caller has role gp-viewer and purpose is TREAT", "caller has role commissioner")
    assert reread(one)
    go_on.set()
    asking.join(WAIT)
    assert [answer.status_code for answer in answers] == [200], "it was permitted when it began"
    assert told == [before]
    assert one.search(f"/Patient?_id={NHS_NUMBER}").status_code == 403


def test_requests_go_on_while_rules_are_read(one: Running, folder: Path) -> None:
    one.token("demo-engine")
    (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
    statuses: list[int] = []
    done = threading.Event()

    def send() -> None:
        number = 0
        while not done.is_set() or number < 5:
            number += 1
            statuses.append(one.send(message(control_id=f"R-{number}")).status_code)

    sending = threading.Thread(target=send)
    sending.start()
    for _ in range(3):
        assert reread(one)
    done.set()
    sending.join(WAIT)
    assert len(statuses) >= 5
    assert set(statuses) == {200}


def test_a_changed_file_is_seen_once_it_rests(one: Running, folder: Path) -> None:
    portal = one.http.portal
    assert portal is not None
    reload = reload_of(one)
    rereading = reload.gateway.rereading
    assert rereading is not None
    first = portal.call(rereading.look)
    (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
    assert portal.call(rereading.look) != first


def test_what_changed_while_the_gateway_started_is_read(tmp_path: Path, folder: Path) -> None:
    before = rule_sets.decisions(folder, ROOT / "specs")
    (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
    with running(tmp_path / "data", before, rules=folder, rules_watched=0.05) as one:
        assert tells(one, "maternity")


def tells(one: Running, word: str) -> bool:
    """Whether the document tells of something in the end."""
    seen = threading.Event()
    for _ in range(300):
        if word in one.http.get("/openapi.json").text:
            return True
        seen.wait(0.1)
    return False


def test_files_are_watched_where_the_settings_say_so(tmp_path: Path, folder: Path, loaded: loading.Decisions) -> None:
    with running(tmp_path / "data", loaded, rules=folder, rules_watched=0.05) as one:
        (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
        assert tells(one, "maternity")
        assert one.send(message(name="OKAFOR^ADA"), source_domain="maternity").status_code == 200
        (folder / "maternity.rules").write_text("language 1\nnonsense\n", "utf-8")
        seen = threading.Event()
        for _ in range(300):
            if "rulesNotLoaded" in ready(one):
                break
            seen.wait(0.1)
        assert one.send(message(name="OKAFOR^ADA", control_id="C-3"), source_domain="maternity").status_code == 200


@pytest.mark.xdist_group("reload")
def test_a_process_reads_its_rules_again_at_a_hangup(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_RULES", str(folder))
    monkeypatch.setenv("GATEWAY_RULES_WATCHED", "0")
    server = start_gateway(tmp_path / "data")
    try:
        (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
        server.process.send_signal(signal.SIGHUP)
        seen = threading.Event()
        for _ in range(300):
            page = httpx.get(f"{server.url}/rules", trust_env=False)
            if 'id="MA-C1"' in page.text:
                break
            seen.wait(0.1)
        assert 'id="MA-C1"' in page.text
        assert server.process.poll() is None
    finally:
        server.stop()


def test_a_gateway_at_a_terminal_ends_with_it(tmp_path: Path) -> None:
    terminal, its = pty.openpty()
    server = start_gateway(tmp_path / "data", stdin=its)
    try:
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(timeout=30) == -signal.SIGHUP
    finally:
        server.process.kill()
        os.close(terminal)
        os.close(its)


def test_a_hangup_asks_for_it(one: Running, folder: Path) -> None:
    (folder / "maternity.rules").write_text(MATERNITY, "utf-8")
    portal = one.http.portal
    assert portal is not None
    portal.call(reload_of(one).ask)
    assert tells(one, "maternity")
