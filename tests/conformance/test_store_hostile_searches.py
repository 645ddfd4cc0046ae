"""Searches that ask for too much: a clear refusal or a bounded answer, and never an unusable store."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from gateway.upstream import store
from gateway.upstream.asker import ASKER
from gateway.upstream.embedded import Embedded
from gateway.upstream.store import engine, readers
from gateway.upstream.store.engine import Store
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.requests import query
from tests import searching

FORM = {"content-type": "application/x-www-form-urlencoded"}
MANY = ",".join(str(n) for n in range(1000))

REFUSED: list[tuple[str, list[tuple[str, str]], str]] = [
    ("Patient", [("identifier", MANY + ",x")], "more than 1000 values"),
    ("Patient", [("identifier", MANY), ("gender", "male")], "at most 1000 values"),
    ("Patient", [("family", "x")] * 101, "at most 100 search parameters"),
    ("Patient", [("family", "x" * 70_000)], "longer than 65536 characters"),
    ("Patient", [("x" * 70_000, "x")], "longer than 65536 characters"),
    ("Patient", [("_revinclude", "Encounter:patient")] * 51, "at most 50 includes"),
    ("Organization", [("partof." * 6 + "name", "x")], "more than 5 references"),
    ("Organization", [("partof." * 3000 + "name", "x")], "more than 5 references"),
    ("Patient", [("_has:Group:member:" * 6 + "_id", "x")], "more than 5 references"),
    ("Composition", [("entry.entry.entry.entry._id", "x")], "more than 50 searches"),
    ("Patient", [("_has:Patient:link:" * 6 + "_id", "x")], "more than 5 references"),
    ("Provenance", [("target:Provenance.target:Provenance.target:Provenance.entity.target._id", "x")], "more than 50"),
]
BOUNDED: list[tuple[str, list[tuple[str, str]]]] = [
    ("Patient", [("identifier", MANY)]),
    ("Patient", [("identifier", ",".join(f"urn:s|{n}" for n in range(1000)))]),
    ("Patient", [("family", ",".join(f"f{n}" for n in range(1000)))]),
    ("Patient", [("birthdate", ",".join(f"ne{n}" for n in range(1000, 2000)))]),
    ("Encounter", [("subject", ",".join(f"Patient/x{n}" for n in range(1000)))]),
    ("Encounter", [("subject:Patient.family", ",".join(f"f{n}" for n in range(1000)))]),
    ("Observation", [("combo-code-value-quantity", ",".join(f"8480-6$gt{n}" for n in range(1000)))]),
    ("Observation", [("value-quantity", "gt-1e100,lt1e100,9" + "9" * 38)]),
    ("Patient", [("family", "x")] * 100),
    ("Patient", [("_has:Observation:patient:code", "718-7")] * 40),
    ("Patient", [("family:contains", "%_'\";--\\\\")]),
    ("Patient", [("family", "\x00\ud7ff\U0010ffff")]),
    ("Patient", [("family", " ")]),
    ("Patient", [("_sort", "family,given,name,gender,birthdate,address,_id")]),
    ("Patient", [("_include", "*"), ("_revinclude", "*"), ("_include:iterate", "*"), ("_revinclude:iterate", "*")]),
]


async def ask(client: httpx.AsyncClient, type_: str, pairs: list[tuple[str, str]]) -> httpx.Response:
    text = urlencode(pairs, errors="surrogatepass")
    return await client.post(f"/{type_}/_search", content=text.encode(), headers=FORM)


def serve(path: Path, type_: str, pairs: list[tuple[str, str]]) -> tuple[int, dict[str, Any]]:
    async def run() -> tuple[int, dict[str, Any]]:
        app = store.app(path / "store.db")
        async with httpx.AsyncClient(transport=Embedded(app, app.aclose), base_url="http://store") as client:
            await searching.fill(client)
            answer = await ask(client, type_, pairs)
            alive = await client.get("/Patient?_id=p1")
            assert alive.json()["total"] == 1
            return answer.status_code, answer.json()

    return asyncio.run(run())


@pytest.mark.parametrize(("type_", "pairs", "words"), REFUSED, ids=range(len(REFUSED)))
def test_too_much_is_refused_with_words(tmp_path: Path, type_: str, pairs: list[tuple[str, str]], words: str) -> None:
    status, body = serve(tmp_path, type_, pairs)
    assert status == 400
    assert any(words in issue["diagnostics"] for issue in body["issue"]), body
    assert len(json.dumps(body)) < 40_000


@pytest.mark.parametrize(("type_", "pairs"), BOUNDED, ids=range(len(BOUNDED)))
def test_much_is_answered(tmp_path: Path, type_: str, pairs: list[tuple[str, str]]) -> None:
    status, body = serve(tmp_path, type_, pairs)
    assert status == 200, body
    assert body["resourceType"] == "Bundle"


def test_what_is_included_is_bounded_and_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        app = store.app(tmp_path / "store.db")
        async with httpx.AsyncClient(transport=Embedded(app, app.aclose), base_url="http://store") as client:
            entries: list[dict[str, Any]] = [
                {
                    "resource": {"resourceType": "Encounter", "subject": {"reference": "Patient/p"}},
                    "request": {"method": "POST", "url": "Encounter"},
                }
                for _ in range(1100)
            ]
            patient = {"resourceType": "Patient", "id": "p"}
            entries.append({"resource": patient, "request": {"method": "PUT", "url": "Patient/p"}})
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            await client.post("/", json=bundle, headers=searching.JSON)
            found = (await client.get("/Patient?_revinclude=Encounter:patient")).json()["entry"]
            modes = [entry["search"]["mode"] for entry in found]
            assert (modes.count("match"), modes.count("include"), modes.count("outcome")) == (1, 1000, 1)
            (issue,) = found[-1]["resource"]["issue"]
            assert (issue["severity"], issue["code"]) == ("warning", "too-costly")

    asyncio.run(run())


PEOPLE = 4000
WORDS = ",".join(f"nothing{n}" for n in range(990))
LONG = [("family:contains", WORDS), ("_total", "accurate")]
MIDDLING = [("family:contains", "nothing,neither,nor"), ("_total", "accurate")]
"""More than the event loop does itself, and little enough to be done in one short turn."""
WITHIN = 30.0


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with many people in it."""
    path = tmp_path_factory.mktemp("people") / "store.db"

    async def run() -> None:
        app = store.app(path)
        names = ((f"x{n}", [{"family": f"Family{n}" * 5}]) for n in range(PEOPLE))
        await app.put([({"resourceType": "Patient", "id": id_, "name": name}, None) for id_, name in names])
        await app.aclose()

    asyncio.run(run())
    return path


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    app = store.app(path)
    try:
        yield app.store()
    finally:
        await app.aclose()


