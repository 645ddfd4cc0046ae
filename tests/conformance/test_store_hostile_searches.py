"""Searches that ask for too much: a clear refusal or a bounded answer, and never an unusable store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from gateway.upstream import store
from gateway.upstream.embedded import Embedded
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
