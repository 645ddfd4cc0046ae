"""Batches cut into parts, their headers read, their answers' headers written: HL7 v2.5.1, chapter 2.10.3."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from gateway.hl7v2 import batch, read
from gateway.hl7v2.batch import Header

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
A, B = "MSH|^~\\&|A|||||||1\rPID|1\r", "MSH!@~\\&!B!!!!!!!2\rPID!1\r"

# What was sent, and the parts by name with how often each character of theirs stands in it.
FILES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "the whole grammar (2.10.3.1)": (
        f"FHS|^~\\&|x\rBHS|^~\\&|y\r{A}{B}BTS|2\rBHS|^~\\&\r{A}BTS|1\rFTS|2\r",
        [("FHS", "FHS|^~\\&|x\r"), ("BHS", "BHS|^~\\&|y\r"), ("MSH", A), ("MSH", B), ("BTS", "BTS|2\r"),
         ("BHS", "BHS|^~\\&\r"), ("MSH", A), ("BTS", "BTS|1\r"), ("FTS", "FTS|2\r")],
    ),
    "a batch alone, no trailer": (f"BHS|^~\\&\r{A}", [("BHS", "BHS|^~\\&\r"), ("MSH", A)]),
    "a file header alone": (f"FHS|^~\\&\r{A}FTS", [("FHS", "FHS|^~\\&\r"), ("MSH", A), ("FTS", "FTS")]),
    "no message (2.10.3, note on empty batches)": (
        "BHS|^~\\&\rBTS|0\r", [("BHS", "BHS|^~\\&\r"), ("BTS", "BTS|0\r")]
    ),
    "delimiters of each their own": (f"FHS$%\rBHS#\r{B}", [("FHS", "FHS$%\r"), ("BHS", "BHS#\r"), ("MSH", B)]),
    "LF": ("BHS|\nMSH|1\nPID|1\nMSH|2\nBTS|\n", [("BHS", "BHS|\n"), ("MSH", "MSH|1\nPID|1\n"), ("MSH", "MSH|2\n"),
                                                ("BTS", "BTS|\n")]),
    "CR LF and blank lines": (
        "BHS|\r\n\r\nMSH|1\r\n\r\n\r\nBTS|\r\n \r\n",
        [("BHS", "BHS|\r\n\r\n"), ("MSH", "MSH|1\r\n\r\n\r\n"), ("BTS", "BTS|\r\n \r\n")],
    ),
    "files joined by line feeds": (
        "BHS|\rMSH|1\rPV1|\nMSH|2\rPV1|\nBTS|2\n",
        [("BHS", "BHS|\r"), ("MSH", "MSH|1\rPV1|\n"), ("MSH", "MSH|2\rPV1|\n"), ("BTS", "BTS|2\n")],
    ),
    "marks and frames before names": (
        "\ufeff \rFHS|\r\ufeffMSH|1\r\x1c\r\x0bMSH|2\r\x1c\r",
        [("FHS", "\ufeff \rFHS|\r"), ("MSH", "\ufeffMSH|1\r\x1c\r"), ("MSH", "\x0bMSH|2\r\x1c\r")],
    ),
    "lines that belong to nothing": (
        "hello\rFHS|\rPID|1\rMSH|1\rBTS|1\rnonsense\rFTS|1\r",
        [("", "hello\r"), ("FHS", "FHS|\r"), ("", "PID|1\r"), ("MSH", "MSH|1\r"), ("BTS", "BTS|1\r"),
         ("", "nonsense\r"), ("FTS", "FTS|1\r")],
    ),
    "names that begin nothing": (
        "BHS|\rMSHX|1\rMSH|1\rNTE|MSH|\r MSH 1\rFTSA\r",
        [("BHS", "BHS|\r"), ("", "MSHX|1\r"), ("MSH", "MSH|1\rNTE|MSH|\r MSH 1\rFTSA\r")],
    ),
    "a header cut short": ("BHS|\rMSH", [("BHS", "BHS|\r"), ("MSH", "MSH")]),
    "blanks": (" \r\n\r", [("", " \r\n\r")]),
    "nothing": ("", []),
}  # fmt: skip


def cut(raw: bytes, size: int) -> Iterator[tuple[str, bytes]]:
    for part in batch.parts(raw[at : at + size] for at in range(0, len(raw), size)):
        yield part.name, raw[part.start : part.end]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 21, 22, 64, 10_000])
@pytest.mark.parametrize("name", FILES)
def test_parts(name: str, size: int) -> None:
    sent, expected = FILES[name]
    assert list(cut(sent.encode(), size)) == [(part, text.encode()) for part, text in expected]


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        ("FHS|^~\\&", True), ("BHS|", True), ("BHS", True), ("BHS\r", True), ("\ufeff\r\n BHS$", True),
        ("MSH|", False), ("FHSX|", False), ("BHS ", False), ("BTS|", False), ("\x0bBHS|", False), ("", False),
    ],
)  # fmt: skip
def test_is_batch(beginning: str, *, expected: bool) -> None:
    assert batch.is_batch(beginning.encode()) is expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("BHS|^~\\&|||||||||B-1\r", Header("B-1")),
        ("FHS!@~\\&!!!!!!!!!F\\F\\1@x\rMSH|", Header("F!1@x")),
        ('BHS|^~\\&|||||||||""', Header(None)),
        ("BHS|^~\\&|\r", Header(None)),
        ("\ufeff\x0b BHS|^~\\&|||||||||\xe9", Header("\xe9")),
    ],
)
def test_header(sent: str, expected: Header) -> None:
    """2.15.2.11 and 2.15.6.11: the control id, by the header's own delimiters (2.15.2.1, 2.15.2.2)."""
    assert batch.header(sent.encode()) == expected


