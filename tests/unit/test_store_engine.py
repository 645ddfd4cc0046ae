"""The store's file: opened, locked, broken, killed; and what it does with several clients at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import fhir, specs
from gateway.query import WHOLE, Query, parse
from gateway.upstream import store
from gateway.upstream.embedded import Embedded
from gateway.upstream.store import splice
from gateway.upstream.store.engine import Change, Store
from gateway.upstream.store.extraction import Extractor, Rows
from gateway.upstream.store.frames import Text
from gateway.upstream.store.schema import StoreError
from gateway.upstream.store.versions import Draft

JSON = {"content-type": "application/fhir+json"}


def now() -> datetime:
    return datetime.now(UTC)


def client_of(path: Path) -> httpx.AsyncClient:
    app = store.app(path, trusted=True)
    return httpx.AsyncClient(transport=Embedded(app, app.aclose), base_url="http://store", headers=JSON)


def test_a_file_that_is_no_database_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"something else, longer than a header" * 100)
    with pytest.raises(StoreError, match=r"store\.db can't be used"):
        Store(tmp_path / "store.db", specs.fhir(), now)


def test_a_file_of_a_later_version_is_refused_with_words(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match=r"has version 99 .* knows 3"):
        Store(tmp_path / "store.db", specs.fhir(), now)


def test_a_folder_that_can_not_be_made_answers_503(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def run() -> None:
        async with client_of(tmp_path / "file" / "store.db") as client:
            answer = await client.get("/Patient/a")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert str(tmp_path) not in answer.text

    asyncio.run(run())


def test_a_fault_of_the_program_answers_500_without_a_trace_and_is_raised(tmp_path: Path) -> None:
    class BrokenClock(Exception):  # noqa: N818 - a test's own
        pass

    calls = []

    def clock() -> datetime:
        calls.append(1)
        if len(calls) == 1:
            raise BrokenClock("secret words")
        return now()

    async def run() -> None:
        app = store.app(tmp_path / "store.db", clock=clock)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://store", headers=JSON) as client:
            answer = await client.put("/Patient/a", json={"resourceType": "Patient", "id": "a"})
            assert (answer.status_code, answer.json()["issue"][0]["code"]) == (500, "exception")
            assert "secret" not in answer.text
            again = await client.put("/Patient/a", json={"resourceType": "Patient", "id": "a"})
            assert again.status_code == 201
        await app.aclose()
        await app.aclose()

    asyncio.run(run())


def test_a_body_past_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.store.asgi.BODY_LIMIT", 100)

    async def run() -> None:
        async with client_of(tmp_path / "store.db") as client:
            assert (await client.post("/Patient", content=b" " * 101)).status_code == 413

    asyncio.run(run())


def test_a_clock_that_is_set_back_makes_no_version_look_older(tmp_path: Path) -> None:
    times = iter([datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)])

    async def run() -> None:
        app = store.app(tmp_path / "store.db", clock=lambda: next(times))
        async with httpx.AsyncClient(
            transport=Embedded(app, app.aclose), base_url="http://store", headers=JSON
        ) as client:
            for gender in ("male", "female"):
                answer = await client.put("/Patient/a", json={"resourceType": "Patient", "id": "a", "gender": gender})
                assert answer.json()["meta"]["lastUpdated"] == "2024-01-02T00:00:00.000Z"

    asyncio.run(run())


def test_of_writers_that_race_with_one_version_one_wins(tmp_path: Path) -> None:
    async def run() -> None:
        async with client_of(tmp_path / "store.db") as client:
            await client.put("/Basic/a", json={"resourceType": "Basic", "id": "a"})

            async def write(number: int) -> int:
                resource = {"resourceType": "Basic", "id": "a", "created": f"20{number:02}"}
                return (await client.put("/Basic/a", json=resource, headers=JSON | {"if-match": 'W/"1"'})).status_code

            assert sorted(await asyncio.gather(*(write(n) for n in range(20)))) == [200] + [412] * 19

    asyncio.run(run())


def test_of_conditional_creates_that_race_one_creates(tmp_path: Path) -> None:
    async def run() -> None:
        async with client_of(tmp_path / "store.db") as client:
            resource = {"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": "1"}]}
            condition = JSON | {"if-none-exist": "identifier=urn:s|1"}
            answers = await asyncio.gather(
                *(client.post("/Patient", json=resource, headers=condition) for _ in range(20))
            )
            assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]

    asyncio.run(run())


def test_a_refused_write_leaves_no_system_behind_that_others_count_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with client_of(tmp_path / "store.db") as client:
            patient = {"resourceType": "Patient", "id": "a", "identifier": [{"system": "urn:new", "value": "1"}]}
            bad = {"resourceType": "Observation", "id": "b", "valueQuantity": {"value": 1, "unit": "\ud800"}}
            entries = [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
                       for r in (patient, bad)]  # fmt: skip
            bundle = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
            with pytest.raises(UnicodeEncodeError):
                await client.post("/", content=bundle)
            assert (await client.get("/Patient/a")).status_code == 404
            assert (await client.put("/Patient/a", json=patient)).status_code == 201
            assert (await client.get("/Patient?identifier=urn:new|1")).json()["total"] == 1

    asyncio.run(run())


def test_works_of_one_group_see_each_other_and_one_that_fails_half_way_leaves_no_row_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = specs.fhir()

    def change(id_: str, *, etag: str | None = None, **members: object) -> Change:
        resource = {"resourceType": "Patient", "id": id_, **members}
        return Change("PUT", Draft("Patient", resource, splice.content_of(resource)), id_, if_match=etag)

    def criteria(text: str) -> Query:
        found = parse("Patient", [("gender", text)], tables, WHOLE)
        assert isinstance(found, Query)
        return found

    async def run() -> None:
        store = Store(tmp_path / "store.db", tables, now)
        rows = Extractor.rows

        def failing(extractor: Extractor, resource: Mapping[str, Any]) -> Rows:
            if resource["id"] == "bad":
                raise LookupError("no rows of this one")
            return rows(extractor, resource)

        monkeypatch.setattr(Extractor, "rows", failing)
        created = change("new", gender="other").draft
        found = await asyncio.gather(
            store.write([change("a", gender="male")], ""),
            store.write([change("half", gender="unknown"), change("bad")], ""),
            store.write([change("a", etag='W/"1"', gender="female")], ""),
            store.write([change("b", gender="male")], ""),
            # it finds b, of a work before it in the same group
            store.write([Change("POST", created, criteria=criteria("male"))], ""),
            return_exceptions=True,
        )
        assert isinstance(found[1], LookupError)
        first, _, second, other, there = found
        assert isinstance(first, list)
        assert isinstance(second, list)
        assert isinstance(other, list)
        assert isinstance(there, list)
        assert [one.version.version for one in (*first, *second, *other) if one.version] == [1, 2, 1]
        assert [(one.status, one.version.id) for one in there if one.version] == [(200, "b")]
        assert [one.id for one in (await store.search(criteria("male"), "")).found] == ["b"]
        assert [one.id for one in (await store.search(criteria("female"), "")).found] == ["a"]
        assert store.standing("Patient", "half") is None
        assert not (await store.search(criteria("unknown"), "")).found
        await store.aclose()

    asyncio.run(run())


def test_a_decimal_that_is_told_more_exactly_is_a_new_version_however_it_was_handed_over(tmp_path: Path) -> None:
    def weight(value: str) -> Text:
        resource = {"resourceType": "Observation", "id": "w", "status": "final", "code": {"text": "weight"}}
        told = {**resource, "valueQuantity": {"value": Decimal(value), "unit": "kg"}}
        return Text("Observation", "w", None if value == "72.5" else "1", fhir.dump(told))

    async def run() -> None:
        app = store.app(tmp_path / "store.db", trusted=True)
        (first,) = await app.hand_over([weight("72.5")])
        (second,) = await app.hand_over([weight("72.50")])
        turned = fhir.dump(dict(reversed(fhir.load(weight("72.50").text).items())))
        (again,) = await app.hand_over([weight("72.50")._replace(etag="2", text=turned)])
        assert [one.version.version for one in (first, second, again) if one.version] == [1, 2, 2]
        found = await app.found("Observation", "value-quantity=72.5", "")
        assert fhir.load(found)["entry"][0]["resource"]["valueQuantity"]["value"] == Decimal("72.50")
        assert b"72.50" in found
        large = Text("Observation", "x", None, weight("72.5").text.replace(b'"w"', b'"x"').replace(b"72.5", b"1e400"))
        (kept,) = await app.hand_over([large])
        assert kept.version is not None
        assert b"1e400" in kept.version.body
        await app.aclose()

    asyncio.run(run())


def test_a_value_that_stays_keeps_its_row(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "id": "a", "name": [{"family": "Fictitious", "given": ["Anne"]}]}

    async def run() -> None:
        async with client_of(tmp_path / "store.db") as client:
            await client.put("/Patient/a", json=patient)
            await client.put("/Patient/a", json=patient | {"name": [{"family": "Fictitious", "given": ["Marie"]}]})

    asyncio.run(run())
    connection = sqlite3.connect(tmp_path / "store.db")
    rows = connection.execute(
        "SELECT exact, since, until FROM string JOIN parameter p ON p.id = parameter WHERE p.code = 'name'"
    )
    assert sorted(rows) == [("Anne", 1, 2), ("Fictitious", 1, None), ("Marie", 2, None)]
    connection.close()


def test_two_processes_on_one_file_see_each_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with client_of(tmp_path / "store.db") as one, client_of(tmp_path / "store.db") as other:
            for number, client in enumerate((one, other, one, other)):
                resource = {"resourceType": "Patient", "id": f"p{number}", "gender": "male"}
                assert (await client.put(f"/Patient/p{number}", json=resource)).status_code == 201
            for client in (one, other):
                assert (await client.get("/Patient?gender=male")).json()["total"] == 4

    asyncio.run(run())


KILLED = """
import asyncio, sys
from pathlib import Path
from gateway.upstream import store
from gateway.upstream.embedded import Embedded
import httpx

