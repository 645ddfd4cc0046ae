"""Pages of a search that looks at other resources show these, too, as they were at the moment of the first page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.upstream import store
from gateway.upstream.embedded import Embedded

JSON = {"content-type": "application/fhir+json"}
PAIRS = ("a", "b")


def encounter(id_: str, status: str, patient: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": status,
        "class": {"code": "IMP"},
        "subject": {"reference": f"Patient/{patient}"},
        "type": [{"text": f"{status} stay"}],
    }


def patient(id_: str, family: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "name": [{"family": family}]}


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    answer = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource, headers=JSON)
    assert answer.status_code in {200, 201}


def entries(answer: httpx.Response) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.text
    found = answer.json().get("entry", [])
    return [(e["search"]["mode"], e["resource"]["id"], e["resource"]["meta"]["versionId"]) for e in found]


@pytest.mark.parametrize("deleting", [False, True])
@pytest.mark.parametrize("updating", [False, True])
@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("Encounter?subject:Patient.family=old", [("match", "eb", "1")]),
        ("Encounter?subject:Patient.family=old&_include=Encounter:subject",
         [("match", "eb", "1"), ("include", "b", "1")]),
        ("Encounter?status=planned&type:text=planned&_sort=status", [("match", "eb", "1")]),
        ("Patient?_has:Encounter:patient:status=planned", [("match", "b", "1")]),
        ("Patient?family=old&_revinclude=Encounter:patient", [("match", "b", "1"), ("include", "eb", "1")]),
        ("Patient?family=old&_sort=family", [("match", "b", "1")]),
        ("Patient?family=old&_lastUpdated=gt2000&_total=accurate", [("match", "b", "1")]),
    ],
)  # fmt: skip
def test_later_pages_see_the_moment_of_the_first(
    tmp_path: Path, search: str, expected: list[tuple[str, str, str]], *, deleting: bool, updating: bool
) -> None:
    """What stood is deleted meanwhile, or replaced, or first the one and then the other."""

    async def run() -> None:
        app = store.app(tmp_path / "store.db")
        async with httpx.AsyncClient(transport=Embedded(app, app.aclose), base_url="http://store") as client:
            for name in PAIRS:
                await put(client, patient(name, "Old"))
                await put(client, encounter(f"e{name}", "planned", name))
            first = await client.get(f"/{search}&_count=1")
            following = next(link["url"] for link in first.json()["link"] if link["relation"] == "next")
            assert urlsplit(following).netloc == "store"
            for name in PAIRS:
                if deleting:
                    assert (await client.delete(f"/Patient/{name}")).status_code == 204
                    assert (await client.delete(f"/Encounter/e{name}")).status_code == 204
                if updating:
                    await put(client, patient(name, "New"))
                    await put(client, encounter(f"e{name}", "finished", name))
            await put(client, patient("c", "Old"))
            await put(client, encounter("ec", "planned", "c"))
            assert entries(await client.get(following)) == expected
            if not deleting and not updating:
                return
            now = await client.get(f"/{search}&_count=1")
            assert [id_ for mode, id_, _ in entries(now) if mode == "match"] == [expected[0][1].replace("b", "c")]

    asyncio.run(run())