async def done(one: Store, asker: str, pairs: list[tuple[str, str]], name: str, order: list[str]) -> None:
    ASKER.set(asker)
    page = await one.search(query("Patient", one.tables, urlencode(pairs)), "http://store")
    assert page.total == 0
    order.append(name)


async def idle(one: Store) -> None:
    """Wait until no thread works for the store's searches."""
    while one._readers._turns:  # noqa: ASYNC110 - the threads tell nobody that they are done
        await asyncio.sleep(0.01)


def endless(connection: sqlite3.Connection) -> None:
    connection.execute("WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c")


def test_who_asks_for_much_holds_up_neither_quick_nor_middling_nor_long_searches_of_others(people: Path) -> None:
    """Whatever one asker's searches do, another's are answered beside them."""

    async def run() -> None:
        order: list[str] = []
        async with opened(people) as one, asyncio.timeout(WITHIN):
            hostile = [asyncio.create_task(one._readers.run(endless, "hostile")) for _ in range(6)]
            await asyncio.sleep(0)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(3):
                    tasks.create_task(done(one, "other", [("_id", "none")], "quick", order))
                    tasks.create_task(done(one, "other", MIDDLING, "middling", order))
                    tasks.create_task(done(one, "other", LONG, "long", order))
            assert not any(each.done() for each in hostile)
            for each in hostile:
                each.cancel()
        assert sorted(order) == sorted(["quick", "middling", "long"] * 3)
        assert order[:3] == ["quick"] * 3

    asyncio.run(run())


