"""A store's file that an earlier gateway wrote: its index is made anew when it is opened."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from gateway import query, specs
from gateway.specs import FhirTables
from gateway.upstream.store import splice
from gateway.upstream.store.engine import Change, Store
from gateway.upstream.store.schema import COLUMNS
from gateway.upstream.store.search import Page
from gateway.upstream.store.versions import Draft

TABLES = specs.fhir()
TOLD = "index is made anew for 2 resources"


def patient(family: str, gender: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": family[0].lower(), "name": [{"family": family}], "gender": gender}


def change(resource: dict[str, Any]) -> Change:
    return Change("PUT", Draft("Patient", resource, splice.content_of(resource)), resource["id"])


def asked(*pairs: tuple[str, str], tables: FhirTables = TABLES) -> query.Query:
    found = query.parse("Patient", pairs, tables, query.WHOLE)
    assert isinstance(found, query.Query)
    return found


def run(path: Path, tables: FhirTables, writes: Sequence[dict[str, Any]], *searches: query.Query) -> list[Page]:
    async def work() -> list[Page]:
        store = Store(path, tables, lambda: datetime.now(UTC))
        for resource in writes:
            await store.write([change(resource)], "")
        found = [await store.search(one, "") for one in searches]
        await store.aclose()
        return found

    return asyncio.run(work())


def ids(page: Page) -> list[str]:
    return [version.id for version in page.found]


def rows(path: Path) -> dict[str, list[Any]]:
    connection = sqlite3.connect(path)
    found = {name: sorted(connection.execute(f'SELECT * FROM "{name}"')) for name in COLUMNS}  # noqa: S608 - the schema's
    connection.close()
    return found


WRITES = [patient("Adams", "male"), patient("Baker", "female"), patient("Adams", "female"), patient("Adams", "male")]


def test_a_file_of_the_first_version_is_searched_as_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "store.db"
    (page,) = run(path, TABLES, WRITES[:2], asked(("gender", "male,female"), ("_count", "1")))
    token = page.next
    assert token is not None
    run(path, TABLES, WRITES[2:])
    before = rows(path)
    connection = sqlite3.connect(path)
    connection.executescript("ALTER TABLE state DROP COLUMN indexed; PRAGMA user_version=1; DELETE FROM token;")
    connection.close()
    with caplog.at_level(logging.WARNING):
        found = run(path, TABLES, [], asked(("gender", "male")), asked(("family", "baker")),
                    asked(("gender", "male,female"), ("_count", "1"), ("_page", token)))  # fmt: skip
    assert [ids(page) for page in found] == [["a"], ["b"], ["b"]]
    assert TOLD in caplog.text
    assert rows(path) == before  # with the stretches of time in which each value held


def test_a_file_is_opened_again_without_making_anything_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path / "store.db", TABLES, WRITES)
    with caplog.at_level(logging.WARNING):
        run(tmp_path / "store.db", TABLES, [])
    assert "anew" not in caplog.text


def test_a_search_parameter_that_was_added_finds_what_was_stored_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path / "store.db", TABLES, WRITES)
    gender = TABLES.search_parameters["Patient", "gender"]
    more = {**TABLES.search_parameters, ("Patient", "sex"): replace(gender, code="sex", url="http://example.org/sex")}
    tables = replace(TABLES, search_parameters=MappingProxyType(more))
    with caplog.at_level(logging.WARNING):
        (page,) = run(tmp_path / "store.db", tables, [], asked(("sex", "male"), tables=tables))
    assert ids(page) == ["a"]
    assert TOLD in caplog.text