async def main():
    app = store.app(Path(sys.argv[1]), trusted=True)
    async with httpx.AsyncClient(transport=Embedded(app), base_url="http://store") as client:
        async def write(start):
            for n in range(start, 10**6, 8):
                entries = [{"resource": {"resourceType": t, "id": f"x{n}", "identifier": [{"value": f"x{n}"}]},
                            "request": {"method": "PUT", "url": f"{t}/x{n}"}} for t in ("Patient", "Encounter")]
                body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
                answer = await client.post("/", json=body, headers={"content-type": "application/fhir+json"})
                assert answer.status_code == 200, answer.text
                print(n, flush=True)
        await asyncio.gather(*(write(start) for start in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 40, 150])
def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "store.db")], stdout=subprocess.PIPE, text=True
    ) as writing:
        assert writing.stdout is not None
        acknowledged = [writing.stdout.readline().strip() for _ in range(lines)]
        os.kill(writing.pid, signal.SIGKILL)
        acknowledged += writing.stdout.read().split()

    async def run() -> None:
        async with client_of(tmp_path / "store.db") as client:
            for number in filter(None, acknowledged):
                for type_ in ("Patient", "Encounter"):
                    assert (await client.get(f"/{type_}/x{number}")).status_code == 200
                    assert (await client.get(f"/{type_}?identifier=x{number}")).json()["total"] == 1
            counts = [(await client.get(f"/{t}?_count=0")).json()["total"] for t in ("Patient", "Encounter")]
            assert counts[0] == counts[1] >= len(acknowledged)  # a transaction is there whole or not at all
            assert (await client.put("/Basic/z", json={"resourceType": "Basic", "id": "z"})).status_code == 201

    asyncio.run(run())
