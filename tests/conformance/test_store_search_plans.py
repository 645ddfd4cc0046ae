"""No kind of search walks through a whole table: SQLite's own plans say so, for every statement that it runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import query, specs
from gateway.upstream.store.schema import COLUMNS, open_reader, parameters
from gateway.upstream.store.search import Searching, search
from tests.bench import search as bench

TABLES = specs.fhir()
WALK = re.compile(rf"SCAN ({'|'.join(COLUMNS)}|r|c|p|resource|past|parameter|name)\b")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "store.db"
    asyncio.run(bench.fill(path, 400))
    return path


def plans(path: Path, type_: str, pairs: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """Statements of a search, with each line of their plans."""
    asked = query.parse(type_, pairs, TABLES, query.WHOLE)
    assert isinstance(asked, query.Query)
    connection = open_reader(path)
    searching = Searching(TABLES, parameters(connection), 0, "http://store")
    run: list[str] = []
    connection.set_trace_callback(run.append)
    search(connection, searching, asked)
    connection.set_trace_callback(None)
    for statement in run:
        if statement.startswith(("SELECT", "WITH")) and statement != "SELECT moment FROM state":
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                yield statement, row[3]
    connection.close()


@pytest.mark.parametrize(("kind", "type_", "pairs"), bench.KINDS, ids=[kind[0] for kind in bench.KINDS])
def test_a_search_goes_by_an_index(filled: Path, kind: str, type_: str, pairs: tuple[tuple[str, str], ...]) -> None:
    found = list(plans(filled, type_, pairs))
    assert found, kind
    assert [(statement[:200], line) for statement, line in found if WALK.match(line)] == []


def test_a_walk_would_be_seen(filled: Path) -> None:
    connection = open_reader(filled)
    lines = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN SELECT * FROM token WHERE resource = 1")]
    connection.close()
    assert any(WALK.match(line) for line in lines)
