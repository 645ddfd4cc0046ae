"""The embedded store past HTTP: what `EmbeddedServer` does is what `FhirServer` does over HTTP."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import fhir
from gateway.upstream import FhirServer, TargetDown, connect
from gateway.upstream.store import splice

PATIENT = {"resourceType": "Patient", "id": "p1", "meta": {"source": "urn:uuid:1"}, "gender": "female"}
Work = Callable[[FhirServer], Coroutine[Any, Any, None]]


def run(data: Path, work: Work) -> None:
    async def inside() -> None:
        server = connect("record", "embedded", data=data)
        assert isinstance(server, FhirServer)
        try:
            await work(server)
        finally:
            await server.aclose()

    asyncio.run(inside())


def test_what_is_written_is_read_with_its_version(tmp_path: Path) -> None:
    async def work(server: FhirServer) -> None:
        assert (await server.write([(PATIENT, None)])).status == 200
        found = await server.read_many([("Patient", "p1"), ("Patient", "p2")])
        assert list(found) == [("Patient", "p1")]
        standing = found["Patient", "p1"]
        assert standing.etag == "1"
        assert standing.resource["gender"] == "female"
        over_http = await server.read("Patient", "p1")
        assert fhir.load(over_http.body) == standing.resource

    run(tmp_path, work)


@pytest.mark.parametrize("direct", [True, False])
def test_who_comes_second_is_refused(tmp_path: Path, *, direct: bool) -> None:
    async def work(server: FhirServer) -> None:
        write = server.write if direct else lambda changes: FhirServer.write(server, changes)
        assert (await write([(PATIENT, None)])).status < 300
        again = await write([({**PATIENT, "gender": "male"}, None)])
        assert again.status == 412
        assert b"If-None-Match" in again.body
        assert (await write([({**PATIENT, "gender": "male"}, "2")])).status == 412
        assert (await write([({**PATIENT, "gender": "male"}, "1")])).status < 300
        assert (await server.read_many([("Patient", "p1")]))["Patient", "p1"].etag == "2"

    run(tmp_path, work)


def test_any_number_of_names_is_read(tmp_path: Path) -> None:
    async def work(server: FhirServer) -> None:
        await server.write([({**PATIENT, "id": f"p{number}"}, None) for number in range(1200)])
        names = [("Patient", f"p{number}") for number in range(1300)]
        assert list(await server.read_many([])) == []
        assert set(await server.read_many(names)) == set(names[:1200])

    run(tmp_path, work)


def test_all_or_none_is_written(tmp_path: Path) -> None:
    async def work(server: FhirServer) -> None:
        await server.write([(PATIENT, None)])
        other = {**PATIENT, "id": "p2"}
        assert (await server.write([(other, None), (PATIENT, None)])).status == 412
        assert not await server.read_many([("Patient", "p2")])

    run(tmp_path, work)


def test_a_database_that_can_not_be_used_is_a_target_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database" * 1000)

    async def work(server: FhirServer) -> None:
        with pytest.raises(TargetDown, match="read"):
            await server.read_many([("Patient", "p1")])
        with pytest.raises(TargetDown, match="written"):
            await server.write([(PATIENT, None)])

    run(tmp_path, work)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / "store.db").execute("SELECT * FROM resource")


names = st.text('abcXYZ_é"\\', min_size=1, max_size=6)
values = st.one_of(
    st.text(max_size=8), st.booleans(), st.just(Decimal("72.50")), st.lists(st.text(max_size=3), max_size=2)
)


@given(st.dictionaries(names, values, max_size=4), st.dictionaries(names, values, max_size=3))
def test_content_of_is_content_of_the_text(members: dict[str, Any], meta: dict[str, Any]) -> None:
    resource = {"resourceType": "Basic", "id": "b", "meta": {**meta, "versionId": "9"}, **members}
    raw = fhir.dump(resource)
    cut = splice.content(raw, 0, len(raw), 3)
    head = splice.head("Basic", "b", 1, "2026-01-01T00:00:00.000Z")
    assert fhir.load(head + splice.content_of(resource)) == fhir.load(head + cut)
