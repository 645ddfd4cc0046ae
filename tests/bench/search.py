"""Search of the embedded store by kind of parameter, at several sizes: medians, and whether it walked through a type.

Run alone: `python -m tests.bench.search [count...]`. Everybody in it is invented.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from gateway import fhir, query, specs
from gateway.upstream.store import splice
from gateway.upstream.store.engine import Change, Store
from gateway.upstream.store.schema import open_reader, parameters
from gateway.upstream.store.search import Searching, search
from gateway.upstream.store.versions import Draft
from tests.bench.people import LOINC, NHS, UCUM, resources

SIZES = (1_000, 100_000)
_TRANSACTION = 500
_ROUNDS = 15

KINDS: Sequence[tuple[str, str, tuple[tuple[str, str], ...]]] = (
    ("_id", "Patient", (("_id", "p7"),)),
    ("token, system and code", "Patient", (("identifier", f"{NHS}|9990000007"),)),
    ("token, code that many have", "Observation", (("code", f"{LOINC}|718-7"),)),
    ("two tokens, each that many have", "Observation", (("status", "final"), ("code", f"{LOINC}|718-7"))),
    ("string", "Patient", (("family", "berdal"),)),
    ("string, :exact", "Patient", (("family:exact", "Berdalfen"),)),
    ("string, :contains", "Patient", (("family:contains", "dalfen"),)),
    ("date", "Patient", (("birthdate", "1984-05-06"),)),
    ("date, between", "Encounter", (("date", "ge2020-02-01"), ("date", "lt2020-02-02"))),
    ("number", "RiskAssessment", (("probability", "0.123"),)),
    ("number, more than", "RiskAssessment", (("probability", "gt0.998"),)),
    ("quantity", "Observation", (("value-quantity", f"109.8|{UCUM}|umol/L"),)),
    ("quantity, more than", "Observation", (("value-quantity", f"gt109.8|{UCUM}|umol/L"),)),
    ("reference", "Encounter", (("patient", "p7"),)),
    ("uri", "Encounter", (("_source", "urn:feed:7"),)),
    ("composite of the resource", "Observation", (("code-value-quantity", "2951-2$169.8"),)),
    ("composite of a component", "Observation", (("component-code-value-quantity", "8480-6$189"),)),
    ("chain", "Encounter", (("patient.identifier", f"{NHS}|9990000007"),)),
    ("chain, two hops", "Observation", (("encounter.patient.identifier", f"{NHS}|9990000007"),)),
    ("_has, few refer", "Patient", (("_has:Encounter:patient:identifier", "V00000007"),)),
    ("_has, many refer", "Patient", (("_has:Observation:patient:value-quantity", f"gt155|{UCUM}|g/L"),)),
    (":text among few", "Condition", (("patient", "p7,p8,p9"), ("code:text", "b,d,f,g,h"))),
    (":missing=true", "Patient", (("birthdate:missing", "true"),)),
    ("_include", "Encounter", (("patient", "p7"), ("_include", "Encounter:*"))),
    ("_include, a page of 50", "Encounter", (("status", "finished"), ("_include", "Encounter:subject"))),
    ("_revinclude", "Patient", (("_id", "p7"), ("_revinclude", "Observation:patient"))),
    ("_sort of few by a date", "Observation", (("patient", "p7"), ("_sort", "-date"))),
    ("_sort of few by a string", "Patient", (("family", "berdal"), ("_sort", "given"))),
    ("_sort of all by a date", "Encounter", (("_sort", "-date"), ("_count", "20"))),
    ("_sort of all by a string", "Patient", (("_sort", "family"), ("_count", "20"))),
    ("_total=accurate of many", "Observation", (("code", f"{LOINC}|718-7"), ("_total", "accurate"))),
    ("a page far behind", "Observation", (("status", "final"), ("_count", "50"))),
)
"""What is measured, the type searched, and the search. The last one follows to its twentieth page."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of search at one size.

    Units: median in milliseconds; `found` entries of the page with what comes with them.
    """

    count: int
    kind: str
    median: float
    found: int


def measure(folder: Path, sizes: Sequence[int] = SIZES, rounds: int = _ROUNDS) -> list[Row]:
    """Fill a store for each size, and search it.

    Shape: the time is that of the search in SQLite with the bodies read, without HTTP.
    """
    found = []
    for count in sizes:
        path = folder / f"search-{count}.db"
        asyncio.run(fill(path, resources(count)))
        found += list(_searched(path, count, rounds))
    return found


def table(rows: Sequence[Row]) -> list[str]:
    """Rows as Markdown: a column for each size, and how many times the greatest takes what the least does."""
    sizes = sorted({row.count for row in rows})
    by = {(row.kind, row.count): row for row in rows}
    heads = " | ".join(f"{size:,} ms (found)" for size in sizes)
    how = (
        f"The logarithm of the size grows {math.log(sizes[-1]) / math.log(sizes[0]):.2f} times. What finds more takes "
        "longer; what looks at all that fits grows with that: totals, `:contains`, `:missing=true`, the order of a "
        "whole type, and two criteria each of which many meet."
    )
    lines = [
        "", "## Search of the embedded store, by kind", "", how, "",
        f"| search | {heads} | times |", f"|---|{'---|' * len(sizes)}---|",
    ]  # fmt: skip
    for kind in dict.fromkeys(row.kind for row in rows):
        cells = " | ".join(f"{by[kind, size].median:.2f} ({by[kind, size].found})" for size in sizes)
        lines.append(f"| {kind} | {cells} | {by[kind, sizes[-1]].median / by[kind, sizes[0]].median:.1f} |")
    return lines


async def fill(path: Path, made: Iterator[Mapping[str, Any]]) -> None:
    """Put resources into a store, as transactions would, in one process and without HTTP."""
    store = Store(path, specs.fhir(), lambda: datetime.now(UTC))
    # as they would be read: numbers are exact
    source = (fhir.load(fhir.dump(dict(each))) for each in made)
    while some := list(islice(source, _TRANSACTION)):
        changes = [Change("PUT", Draft(r["resourceType"], r, splice.content_of(r)), str(r["id"])) for r in some]
        await store.write(changes, "")
    await store.aclose()


def _searched(path: Path, count: int, rounds: int) -> Iterator[Row]:
    tables = specs.fhir()
    connection = open_reader(path)
    searching = Searching(tables, parameters(connection), 0, "http://store")
    for kind, type_, pairs in KINDS:
        asked = _far(connection, searching, type_, pairs) if kind == "a page far behind" else pairs
        parsed = query.parse(type_, asked, tables, query.WHOLE)
        if not isinstance(parsed, query.Query):
            raise TypeError(str(parsed))
        took, found = [], 0
        for _ in range(rounds):
            started = time.perf_counter()
            page = search(connection, searching, parsed)
            took.append((time.perf_counter() - started) * 1000)
            found = len(page.found) + len(page.included)
        yield Row(count, kind, statistics.median(took), found)
    connection.close()


def _far(
    connection: sqlite3.Connection, searching: Searching, type_: str, pairs: Sequence[tuple[str, str]]
) -> Sequence[tuple[str, str]]:
    """The search for its twentieth page, or the last one that there is."""
    asked = list(pairs)
    for _ in range(19):
        parsed = query.parse(type_, asked, searching.tables, query.WHOLE)
        if not isinstance(parsed, query.Query):
            raise TypeError(str(parsed))
        following = search(connection, searching, parsed).next
        if following is None:
            break
        asked = [*pairs, ("_page", following)]
    return asked


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        wanted = [int(word) for word in sys.argv[1:]] or SIZES
        print("\n".join(table(measure(Path(scratch), wanted))))  # noqa: T201 - the figures are what this is for
