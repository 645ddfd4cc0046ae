"""The gateway with a HAPI FHIR JPA server as its record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop import example
from tests.traffic import Server

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process"), pytest.mark.timeout(1300)]


@pytest.fixture(scope="module")
def gateway(hapi: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = example.gateway_on(tmp_path_factory.mktemp("on-hapi") / "data", hapi.url)
    yield server
    server.stop()


def test_the_worked_example(gateway: Server, hapi: Server) -> None:
    example.check_admission_and_update(gateway, hapi.url)
    example.check_unchanged_writes_nothing(gateway)
    assert not (gateway.data / "store.db").exists()


def test_pages_by_the_gateways_own_links(gateway: Server, hapi: Server) -> None:
    example.check_pages(gateway, hapi.url)
