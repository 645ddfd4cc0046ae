"""Whatever is written, a search sees exactly what stood at its moment."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream import store
from gateway.upstream.embedded import Embedded
from tests.bounded import examples

JSON = {"content-type": "application/fhir+json"}
FAMILIES = ["Adams", "Baker", "Clark"]
WRITES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from([*FAMILIES, None]), st.sampled_from(["male", "female", None])),
    min_size=1,
    max_size=14,
)


def patient(id_: str, family: str, gender: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"resourceType": "Patient", "id": id_, "name": [{"family": family}]}
    return found | ({"gender": gender} if gender else {})


def fitting(state: dict[str, tuple[str, str | None]], family: str) -> list[str]:
    return sorted(id_ for id_, (name, _) in state.items() if name == family)


@settings(max_examples=examples(60), deadline=None)
@given(writes=WRITES, looked_for=st.sampled_from(FAMILIES))
def test_pages_show_the_moment_of_the_first(writes: list[tuple[str, str | None, str | None]], looked_for: str) -> None:
    """A write without a family deletes."""

    async def run(path: Path) -> None:
        app = store.app(path / "store.db", trusted=True)
        async with httpx.AsyncClient(
            transport=Embedded(app, app.aclose), base_url="http://store", headers=JSON
        ) as client:
            state: dict[str, tuple[str, str | None]] = {}
            begun: list[tuple[list[str], list[str], str]] = []
            for id_, family, gender in writes:
                if family is None:
                    await client.delete(f"/Patient/{id_}")
                    state.pop(id_, None)
                else:
                    await client.put(f"/Patient/{id_}", json=patient(id_, family, gender))
                    state[id_] = (family, gender)
                first = (await client.get(f"/Patient?family={looked_for}&_sort=_id&_count=1&_total=accurate")).json()
                expected = fitting(state, looked_for)
                assert first["total"] == len(expected)
                found = [e["resource"]["id"] for e in first.get("entry", [])]
                following = next((x["url"] for x in first["link"] if x["relation"] == "next"), "")
                begun.append((expected, found, following))
                men = (await client.get("/Patient?gender=male&_sort=_id")).json()
                assert [e["resource"]["id"] for e in men.get("entry", [])] == sorted(
                    key for key, value in state.items() if value[1] == "male"
                )
            for expected, shown, following in begun:
                found = shown
                if following:
                    page = dict(parse_qsl(urlsplit(following).query))["_page"]
                    rest = await client.get(f"/Patient?family={looked_for}&_sort=_id&_count=10&_page={page}")
                    entries = rest.json().get("entry", [])
                    assert all(e["resource"]["name"][0]["family"] == looked_for for e in entries)
                    found = [*shown, *(e["resource"]["id"] for e in entries)]
                assert found == expected

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
