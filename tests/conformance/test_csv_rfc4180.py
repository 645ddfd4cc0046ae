"""Files as RFC 4180 has them, and as people send them: each case with the clause or the habit that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.tabular import Dialect, records
from gateway.tabular.records import utf16

UNCLOSED = "a quote that is opened here is never closed"
AFTER = "text follows a closing quote; double the quotes that belong to the text"
INSIDE = "a quote stands inside of text that is not quoted; quote the whole and double it"
SHORT = 500
LONG = f"the record is longer than {SHORT} bytes"
NUL = "a NUL byte stands in it: export the file as plain text"


USUAL = Dialect()


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes, and the records that they are: line, and cells or a fault with its column."""

    name: str
    sent: bytes
    expected: tuple[tuple[int, list[str] | tuple[str, int | None]], ...]
    dialect: Dialect = USUAL


BAR = Dialect(delimiter="|")
UNQUOTED = Dialect(quote=None)
CASES = (
    Case("2.1 each record on a line, ended by CRLF", b"a,b\r\nc,d\r\n", ((1, ["a", "b"]), (2, ["c", "d"]))),
    Case("2.2 the last line end may be missing", b"a,b\r\nc,d", ((1, ["a", "b"]), (2, ["c", "d"]))),
    Case("2.4 blanks are part of a field", b" a , b\r\n", ((1, [" a ", " b"]),)),
    Case("2.4 a last comma makes an empty field", b"a,b,\r\n", ((1, ["a", "b", ""]),)),
    Case("2.5 quotes round a field", b'"a","b"\r\n', ((1, ["a", "b"]),)),
    Case("2.5 quotes round some fields", b'a,"b"\r\n"c",d\r\n', ((1, ["a", "b"]), (2, ["c", "d"]))),
    Case("2.5 an empty field in quotes", b'"",a\r\n', ((1, ["", "a"]),)),
    Case("2.5 a lone empty field in quotes", b'""\r\na\r\n', ((1, [""]), (2, ["a"]))),
    Case("2.5 no quotes in what is not quoted", b'a"b,c\r\nd,e\r\n', ((1, (INSIDE, 1)), (2, ["d", "e"]))),
    Case("2.5 nothing behind a closing quote", b'x,"a"b\r\nd,e\r\n', ((1, (AFTER, 2)), (2, ["d", "e"]))),
    Case("2.6 a comma in quotes", b'"a,b",c\r\n', ((1, ["a,b", "c"]),)),
    Case("2.6 CRLF in quotes", b'"a\r\nb",c\r\nd,e\r\n', ((1, ["a\r\nb", "c"]), (3, ["d", "e"]))),
    Case("2.6 LF in quotes", b'"a\nb",c\nd,e', ((1, ["a\nb", "c"]), (3, ["d", "e"]))),
    Case("2.6 CR in quotes", b'"a\rb",c\rd,e', ((1, ["a\rb", "c"]), (3, ["d", "e"]))),
    Case("2.6 several lines in quotes", b'"a\r\n\r\nb"\r\nc\r\n', ((1, ["a\r\n\r\nb"]), (4, ["c"]))),
    Case("2.7 a doubled quote", b'"a ""b"" c"\r\n', ((1, ['a "b" c']),)),
    Case("2.7 doubled quotes alone", b'""""\r\n', ((1, ['"']),)),
    Case("2.7 a doubled quote before a line end in quotes", b'"a""\r\nb"\r\n', ((1, ['a"\r\nb']),)),
    Case("habit: LF ends lines", b"a,b\nc,d\n", ((1, ["a", "b"]), (2, ["c", "d"]))),
    Case("habit: CR ends lines", b"a,b\rc,d\r", ((1, ["a", "b"]), (2, ["c", "d"]))),
    Case("habit: line ends of all three kinds", b"a\r\nb\nc\rd", ((1, ["a"]), (2, ["b"]), (3, ["c"]), (4, ["d"]))),
    Case("habit: a BOM", b"\xef\xbb\xbfa,b\r\n", ((1, ["a", "b"]),)),
    Case("habit: a BOM before a quote", b'\xef\xbb\xbf"a",b\r\n', ((1, ["a", "b"]),)),
    Case("habit: nothing but a BOM", b"\xef\xbb\xbf", ()),
    Case("habit: empty lines", b"\r\na\r\n\r\nb\r\n\r\n", ((2, ["a"]), (4, ["b"]))),
    Case("habit: ragged rows are for the layout", b"a,b\r\nc\r\nd,e,f\r\n",
         ((1, ["a", "b"]), (2, ["c"]), (3, ["d", "e", "f"]))),
    Case("habit: another delimiter", b'a|"b|c"|d,e\r\n', ((1, ["a", "b|c", "d,e"]),), BAR),
    Case("habit: quotes that are text", b'5" pipe,"x\r\n', ((1, ['5" pipe', '"x']),), UNQUOTED),
    Case("fault: a quote that is never closed costs its own line alone", b'a,"b\r\nc,d\r\ne,f',
         ((1, (UNCLOSED, 2)), (2, ["c", "d"]), (3, ["e", "f"]))),
    Case("fault: a quote that is opened in the last line", b'a\r\n"', ((1, ["a"]), (2, (UNCLOSED, 1)))),
    Case("fault: NUL", b"a,b\x00\r\nc,d\r\n", ((1, (NUL, 2)), (2, ["c", "d"]))),
    Case("fault: a byte that is not UTF-8", b"a,b,\xff\r\nc\r\n",
         ((1, ("byte 0xFF is not utf-8: save the file in that encoding", 3)), (2, ["c"]))),
    Case("fault: such a byte behind a quoted comma", b'"a,b",\xe9\r\nc\r\n',
         ((1, ("byte 0xE9 is not utf-8: save the file in that encoding", 2)), (2, ["c"]))),
    Case("fault: a byte that windows-1252 has not", b"a\x81\r\n",
         ((1, ("byte 0x81 is not windows-1252: save the file in that encoding", 1)),),
         Dialect(encoding="windows-1252")),
    Case("encoding: windows-1252", b"\x93a\x94\r\n", ((1, ["\u201ca\u201d"]),), Dialect(encoding="windows-1252")),
    Case("encoding: iso-8859-1", b"\xe9,b\r\n", ((1, ["\u00e9", "b"]),), Dialect(encoding="iso-8859-1")),
    Case("limit: a line without end", b"a\r\n" + b"x" * (3 * SHORT) + b"\r\nb\r\n",
         ((1, ["a"]), (2, (LONG, None)), (3, ["b"]))),
    Case("limit: a field in quotes without end", b'a\r\n"' + b"x" * (3 * SHORT) + b'"\r\nb\r\n',
         ((1, ["a"]), (2, (LONG, None)), (3, ["b"]))),
    Case("limit: a quoted field of many lines costs its own line alone", b'1,"' + b"x\n" * 300 + b'y"\r\n',
         ((1, (UNCLOSED, 2)), *((line, ["x"]) for line in range(2, 301)), (301, (INSIDE, 1)))),
    Case("nothing", b"", ()),
)  # fmt: skip


def read(case: Case, piece: int) -> tuple[tuple[int, object], ...]:
    chunks = (case.sent[i : i + piece] for i in range(0, len(case.sent), piece))
    found = records(chunks, case.dialect, SHORT)
    return tuple((r.line, (r.fault, r.column) if r.fault is not None else r.cells) for r in found)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_file_is_cut_into_its_records_however_it_arrives(case: Case) -> None:
    for piece in (1, 2, 3, 7, 64 * 1024):
        assert read(case, piece) == case.expected


@pytest.mark.parametrize("start", [b"\xff\xfea\x00", b"\xfe\xff\x00a"])
def test_utf_16_is_known_by_its_beginning(start: bytes) -> None:
    assert utf16(start)
    assert not utf16(b"a,b")


def test_memory_is_bounded_by_the_longest_record() -> None:
    held: list[int] = []

    def endless() -> Iterator[bytes]:
        for _ in range(400):
            held.append(1)
            yield b"x" * 65536

    found = list(records(endless(), USUAL, SHORT))
    assert [record.fault for record in found] == [LONG]
    assert len(held) == 400
