"""The store alone, killed while clients write over HTTP: what was answered stands, and the file is whole."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from gateway import query, specs
from gateway.upstream.store.engine import Store
from tests.traffic import free_port, start

WRITERS = 6
CYCLES = 2


class Told:
    """What each resource was told to be, by its id: the version that was acknowledged last, 0 before any."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.deleted: set[str] = set()
        self.asked_to_delete: set[str] = set()


async def load(url: str, cycle: int, told: Told, enough: asyncio.Event) -> None:
    """Create, change and delete until the server is gone."""

    async def write(client: httpx.AsyncClient, writer: int) -> None:
        for number in range(10**6):
            id_ = f"c{cycle}w{writer}n{number}"
            body = {"resourceType": "Patient", "id": id_, "identifier": [{"value": id_}]}
            made = await client.put(f"/Patient/{id_}", json=body)
            assert made.status_code == 201, made.text
            told.versions[id_] = 1
            if number % 3 == 1:
                changed = await client.put(
                    f"/Patient/{id_}", json=body | {"active": True}, headers={"if-match": 'W/"1"'}
                )
                assert changed.status_code == 200, changed.text
                told.versions[id_] = 2
            if number % 3 == 2:
                told.asked_to_delete.add(id_)
                gone = await client.delete(f"/Patient/{id_}")
                assert gone.status_code == 204, gone.text
                told.deleted.add(id_)
            if len(told.versions) >= 60 * (cycle + 1):
                enough.set()

    headers = {"content-type": "application/fhir+json"}
    async with httpx.AsyncClient(base_url=url, trust_env=False, headers=headers, timeout=30) as client:
        ended = await asyncio.gather(*(write(client, writer) for writer in range(WRITERS)), return_exceptions=True)
    for one in ended:
        assert isinstance(one, httpx.TransportError), repr(one)


def check(data: Path, told: Told) -> None:
    connection = sqlite3.connect(data / "store.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()

    async def run() -> None:
        store = Store(data / "store.db", specs.fhir(), lambda: datetime.now(UTC))
        for id_, version in told.versions.items():
            stands = store.standing("Patient", id_)
            assert stands is not None, id_
            assert stands.version >= version
            asked = query.parse("Patient", [("identifier", id_)], specs.fhir(), query.WHOLE)
            assert isinstance(asked, query.Query)
            assert len((await store.search(asked, "")).found) == (0 if stands.deleted else 1), id_
            assert stands.deleted or id_ not in told.deleted
            assert not stands.deleted or id_ in told.asked_to_delete
        await store.aclose()

    asyncio.run(run())


@pytest.mark.interop
@pytest.mark.xdist_group("process")
def test_what_was_answered_outlives_kill_9(tmp_path: Path) -> None:
    told = Told()

    async def cycle(number: int) -> None:
        port = free_port()
        server = start(
            "gateway", "store", "serve", "--port", str(port), "--data", str(tmp_path / "data"), port=port,
            data=tmp_path / "data", ready="/metadata",
        )  # fmt: skip
        enough = asyncio.Event()
        loading = asyncio.create_task(load(server.url, number, told, enough))
        waiting = asyncio.create_task(enough.wait())
        await asyncio.wait({loading, waiting}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.02 * number)
        server.kill()
        waiting.cancel()
        await loading

    for number in range(CYCLES):
        asyncio.run(cycle(number))
        check(tmp_path / "data", told)
    assert len(told.versions) >= 60 * CYCLES
    assert told.deleted
