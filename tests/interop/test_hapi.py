"""The gateway with a HAPI FHIR JPA server as its record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop import example
from tests.traffic import Server

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process"), pytest.mark.timeout(1300)]


@pytest.fixture(scope="module")
def gateway(hapi: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = example.gateway_on(tmp_path_factory.mktemp("on-hapi") / "data", hapi)
    yield server
    server.stop()


def test_the_worked_example(gateway: Server, hapi: str) -> None:
    example.check_admission_and_update(gateway, hapi)
    example.check_unchanged_writes_nothing(gateway)
    assert not (gateway.data / "store.db").exists()


def test_pages_by_the_gateways_own_links(gateway: Server, hapi: str) -> None:
    example.check_pages(gateway, hapi)


def test_a_partner_writes(gateway: Server, hapi: str) -> None:
    example.check_writes(gateway, hapi)
