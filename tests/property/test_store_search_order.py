"""A page that the index has in order is the same as one that is put in order, whatever is asked for."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from gateway import query, specs
from gateway.upstream.store.conditions import Index
from gateway.upstream.store.matching import in_order, matches
from gateway.upstream.store.schema import open_reader, parameters
from tests.bench import search as bench
from tests.bench.people import resources

TABLES = specs.fhir()
ASKED = (
    ("status", "final"),
    ("status", "final,amended"),
    ("code", "718-7"),
    ("code", "http://loinc.org|718-7,2951-2"),
    ("code", "http://loinc.org|"),
    ("code", "|718-7"),
    ("code:not", "718-7"),
    ("category", "laboratory"),
    ("patient", "p7,p8"),
    ("patient", "http://store/Patient/p7,Patient/p9"),
    ("subject:Patient.gender", "male"),
    ("encounter.status", "finished"),
    ("value-quantity", "gt100"),
    ("date", "ge2020-01-02"),
    ("code:missing", "false"),
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("order") / "store.db"
    asyncio.run(bench.fill(path, resources(4000)))
    return path


def test_a_page_in_order_is_the_page(filled: Path) -> None:
    connection = open_reader(filled)
    moment = connection.execute("SELECT moment FROM state").fetchone()[0]
    numbers = parameters(connection)
    index = Index(connection, TABLES, numbers, moment, past=False, now=0, base="http://store")
    in_turn = 0
    for pairs in (*((one,) for one in ASKED), *itertools.combinations(ASKED, 2)):
        asked = query.parse("Observation", pairs, TABLES, query.WHOLE)
        assert isinstance(asked, query.Query), pairs
        criteria = (*asked.clauses, *asked.links)
        window = in_order(index, "Observation", criteria, 7, 3)
        if window is None:
            continue
        fitting = matches(index, "Observation", criteria)
        every = sorted(connection.execute(fitting.text, fitting.values).fetchall())
        assert connection.execute(window.text, window.values).fetchall() == every[3:10], pairs
        in_turn += 1
    connection.close()
    assert in_turn > 20  # else this looks at nothing
