"""What a principal, an address and a message may cost: each past its bound is refused with words, at once.

Source: issue "Trust", line 6; `rules-language.md` of the design, meaning 13.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from tests.conformance.test_audit_door import rows
from tests.rule_sets import with_more
from tests.running import NHS_NUMBER, NOW, Running, issues, message, running

LONGEST = 10.0
"""CPU that the most hostile message may take, on a machine of any speed. Units: seconds."""
DOMAIN = "emergency-care"
GRANT = {"grant_type": "client_credentials"}
PATIENT = "urn:uuid:0c4b3d0e-9a51-4a2f-8f57-0a4f8d3b7c01"
LOOPS = """
check EC-X1 "Two names agree"
  on Fhir Patient
  require any one in Patient.name satisfies any other in Patient.name satisfies other.family is "nobody"
  otherwise warning business-rule "no name is nobody"
"""
LIMITED = """
principal other-engine "Asks too often"
  connects as r0d
  limit 3 per second
"""


def within_bound(started: float) -> None:
    """Hold the CPU that was taken since `started`; under a tracer (coverage) each line takes several times as much."""
    assert sys.gettrace() is not None or time.process_time() - started < LONGEST


def visit(names: int) -> bytes:
    """A visit of a patient with many names."""
    identifier = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": NHS_NUMBER}
    told = [{"family": f"Invented{number}"} for number in range(names)]
    patient = {"resourceType": "Patient", "identifier": [identifier], "name": told}
    encounter = {
        "resourceType": "Encounter", "identifier": [{"system": "R0D", "value": "V-1"}], "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMER"},
        "subject": {"reference": PATIENT},
    }  # fmt: skip
    entries = [
        {"fullUrl": PATIENT, "resource": patient, "request": {"method": "POST", "url": "Patient"}},
        {"resource": encounter, "request": {"method": "POST", "url": "Encounter"}},
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


@pytest.mark.interop  # rules of its own take seconds to load; `unit/test_language_work.py` has the bound alone
def test_loops_in_loops_are_refused_where_they_would_take_too_long(tmp_path: Path, repository: Path) -> None:
    loaded = with_more(tmp_path / "rules", repository, {f"{DOMAIN}.rules": LOOPS})
    with running(tmp_path / "data", loaded) as one:
        assert one.send(visit(20), data_type="Fhir").status_code == 200
        started = time.process_time()
        reply = one.send(visit(3000), data_type="Fhir")
        assert reply.status_code == 422
        (issue,) = issues(reply)
        assert issue["code"] == "too-costly"
        assert issue["details"]["coding"][0]["code"] == "RUL-01"
        within_bound(started)
        assert one.send(message(control_id="C-3", visit="V-3")).status_code == 200


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(b"~1^^^X^Y" * 100_000, id="a hundred thousand repetitions"),
        pytest.param(b"|~~~~~~" * 20_000, id="empty repetitions"),
    ],
)
def test_a_message_of_too_many_repetitions_is_refused(gateway: Running, more: bytes) -> None:
    started = time.process_time()
    reply = gateway.send(message().replace(b"^^^R0D^MR", b"^^^R0D^MR" + more))
    assert reply.status_code == 400
    (issue,) = issues(reply)
    assert issue["details"]["coding"][0]["code"] == "HL7-A05"
    assert "20000" in issue["diagnostics"]
    within_bound(started)


@pytest.mark.parametrize("segment", [b"NTE|1\r", b"ZZZ|1\r"])
def test_a_message_of_too_many_segments_is_refused(gateway: Running, segment: bytes) -> None:
    started = time.process_time()
    reply = gateway.send(message() + segment * 100_000)
    assert reply.status_code == 400
    assert {issue["details"]["coding"][0]["code"] for issue in issues(reply)} & {"HL7-A05"}
    within_bound(started)


def test_a_message_just_below_the_bound_is_judged(gateway: Running) -> None:
    assert gateway.send(message() + b"NTE|1|x\r" * 5_000).status_code == 200


def test_a_long_field_is_no_repetition(gateway: Running) -> None:
    assert gateway.send(message(name="E" * 2_000_000)).status_code in {200, 422}


@pytest.mark.interop  # as above; `unit/test_rates.py` has the count alone
def test_a_principal_that_asks_too_often_is_refused_and_another_is_not(tmp_path: Path, repository: Path) -> None:
    loaded = with_more(tmp_path / "rules", repository, {"registry.rules": LIMITED})
    now = NOW
    with running(tmp_path / "data", loaded, clock=lambda: now) as one:
        answers = [one.search("/Patient?_id=1", purpose=None, principal="other-engine") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [403, 403, 403, 429, 429]
        assert answers[-1].headers["retry-after"] == "1"
        assert answers[-1].json()["issue"][0]["details"]["coding"][0]["code"] == "HTTP-L01"
        assert one.search("/Patient?_id=9990000018").status_code == 200
        now = NOW + timedelta(seconds=1)
        assert one.search("/Patient?_id=1", purpose=None, principal="other-engine").status_code == 403


def test_an_address_that_keeps_failing_waits_and_a_good_token_from_it_passes(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=5) as one:
        good = one.token("demo-partner")
        for _ in range(5):
            refused = one.http.get("/Patient?_id=1", headers={"Authorization": "Bearer nonsense"})
            assert refused.status_code == 401
        waits = one.http.get("/Patient?_id=1", headers={"Authorization": "Bearer nonsense"})
        assert waits.status_code == 429
        assert int(waits.headers["retry-after"]) >= 1
        assert waits.json()["issue"][0]["details"]["coding"][0]["code"] == "HTTP-L03"
        passes = one.http.get("/Patient?_id=1", headers={"Authorization": f"Bearer {good}"})
        assert passes.status_code not in {401, 429}
        assert one.http.get("/_health/live").status_code == 200
        assert asked(one, "nobody") == (401, "invalid_client"), "tokens are counted apart"


def asked(one: Running, client: str, secret: str = "wrong", **form: str) -> tuple[int, str | None]:
    reply = one.http.post("/$ingest/auth", data=form or GRANT, auth=(client, secret))
    return reply.status_code, reply.json().get("error")


def test_who_gets_no_token_waits_and_others_at_its_address_do_not(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=5) as one:
        for number in range(5):
            assert asked(one, f"nobody-{number}") == (401, "invalid_client")
        assert asked(one, "nobody-6") == (429, "slow_down")
        assert one.token("demo-partner"), "a good secret passes"


def test_a_secret_that_was_tried_too_often_waits_before_it_is_looked_at(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=5) as one:
        for number in range(9):  # tries count though the address waits already
            asked(one, "nobody" if number < 4 else "demo-partner")
        looked: list[object] = []

        def matches(_enrolled: object, offered: str) -> bool:
            looked.append(offered)
            return False

        monkeypatch.setattr("gateway.identity.secret.matches", matches)
        assert asked(one, "demo-partner") == (429, "slow_down")
        assert not looked
        asked(one, "demo-engine")
        assert looked


def test_a_site_that_has_a_whole_network_waits_as_one(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=5) as one:

        def comes_from(address: str) -> None:
            monkeypatch.setattr(one.http._transport, "client", (address, 50000))

        for number in range(5):
            comes_from(f"2001:db8:1:2::{number}")
            assert asked(one, f"nobody-{number}") == (401, "invalid_client")
        for number in range(6, 9):
            comes_from(f"2001:db8:1:2::{number}")
            assert asked(one, "nobody") == (429, "slow_down")
        comes_from("2001:db8:1:3::1")
        assert asked(one, "nobody") == (401, "invalid_client")
        told = [outcome for _, _, _, outcome in rows(one)]
        assert told.count("slow_down") == 1, "one a second"


def test_one_address_has_a_part_of_the_connections_in_token_requests_and_no_more(
    tmp_path: Path, decisions: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "data", decisions, connections=8) as one:
        issuer = one.http.app.state.gateway.issuer  # type: ignore[attr-defined]  # the application's own
        begun, go_on = threading.Semaphore(0), threading.Event()
        judged = issuer.token

        async def slow(*given: Any, **named: Any) -> Any:
            begun.release()
            await asyncio.to_thread(go_on.wait, LONGEST)
            return await judged(*given, **named)

        monkeypatch.setattr(issuer, "token", slow)
        with ThreadPoolExecutor(2) as threads:
            held = [threads.submit(asked, one, "nobody") for _ in range(2)]
            for _ in held:
                assert begun.acquire(timeout=LONGEST)
            assert asked(one, "nobody") == (429, "slow_down")
            go_on.set()
            assert [each.result(LONGEST) for each in held] == [(401, "invalid_client")] * 2
        assert asked(one, "nobody") == (401, "invalid_client")


def test_requests_that_are_no_token_requests_count_too(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=2) as one:
        answers = [one.http.post("/$ingest/auth", data={"no": "grant"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [400, 400, 429, 429]
        assert answers[-1].json()["error"] == "slow_down"
        assert int(answers[-1].headers["retry-after"]) >= 1
    with running(tmp_path / "larger", decisions, failures_a_minute=2) as one:
        large = {"grant_type": "x" * 100_000}
        assert [one.http.post("/$ingest/auth", data=large).status_code for _ in range(3)] == [413, 413, 429]


def test_a_message_from_an_address_that_waits_gets_an_acknowledgement(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    with running(tmp_path / "data", decisions, failures_a_minute=1) as one:
        one.token("demo-engine")
        assert one.send(message(), Authorization="Bearer nonsense").status_code == 401
        reply = one.send(message(), Authorization="Bearer nonsense")
        assert reply.status_code == 429
        assert reply.text.startswith("MSH|")
        assert "\rMSA|AR|" in reply.text
