"""The gateway with its record behind HTTP: `gateway store serve`, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.interop import example
from tests.traffic import SAMPLE, Server, admissions, free_port, start

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process")]


@dataclass
class Pair:
    """A gateway and the store behind it."""

    gateway: Server
    store: Server

    def start_store(self) -> None:
        port = int(self.store.url.rsplit(":", 1)[1])
        self.store = start_store(self.store.data, port)


def start_store(data: Path, port: int) -> Server:
    arguments = ("gateway", "store", "serve", "--port", str(port), "--data", str(data))
    return start(*arguments, port=port, data=data, ready="/metadata")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    store = start_store(folder / "store", free_port())
    one = Pair(example.gateway_on(folder / "data", store.url), store)
    yield one
    one.gateway.stop()
    if one.store.process.poll() is None:
        one.store.stop()


def ready(server: Server) -> tuple[int, str]:
    answer = httpx.get(f"{server.url}/_health/ready", trust_env=False, timeout=10)
    return answer.status_code, answer.json()["parts"]["target record"]


def test_the_worked_example(pair: Pair) -> None:
    example.check_admission_and_update(pair.gateway, pair.store.url)
    example.check_unchanged_writes_nothing(pair.gateway)
    assert not (pair.gateway.data / "store.db").exists()


def test_pages_by_the_gateways_own_links(pair: Pair) -> None:
    example.check_pages(pair.gateway, pair.store.url)


def test_a_record_that_is_down_is_told_and_comes_back(pair: Pair) -> None:
    assert ready(pair.gateway) == (200, "ready")
    admitted = example.send(pair.gateway, SAMPLE.read_bytes())
    assert (admitted.status, admitted.code) == (200, "AA")
    ((_, other, _, message),) = admissions(1, 7)

    pair.store.kill()
    refused = example.send(pair.gateway, message)
    assert (refused.status, refused.code) == (503, "AE")
    assert refused.retry_after is not None
    assert "target record is down" in (refused.outcome or "")
    search = example.ask(pair.gateway, "Patient", ("_id", example.NHS_NUMBER))
    assert search.status == 503
    assert search.resource["resourceType"] == "OperationOutcome"
    status, state = ready(pair.gateway)
    assert (status, state.split(":")[0]) == (503, "down")
    for said in (refused.text, search.body.decode(), state):
        assert pair.store.url not in said

    pair.start_store()
    assert ready(pair.gateway) == (200, "ready")
    assert len(example.resources(example.ask(pair.gateway, "Patient", ("_id", example.NHS_NUMBER)))) == 1
    again = example.send(pair.gateway, message)
    assert (again.status, again.code) == (200, "AA")
    assert len(example.resources(example.ask(pair.gateway, "Patient", ("_id", other)))) == 1


def test_a_partner_writes(pair: Pair) -> None:
    example.check_writes(pair.gateway, pair.store.url)
