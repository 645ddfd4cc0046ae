"""Bytes to records: lines cut into cells, whatever the bytes are.

Source: RFC 4180; beyond it what real files have: CR or LF alone as the end of a line, another delimiter, a BOM, a
missing last line end, empty lines.
"""

from __future__ import annotations

import codecs
import csv
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST = 1024 * 1024
"""Units: bytes; a record that is longer is a fault, and is never held in memory."""

_END = re.compile(rb"\r\n|\r|\n")
_SHORT = 100_000  # Python's own reader takes cells up to 131072 characters
_BOM = codecs.BOM_UTF8
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written.

    Shape: `delimiter` is one ASCII character; `quote` is one, or None where quotes are text like any other; `encoding`
    is one of `ENCODINGS`.
    """

    delimiter: str = ","
    quote: str | None = '"'
    encoding: str = "utf-8"


ENCODINGS = {"utf-8": "utf-8", "iso-8859-1": "latin-1", "windows-1252": "cp1252"}
"""Encodings by the name that layouts give them: all write ASCII as ASCII does, so that lines can be cut first."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Shape: `cells` are empty where `fault` says why it could not be cut; `column` is the cell in which the fault is.
    Units: `line` where it begins, `column` from 1.
    """

    line: int
    cells: list[str]
    fault: str | None = None
    column: int | None = None


def records(chunks: Iterable[bytes], dialect: Dialect, longest: int = LONGEST) -> Iterator[Record]:
    """Records of a file in pieces, each as soon as it is whole; empty lines are passed over.

    Units: `longest` in bytes.
    Errors: never raised; what can't be read is a record with a fault, and the next line begins afresh.
    """
    quote = dialect.quote.encode() if dialect.quote else b""
    delimiter = dialect.delimiter.encode()
    lines = _Lines(chunks, longest)
    while (line := lines.next()) is not None:
        start, raw = lines.number, line.content
        if line.fault is not None:
            yield Record(start, [], line.fault)
        elif quote and quote in raw:
            yield from _quoted(lines, start, raw + line.end, delimiter, quote, dialect)
        elif raw:
            yield _decoded(start, raw, dialect, None)


def _quoted(
    lines: _Lines, start: int, raw: bytes, delimiter: bytes, quote: bytes, dialect: Dialect
) -> Iterator[Record]:
    """A record with quotes: it goes on over line ends for as long as a quote is open."""
    if _whole(delimiter, quote).fullmatch(raw):  # nearly every record; what isn't is looked at step by step
        yield _decoded(start, raw.rstrip(b"\r\n"), dialect, quote)
        return
    pieces, size, scan = [raw], len(raw), _Scan(delimiter, quote)
    scan.feed(raw)
    first = lines.mark() if scan.open else None
    while first is not None and scan.open:
        line = lines.next()
        if line is None or line.fault is not None or size + len(line.content) > lines.longest:
            # the quote is never closed: the lines behind it are read as if it had not been there
            lines.back(first)
            yield Record(start, [], "a quote that is opened here is never closed", scan.cell)
            return
        piece = line.content + line.end
        pieces.append(piece)
        size += len(piece)
        scan.feed(piece)
    lines.release()
    if scan.fault is not None:
        yield Record(start, [], scan.fault, scan.cell)
    else:
        pieces[-1] = pieces[-1].rstrip(b"\r\n")
        yield _decoded(start, b"".join(pieces), dialect, quote)


@functools.cache
def _whole(delimiter: bytes, quote: bytes) -> re.Pattern[bytes]:
    """A line whose quotes all open and close as they should; takes linear time."""
    d, q = re.escape(delimiter), re.escape(quote)
    cell = rb"(?:%b(?:[^%b]|%b%b)*+%b|[^%b%b\r\n]*+)" % (q, q, q, q, q, q, d)
    return re.compile(cell + rb"(?:%b%b)*+[\r\n]*+" % (d, cell))


class _Scan:
    """Where quotes stand in a record, as far as it has come."""

    __slots__ = ("_delimiter", "_quote", "_stop", "cell", "fault", "open")

    def __init__(self, delimiter: bytes, quote: bytes) -> None:
        self._delimiter = delimiter
        self._quote = quote
        self._stop = re.compile(b"[" + re.escape(delimiter) + re.escape(quote) + b"]")
        self.open = False
        self.cell = 1
        self.fault: str | None = None

    def feed(self, piece: bytes) -> None:
        """Go through one more line."""
        quote, at, size = self._quote[0], 0, len(piece)
        end = len(piece.rstrip(b"\r\n"))
        begins = not self.open  # of a cell
        while at < size:
            if self.open:
                at = piece.find(self._quote, at)
                if at < 0:
                    return
                at += 1
                if piece[at : at + 1] == self._quote:  # RFC 4180 section 2.7: a quote in quotes is doubled
                    at += 1
                    continue
                self.open = begins = False
                rest = piece[at : at + 1]
                if rest not in {self._delimiter, b"\r", b"\n", b""}:
                    self.fault = "text follows a closing quote; double the quotes that belong to the text"
                    return
                continue
            if begins and piece[at] == quote:
                self.open, begins = True, False
                at += 1
                continue
            found = self._stop.search(piece, at, end)
            if found is None:
                return
            if found[0] == self._quote:
                self.fault = "a quote stands inside of text that is not quoted; quote the whole and double it"
                return
            self.cell += 1
            begins = True
            at = found.end()


def _decoded(line: int, raw: bytes, dialect: Dialect, quote: bytes | None) -> Record:
    """A record as texts, or the fault of its bytes."""
    try:
        text = raw.decode(ENCODINGS[dialect.encoding])
    except UnicodeDecodeError as fault:
        before = raw[: fault.start]
        if quote is None:
            column = before.count(dialect.delimiter.encode()) + 1
        else:
            scan = _Scan(dialect.delimiter.encode(), quote)
            scan.feed(before)
            column = scan.cell
        words = f"byte 0x{raw[fault.start]:02X} is not {dialect.encoding}: save the file in that encoding"
        return Record(line, [], words, column)
    cells = text.split(dialect.delimiter) if quote is None else _cells(text, dialect.delimiter, quote.decode())
    if "\x00" in text:
        column = next(i for i, cell in enumerate(cells, 1) if "\x00" in cell)
        return Record(line, [], "a NUL byte stands in it: export the file as plain text", column)
    return Record(line, cells)


def _cells(text: str, delimiter: str, quote: str) -> list[str]:
    """Cells of a record whose quotes are known to be right."""
    if len(text) <= _SHORT:
        return next(csv.reader((text,), delimiter=delimiter, quotechar=quote, strict=True))
    cells: list[str] = []
    at, size = 0, len(text)
    while True:
        if text.startswith(quote, at):
            parts = []
            at += 1
            while True:
                end = text.index(quote, at)
                parts.append(text[at:end])
                at = end + 1
                if not text.startswith(quote, at):
                    break
                parts.append(quote)
                at += 1
            cells.append("".join(parts))
        else:
            end = text.find(delimiter, at)
            end = size if end < 0 else end
            cells.append(text[at:end])
            at = end
        if at >= size:
            return cells
        at += 1  # the delimiter


@dataclass(frozen=True, slots=True)
class _Line:
    content: bytes
    end: bytes
    fault: str | None = None


class _Lines:
    """Lines of a file in pieces, numbered; the last few can be read again."""

    def __init__(self, chunks: Iterable[bytes], longest: int) -> None:
        self._chunks = iter(chunks)
        self.longest = longest
        self._buffer = b""
        self._at = 0
        self._kept = False  # whether what was read since `mark` may be read again
        self._over = False
        self._begun = False
        self.number = 0

    @property
    def _too_long(self) -> str:
        return f"the record is longer than {self.longest} bytes"

    def mark(self) -> tuple[int, int]:
        """The place behind the line that was just read; what follows stays in memory until `back` or `release`."""
        self._buffer, self._at, self._kept = self._buffer[self._at :], 0, True
        return self._at, self.number

    def back(self, place: tuple[int, int]) -> None:
        """Read on from a marked place."""
        self._at, self.number = place
        self._kept = False

    def release(self) -> None:
        """Keep nothing of what was read any longer."""
        self._kept = False

    def next(self) -> _Line | None:
        """The next line, None at the end; one that is too long is passed over and is a fault."""
        found, dropped, searched = None, 0, self._at
        while True:
            found = _END.search(self._buffer, searched)
            if found is not None and (found.end() < len(self._buffer) or self._over or found[0] != b"\r"):
                break
            if self._over:
                return self._last(dropped)
            # a CR at the end of a piece may be half of a CR LF
            searched = max(self._at, len(self._buffer) - 1)
            # one more than the longest: a CR that may be the line's end is not of its content
            if len(self._buffer) - self._at > self.longest + 1:
                if self._kept:  # whoever keeps so much goes back
                    return _Line(b"", b"", self._too_long)
                dropped += len(self._buffer) - self._at - 1
                self._buffer, self._at, searched = self._buffer[-1:], 0, 0
            begun = self._begun
            self._more()
            if not begun:
                searched = self._at
        content, self._at = self._buffer[self._at : found.start()], found.end()
        self.number += 1
        self._trim()
        return self._checked(content, found[0], dropped)

    def _last(self, dropped: int) -> _Line | None:
        content, self._at = self._buffer[self._at :], len(self._buffer)
        if not content and not dropped:
            return None
        self.number += 1
        return self._checked(content, b"", dropped)

    def _checked(self, content: bytes, end: bytes, dropped: int) -> _Line:
        if dropped + len(content) > self.longest:
            return _Line(b"", end, self._too_long)
        return _Line(content, end)

    def _more(self) -> None:
        piece = next(self._chunks, None)
        if piece is None:
            self._over = True
            return
        self._buffer += piece
        if not self._begun and (len(self._buffer) >= len(_BOM) or not _BOM.startswith(self._buffer)):
            self._begun = True
            self._buffer = self._buffer.removeprefix(_BOM)

    def _trim(self) -> None:
        """Forget what was read, once it is worth copying the rest."""
        if not self._kept and self._at > len(self._buffer) // 2 and self._at > LONGEST // 16:
            self._buffer, self._at = self._buffer[self._at :], 0


def utf16(start: bytes) -> bool:
    """Whether a file begins as one in UTF-16 does."""
    return start.startswith(_UTF16)
