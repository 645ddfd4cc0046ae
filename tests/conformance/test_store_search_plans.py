"""No kind of search walks through a whole table: SQLite's own plans say so, for every statement that it runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import query, specs
from gateway.upstream.store.schema import COLUMNS, open_reader, parameters
from gateway.upstream.store.search import Page, Searching, search
from tests.bench import search as bench
from tests.bench.people import resources

TABLES = specs.fhir()
WALK = re.compile(rf"SCAN ({'|'.join(COLUMNS)}|r|c|p|resource|past|parameter|name)\b")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "store.db"
    asyncio.run(bench.fill(path, resources(400)))
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


@pytest.fixture(scope="module")
def of_one_kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 3,000 observations that differ in their ids alone, and in the second half by another system."""
    path = tmp_path_factory.mktemp("plans") / "many.db"
    made = (
        {
            "resourceType": "Observation",
            "id": f"b{number}",
            "status": "final",
            "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": f"urn:s{number // 1500}", "code": "a"}]},
        }
        for number in range(3000)
    )
    asyncio.run(bench.fill(path, made))
    return path


def taken(path: Path, pairs: tuple[tuple[str, str], ...]) -> tuple[Page, int]:
    """A page of observations, and steps of ten of SQLite's instructions that it took."""
    connection = open_reader(path)
    searching = Searching(TABLES, parameters(connection), 0, "http://store")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    asked = query.parse("Observation", pairs, TABLES, query.WHOLE)
    assert isinstance(asked, query.Query)
    connection.set_progress_handler(count, 10)
    page = search(connection, searching, asked)
    connection.close()
    return page, steps


@pytest.mark.parametrize(
    "pairs",
    [
        (("patient", ",".join(f"Patient/q{number}" for number in range(15))),),
        (("patient", ",".join(f"q{number}" for number in range(60))),),
        (("code", ",".join(f"urn:s1|q{number}" for number in range(60))),),
        (("patient", "Patient/q"), ("_sort", "-date")),
    ],
    ids=["some", "many", "codes", "sorted"],
)
def test_a_list_of_values_is_looked_up_one_by_one(of_one_kind: Path, pairs: tuple[tuple[str, str], ...]) -> None:
    page, steps = taken(of_one_kind, pairs)
    assert page.found == ()
    assert steps < 600  # one that looks at all rows of the parameter takes some thousand


@pytest.mark.parametrize(
    "pairs",
    [
        (("code", "urn:s1|a"),),
        (("code", "a"),),
        (("code", "urn:s0|a,urn:s1|a"),),
        (("status", "final"),),
        (("patient", "p"),),
        (("subject", "Patient/p"),),
        (("patient", "http://store/Patient/p,Patient/q"),),
        (("status", "final"), ("code", "urn:s0|a")),
        (("status", "final,amended"), ("patient", "p"), ("code", "a")),
    ],
    ids=str,
)
def test_a_page_of_many_reads_no_more_than_the_page(of_one_kind: Path, pairs: tuple[tuple[str, str], ...]) -> None:
    page, steps = taken(of_one_kind, (*pairs, ("_count", "5")))
    assert len(page.found) == 5
    assert page.next is not None
    assert [one.id for one in page.found] == sorted((one.id for one in page.found), key=lambda id_: int(id_[1:]))
    # one that looks at all of them takes some thousand; of several criteria each is first asked for 201
    assert steps < (150 if len(pairs) == 1 else 1000 * len(pairs))
