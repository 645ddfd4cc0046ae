"""HL7's v2-to-FHIR guide and our maps: every table expressed or its rows listed with the reason, nearly all rows run.

The guide's tables stand beside the repository; without them the tests are skipped.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.guide_coverage import Coverage, coverage, part, section, written
from tests.conformance.guide_tables import KINDS

COUNTS = {"messages": 13, "segments": 75, "datatypes": 105, "codesystems": 99}
LEAST_RUN = 0.95


@pytest.fixture(scope="module")
def found(shared: Path) -> Coverage:
    return coverage(shared)


def test_every_table_is_there(found: Coverage) -> None:
    assert {kind: sum(t.table.kind == kind for t in found.tables) for kind in KINDS} == COUNTS


def test_every_row_is_expressed_or_listed_with_the_reason(found: Coverage) -> None:
    missing = [m.row for t in found.tables for m in t.missing if not m.because]
    assert missing == [], f"{len(missing)} rows: express them, or add them to specs/hl7v2/guide.csv"


def test_our_list_says_what_is_so(found: Coverage) -> None:
    assert found.stale == ()


def test_nearly_all_rows_are_run(found: Coverage) -> None:
    rows = sum(len(t.rows) for t in found.tables)
    ran = sum(sum(t.ran) for t in found.tables)
    assert ran / rows >= LEAST_RUN, section(found)


def test_a_part_of_a_page_is_written_anew() -> None:
    page = "# A\n\nwords\n\n## B\n\nold\n\n## C\n\nmore\n"
    assert written(page, "## B\n\nnew\n") == "# A\n\nwords\n\n## B\n\nnew\n\n## C\n\nmore\n"
    assert written(page, "## D\n\nnew\n") == page + "\n## D\n\nnew\n"
    assert written("# A\n\n## B\n\nold\n", "## B\n\nnew\n") == "# A\n\n## B\n\nnew\n"
    assert part(page, "## B") == "## B\n\nold\n"
    assert part(page, "## D") == ""
