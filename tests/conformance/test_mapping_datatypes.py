"""What the maps of data types make of texts; `maps/README.md` tells the notation of the cases."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from gateway import fhir, mapping, specs
from gateway.hl7v2 import dictionary
from gateway.mapping.compile import Library
from gateway.mapping.nodes import Map
from gateway.mapping.tracing import Step
from tests.conformance.datatype_cases import Case, cases, converted

CASES = tuple(cases())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The maps of data types alone, which speak of no others."""
    root = tmp_path_factory.mktemp("root") / "specs"
    (root / "hl7v2").mkdir(parents=True)
    for folder in ("hl7v2/datatypes", "hl7v2/dictionary", "codes"):
        (root / folder).symlink_to(specs.ROOT / folder)
    tables = specs.fhir()
    names = SimpleNamespace(
        dictionaries={"2.5.1": dictionary.load("2.5.1")}, elements=fhir.Elements(tables), tables=tables
    )
    loaded = mapping.load(root, names, traced=True)
    assert loaded.library is not None, loaded.diagnostics
    return loaded.library


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_text_becomes_what_it_must(case: Case, library: Library) -> None:
    assert converted(case, library).lines == case.expected


def test_no_text_stands_twice_below_one_map() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_row_of_every_data_type_is_run_by_a_case(library: Library) -> None:
    ran = {where for case in CASES for step in converted(case, library).steps for where in lines(step)}
    written = {where for made in library.maps.values() if made.kind == "datatype" for where in rows(made)}
    assert sorted(written - ran) == []


def lines(step: Step) -> Iterator[tuple[str, int]]:
    """File and line of a row that ran, and of the rows inside of it."""
    yield step.row.span.source.name, step.row.span.line
    for inner in step.inner:
        yield from lines(inner)


def rows(made: Map) -> Iterator[tuple[str, int]]:
    """File and line of every row of a map; of one without rows, of the map itself."""
    for part in made.rows or (made,):
        yield part.span.source.name, part.span.line
