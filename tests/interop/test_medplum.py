"""The gateway with Medplum's in-memory server as its record, whose versions are no numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop import example
from tests.interop.medplum.launch import start_medplum
from tests.traffic import Server

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def medplum(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert node
    server = start_medplum(tmp_path_factory.mktemp("medplum"), "opaque")
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def gateway(medplum: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = example.gateway_on(tmp_path_factory.mktemp("on-medplum") / "data", medplum)
    yield server
    server.stop()


def test_the_worked_example(gateway: Server, medplum: str) -> None:
    example.check_admission_and_update(gateway, medplum, counted=False)
    example.check_unchanged_writes_nothing(gateway)
    assert not (gateway.data / "store.db").exists()


def test_pages_by_the_gateways_own_links(gateway: Server, medplum: str) -> None:
    example.check_pages(gateway, medplum)


def test_a_partner_writes(gateway: Server, medplum: str) -> None:
    example.check_writes(gateway, medplum)
