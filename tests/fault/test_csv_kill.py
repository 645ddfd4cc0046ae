"""kill -9 in the middle of a file: the next start takes it up where it stopped, and stores each row once."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from gateway.client import GatewayClient, load_credential
from gateway.config import CLIENTS
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, PARTNER, Server, free_port, nhs_numbers, start_gateway

ROWS = 600
WITHIN = 90.0


def written(path: Path) -> tuple[Path, list[str]]:
    numbers = list(islice(nhs_numbers(), ROWS))
    lines = ["ATTENDANCE_ID,PROVIDER,NHS_NUMBER,ARRIVED,DEPARTED"]
    lines += [f"K-{n:05d},R0D,{number},2026-05-12 10:15,2026-05-12 12:00" for n, number in enumerate(numbers)]
    path.write_text("\r\n".join(lines) + "\r\n", "utf-8", newline="")
    return path, numbers


def client(server: Server, principal: str) -> GatewayClient:
    return GatewayClient(server.url, principal, load_credential(server.data / CLIENTS / f"{principal}.json"))


def until(server: Server, address: str, stored: int) -> dict[str, Any]:
    """The receipt once so many rows are stored, or the file is done."""
    last = time.monotonic() + WITHIN
    with client(server, ENGINE) as engine:
        while True:
            state: dict[str, Any] = engine.receipt(address).resource
            if state["state"] != "received" or state["rows"]["stored"] >= stored:
                return state
            assert time.monotonic() < last, state
            time.sleep(0.02)


@pytest.mark.interop
@pytest.mark.xdist_group("process")
def test_a_file_survives_kill_9_and_each_row_is_stored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ROWS_AT_ONCE", "100")
    path, numbers = written(tmp_path / "attendances.csv")
    port = free_port()  # of both, since answers name the public address
    server = start_gateway(tmp_path / "data", port)
    with client(server, ENGINE) as engine:
        reply = engine.send_file(path, domain=DOMAIN, organisation=ORGANISATION)
    assert (reply.status, reply.receipt is not None) == (202, True)
    state = until(server, reply.receipt or "", 60)
    server.kill()
    assert state["state"] == "received", "the file was done before it could be killed"
    assert 0 < state["rows"]["stored"] < ROWS
    again = start_gateway(tmp_path / "data", port)
    try:
        state = until(again, reply.receipt or "", ROWS + 1)
        assert (state["state"], state["rows"]) == ("accepted", {"read": ROWS, "stored": ROWS, "refused": 0})
        with client(again, PARTNER) as partner:
            for number in numbers[::30]:
                found = partner.search("Encounter", [("patient", f"Patient/{number}")], purpose="TREAT").resource
                assert [one["resource"]["meta"]["versionId"] for one in found["entry"]] == ["1"]
        with client(again, ENGINE) as engine:
            repeated = engine.send_file(path, domain=DOMAIN, organisation=ORGANISATION)
            assert (repeated.status, repeated.body) == (202, reply.body)
    finally:
        again.stop()