@pytest.mark.parametrize("sent", ["BHS", "BHS|", "BHS|^~\\&", "BHS|^^\\&|x", "BHSa^~\\&a", "BHS|^~|x"])
def test_a_header_that_can_not_be_cut_says_so(sent: str) -> None:
    found = batch.header(sent.encode())
    assert found.control_id is None
    assert found.fault is not None
    assert "MSH" not in found.fault


@pytest.mark.parametrize(
    ("sent", "expected"),
    [("BTS|2|x\r", "2"), ("BTS$ 2 $", "2"), ("FTS", ""), ("FTS|", ""), ("BTS|x", "x"), ("\x0bBTS|1", "1")],
)
def test_count(sent: str, expected: str) -> None:
    assert batch.count(sent.encode()) == expected


def test_headers_and_trailers_are_written_so_that_they_can_be_read() -> None:
    written = batch.write_header(
        "BHS", application="DEX", facility="QVV", domain="d|d", organisation="o\r", id="i", reference="B^1", now=NOW
    )
    assert written == b"BHS|^~\\&|DEX|QVV|d\\F\\d|o\\X0D\\|20261122120000||||i|B\\S\\1\r"
    assert batch.header(written) == Header("i")
    assert batch.write_header(
        "FHS", application="", facility="", domain="", organisation="", id="i", reference=None, now=NOW
    ) == b"FHS|^~\\&|||||20261122120000||||i\r"  # fmt: skip
    assert batch.write_trailer("BTS", 2, "a|b") == b"BTS|2|a\\F\\b\r"
    assert batch.write_trailer("FTS", 0) == b"FTS|0\r"
    assert list(cut(written + b"MSH|1\r" + batch.write_trailer("BTS", 1), 5))[1] == ("MSH", b"MSH|1\r")


def test_a_message_out_of_a_batch_is_read_as_any_other() -> None:
    (_, _), (_, first), (_, second) = cut(f"BHS|^~\\&\r{A}{B}".encode(), 1000)
    assert [read(first).control_id, read(second).control_id] == ["1", "2"]
