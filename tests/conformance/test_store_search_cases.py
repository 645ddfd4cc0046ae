"""The embedded store's searches, case by case: `tests/conformance/search/` has them, and what they search in."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import httpx
import pytest

from gateway.upstream import store
from gateway.upstream.embedded import Embedded
from tests import searching

CASES = searching.cases()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What differs, by the name of the case."""
    found = {}

    async def ask(path: Path) -> None:
        app = store.app(path / "store.db")
        async with httpx.AsyncClient(transport=Embedded(app, app.aclose), base_url="http://store") as client:
            await searching.fill(client)
            for case in CASES:
                found[case.name] = await searching.differences(client, case, strict=True)

    asyncio.run(ask(tmp_path_factory.mktemp("store")))
    return found


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_search_answers_as_the_standard_says(told: dict[str, list[str]], case: searching.Case) -> None:
    assert told[case.name] == [], case.clause


def test_every_case_has_a_name_of_its_own_and_there_are_many() -> None:
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []
    assert len(CASES) >= 700


def test_every_case_names_its_clause() -> None:
    pages = {case.clause for case in CASES if re.fullmatch(r"3\.1\.1(\.\d+)+ search\.html#[a-z]+", case.clause) is None}
    # the pages of resource types have their search parameters, and no numbers that stay
    assert {page for page in pages if re.fullmatch(r"[a-z]+\.html#search", page) is None} == set()
    assert len({case.clause for case in CASES} - pages) >= 25
