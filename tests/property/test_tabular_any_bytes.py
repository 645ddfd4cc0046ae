"""CSV files of any bytes: nothing raises, and what a writer wrote is read back."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway import loading, tabular
from gateway.finding import Finding
from gateway.mapping import Context
from gateway.mapping.rows import told
from gateway.tabular import Dialect, Reading, begin, records
from gateway.tabular.records import ENCODINGS
from tests.bounded import examples

DIALECTS = st.builds(
    Dialect, st.sampled_from(",;|\t"), st.sampled_from(['"', "'", None]), st.sampled_from(sorted(ENCODINGS))
)
HEADER = "ATTENDANCE_ID,PROVIDER,ARRIVED,NHS_NUMBER,BIRTH_DATE,STATED_GENDER"
PIECES = st.lists(st.binary(max_size=40), max_size=8)
LINES = st.lists(st.text(st.sampled_from("ab1,;\"'\r\n\t \x00é"), max_size=30), max_size=8)


@given(PIECES, DIALECTS, st.sampled_from([5, 40, 1000]))
@example([b'a,"b', b"\r", b"\nc"], Dialect(), 1000)
@example([b"abcde\r", b"\nf"], Dialect(), 5)  # as long as may be, and its line end is cut
@settings(max_examples=examples(300), deadline=None)
def test_any_bytes_are_records_or_faults_and_lines_grow(pieces: list[bytes], dialect: Dialect, longest: int) -> None:
    found = list(records(pieces, dialect, longest))
    assert all((record.fault is None) == bool(record.cells) for record in found)
    assert all(one.line < other.line for one, other in pairwise(found))
    assert found == list(records([b"".join(pieces)], dialect, longest))


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12),
                         min_size=2, max_size=5), max_size=6),
       st.sampled_from(["\r\n", "\n"]), st.integers(1, 20))  # fmt: skip
@settings(max_examples=examples(200), deadline=None)
def test_what_a_writer_wrote_is_read_back(rows: list[list[str]], ends: str, piece: int) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator=ends, quoting=csv.QUOTE_ALL).writerows(rows)
    sent = written.getvalue().encode()
    found = list(records((sent[i : i + piece] for i in range(0, len(sent), piece)), Dialect()))
    assert [record.cells for record in found] == rows
    assert not any(record.fault for record in found)


@given(LINES, st.sampled_from(["ed-attendances", "ods-organisations"]), st.sampled_from(["", HEADER]))
@settings(max_examples=examples(200), deadline=None)
def test_any_file_becomes_rows_or_findings(
    decisions: loading.Decisions, lines: list[str], name: str, header: str
) -> None:
    row_map = decisions.row_maps[name]
    sent = "\n".join([header, *lines]).encode()
    begun = begin(sent, [row_map.layout])
    if isinstance(begun, Finding):
        assert begun.severity == "error"
        return
    context = Context("R0D", "emergency-care", datetime(2026, 11, 22, tzinfo=UTC), "r", "d")
    shared = told(context, row_map.marks)
    for row in Reading(begun, row_map.known).rows([sent]):
        assert bool(row.findings) != bool(row.values)
        assert all(finding.expression and finding.expression.startswith("line ") for finding in row.findings)
        if row.values:
            converted = row_map.convert(row, shared)
            assert bool(converted.drafts) != bool(converted.findings)


def test_a_layout_without_a_header_line_takes_the_first_line_as_a_row(decisions: loading.Decisions) -> None:
    layout = decisions.row_maps["ods-organisations"].layout
    begun = tabular.begin(b"x\r\n", [layout])
    assert isinstance(begun, tabular.Begun)
    assert begun.header is None