def test_a_turn_goes_to_who_has_the_fewest(people: Path) -> None:
    async def run() -> None:
        lane = readers._Lane(people, 2, 2)
        order: list[str] = []
        held: asyncio.Queue[tuple[str, readers._Reader]] = asyncio.Queue()

        async def one(asker: str) -> None:
            reader = await lane.take(asker)
            order.append(asker)
            held.put_nowait((asker, reader))

        async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as tasks:
            for asker in ("hostile",) * 6 + ("other",) * 2:
                tasks.create_task(one(asker))
            for _ in range(8):
                lane.give(*await held.get())
        assert order == ["hostile"] * 2 + ["other", "hostile"] * 2 + ["hostile"] * 2

    asyncio.run(run())


def test_a_search_that_nobody_waits_for_is_stopped(people: Path) -> None:
    async def run() -> None:
        order: list[str] = []
        async with opened(people) as one, asyncio.timeout(WITHIN):
            left = [asyncio.create_task(one._readers.run(endless, "hostile")) for _ in range(4)]
            await done(one, "other", MIDDLING, "beside", order)
            await asyncio.sleep(0.5)
            for task in left:
                task.cancel()
            ended = await asyncio.gather(*left, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
            await done(one, "hostile", LONG, "next", order)
            await idle(one)
        assert order == ["beside", "next"]

    asyncio.run(run())


def test_a_store_that_closes_waits_for_no_search(people: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(WITHIN):
            async with opened(people) as one:
                left = [asyncio.create_task(one._readers.run(endless, "hostile")) for _ in range(4)]
                await asyncio.sleep(0.3)
            ended = await asyncio.gather(*left, return_exceptions=True)
        assert all(isinstance(each, sqlite3.OperationalError) for each in ended), ended

    asyncio.run(run())


def test_a_search_that_takes_too_long_is_refused_and_stopped(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LONGEST", 0.01)

    async def run() -> None:
        async with opened(people) as one, asyncio.timeout(WITHIN):
            with pytest.raises(Refusal, match="too long") as refusal:
                await done(one, "hostile", LONG, "long", [])
            assert refusal.value.status == 503
            await idle(one)

    asyncio.run(run())


def test_a_slow_search_holds_nobody_up(tmp_path: Path) -> None:
    """A search that walks through everything runs in a thread: others are answered before it ends."""

    async def run() -> None:
        app = store.app(tmp_path / "store.db")
        async with httpx.AsyncClient(transport=Embedded(app, app.aclose), base_url="http://store") as client:
            entries = [
                {
                    "resource": {"resourceType": "Patient", "id": f"x{n}", "name": [{"family": f"Family{n}" * 5}]},
                    "request": {"method": "PUT", "url": f"Patient/x{n}"},
                }
                for n in range(6000)
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            await client.post("/", json=bundle, headers=searching.JSON)
            order: list[str] = []

            async def slow() -> None:
                words = ",".join(f"nothing{n}" for n in range(300))
                answer = await client.get(f"/Patient?family:contains={words}&_total=accurate")
                assert answer.json()["total"] == 0
                order.append("slow")

            async def quick() -> None:
                assert (await client.get("/Patient?_id=x1")).json()["total"] == 1
                order.append("quick")

            await asyncio.gather(slow(), *(quick() for _ in range(5)))
            assert order[-1] == "slow"

    asyncio.run(run())
