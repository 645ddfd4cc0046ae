"""Batches: files of messages between header and trailer segments, cut without holding more than a piece in memory.

`parts` says where each part of a file stands and reads none of it as a message; whoever asks reads one at a time. Real
senders leave headers and trailers out, mix line ends, join files with byte order marks or MLLP frames in them: so a
part begins wherever a line does, ended by CR or LF, with a name that begins one, whatever delimiter follows.

Source: HL7 v2.5.1, chapter 2.10.3 (batch protocol), 2.15.2 (BHS), 2.15.3 (BTS), 2.15.6 (FHS), 2.15.7 (FTS).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import BinaryIO, Literal

from gateway.finding import Finding
from gateway.hl7v2 import characters
from gateway.hl7v2.delimiters import NULL, STANDARD, escape
from gateway.hl7v2.lines import BLANKS
from gateway.hl7v2.message import Segment
from gateway.hl7v2.reader import delimiters_of

Name = Literal["FHS", "BHS", "MSH", "BTS", "FTS", ""]

LONGEST_HEADER = 64 * 1024
"""Units: bytes of a header or trailer segment that are looked at."""

LONGEST_MESSAGE = 64 * 1024 * 1024
"""Units: bytes of a message of a file; a longer one is told and not read."""

_CHUNK = 64 * 1024
_CONTROL_ID = 11  # FHS-11 and BHS-11
_BLANKS = BLANKS.encode()
# What may stand between the end of a line and the name: blanks, byte order marks, the frames of MLLP. Sixteen are more
# than anyone sends, and keep what has to be looked at again at the edge of a chunk short.
_START = re.compile(rb"[\r\n][ \t\x0b\x1c\xef\xbb\xbf]{0,16}(FHS|BHS|MSH|BTS|FTS)(?=[!-/:-@\[-`{-~\r\n]|\Z)")
_LONGEST_START = 1 + 16 + 3 + 1
_LINE_END = re.compile(rb"[\r\n]")
_CONTENT = re.compile(rb"[^ \t\r\n\x0b\x1a\x1c\xef\xbb\xbf]")
_BEGINNING = re.compile(rb"(?:FHS|BHS)(?=[!-/:-@\[-`{-~\r\n]|\Z)")
_NAMES: dict[bytes, Name] = {b"FHS": "FHS", b"BHS": "BHS", b"MSH": "MSH", b"BTS": "BTS", b"FTS": "FTS"}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file: a header or trailer segment, a message, or (without a name) lines that belong to neither.

    Units: `start` and `end` in bytes from the beginning, `end` behind the last; parts follow each other without gaps.
    """

    name: Name
    start: int
    end: int


def is_batch(beginning: bytes) -> bool:
    """Whether a body that begins so is a batch: its first segment is FHS or BHS."""
    return _BEGINNING.match(beginning.lstrip(_BLANKS)) is not None


def parts(chunks: Iterable[bytes]) -> Iterator[Part]:
    """Parts of a file that comes in chunks.

    Shape: every byte stands in exactly one part, in order; blank lines belong to the part before them.
    Errors: none, whatever the bytes are.
    """
    splitter = _Splitter()
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.finish()


def pieces(file: BinaryIO, longest: int) -> Iterator[tuple[Part, bytes]]:
    """Parts of a file with their bytes, one at a time, from its beginning.

    Units: `longest` in bytes; of a longer part one byte more is given, so that it can be told.
    Errors: OSError.
    """
    for part in parts(_chunks(file)):
        file.seek(part.start)
        yield part, file.read(min(part.end - part.start, longest + 1))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """What stands in a file; others may read elsewhere in it meanwhile."""
    position = 0
    while True:
        file.seek(position)
        chunk = file.read(_CHUNK)
        if not chunk:
            return
        position += len(chunk)
        yield chunk


def in_batch(number: int, finding: Finding) -> Finding:
    """A finding of a message of a batch, its place with the message's number before it. Units: `number` from 1."""
    return replace(finding, expression=": ".join(filter(None, (f"message {number}", finding.expression))))


def lost(start: int) -> Finding:
    """What is said of lines of a batch that stand in no message. Units: `start` in bytes."""
    words = f"what stands from offset {start} on belongs to no message: take it out, or give it an MSH"
    return Finding("error", "structure", words, f"offset {start}", "HL7-BATCH")


class _Splitter:
    """Cuts as chunks come; what may be half a name at the end of one is looked at again with the next."""

    def __init__(self) -> None:
        # A line end that nobody sent stands before the first byte, so that a name there is found like all others.
        self._kept = b"\n"
        self._offset = -1
        self._name: Name = ""
        self._start = 0
        self._in_line = False  # of a header or trailer, which ends with its line
        self._has_content = False  # what stands in no segment of a batch and in no message
        self._ended: Part | None = None  # a header or trailer whose line has ended, and blanks may follow

    def feed(self, chunk: bytes) -> Iterator[Part]:
        """Parts that end before the next one begins in this chunk."""
        self._kept += chunk
        yield from self._cut(len(self._kept) - _LONGEST_START)

    def finish(self) -> Iterator[Part]:
        """The parts that are left."""
        end = self._offset + len(self._kept)
        yield from self._cut(len(self._kept))
        yield from self._close(end)
        if self._start < end:  # nothing but blanks in the whole file
            yield Part("", self._start, end)

    def _cut(self, until: int) -> Iterator[Part]:
        """Cut before each name that begins before `until`, and forget what was looked at."""
        buffer, position = self._kept, 0
        for found in _START.finditer(buffer):
            if found.start() >= until:
                break
            begins = found.start() + 1
            self._look(buffer, position, begins)
            yield from self._close(self._offset + begins)
            self._name = _NAMES[found[1]]
            self._in_line = self._name != "MSH"
            position = found.end()
        if position < until:
            self._look(buffer, position, until)
            position = until
        self._kept, self._offset = buffer[position:], self._offset + position

    def _look(self, buffer: bytes, position: int, until: int) -> None:
        """Go through bytes of the part at hand."""
        if self._in_line:
            end = _LINE_END.search(buffer, position, until)
            if end is None:
                return
            position = end.end()
            self._ended = Part(self._name, self._start, self._offset + position)
            self._name, self._start, self._in_line = "", self._offset + position, False
        if not self._name and not self._has_content:
            self._has_content = _CONTENT.search(buffer, position, until) is not None

    def _close(self, end: int) -> Iterator[Part]:
        """End the part at hand; blanks alone join the part before them, or the next one at the very beginning."""
        ended, self._ended = self._ended, None
        if ended is not None and not self._has_content:
            yield Part(ended.name, ended.start, end)
            self._start = end
        elif self._name or self._has_content:
            if ended is not None:
                yield ended
            yield Part(self._name, self._start, end)
            self._start = end
        self._name, self._in_line, self._has_content = "", False, False


@dataclass(frozen=True, slots=True)
class Header:
    """What a header segment, FHS or BHS, says.

    Shape: `control_id` is FHS-11 or BHS-11; `fault` says in words why the segment can't be cut into fields.
    """

    control_id: str | None
    fault: str | None = None


def header(raw: bytes) -> Header:
    """Read FHS or BHS, which have delimiters of their own.

    Errors: none, whatever the bytes are.
    """
    line = _line(raw)
    end = line.find(line[3:4], 4) if len(line) > 3 else -1  # noqa: PLR2004 - the name has three letters
    delimiters = delimiters_of(line[3:4], line[4:end] if end >= 0 else None)
    if isinstance(delimiters, Finding):
        return Header(None, delimiters.diagnostics.replace("MSH", line[:3]))
    control_id = Segment(line[:3], line, 1, 1, delimiters, characters.DEFAULT).whole(_CONTROL_ID)
    return Header(None if control_id == NULL else control_id)


def count(raw: bytes) -> str:
    """BTS-1 or FTS-1 as it was sent, empty where it wasn't; a trailer is cut by the character behind its name."""
    fields = _line(raw).split(_line(raw)[3:4] or STANDARD.field, 2)
    return fields[1].strip() if len(fields) > 1 else ""


def _line(raw: bytes) -> str:
    """The segment in a part, without what may stand before its name; its own character set is nobody's business."""
    text = raw[:LONGEST_HEADER].decode("utf-8", "replace").lstrip(BLANKS + "\x0b\x1c")
    return re.split("[\r\n]", text, maxsplit=1)[0]


def write_header(  # noqa: PLR0913 - each is a field of the segment, named at the call
    name: Literal["FHS", "BHS"],
    *,
    application: str,
    facility: str,
    domain: str,
    organisation: str,
    id: str,  # noqa: A002 - the control id, called so in acknowledgements too
    reference: str | None,
    comment: str = "",
    now: datetime,
) -> bytes:
    """FHS or BHS of a batch of acknowledgements.

    Shape: `reference` is the control id of what is answered (FHS-12, BHS-12), `id` one of our own.
    Units: `now` is aware; the time is in UTC, without offset.
    """
    fields = [
        name, STANDARD.encoding_characters, escape(application), escape(facility), escape(domain),
        escape(organisation), now.astimezone(UTC).strftime("%Y%m%d%H%M%S"), "", "", escape(comment), escape(id),
        escape(reference or ""),
    ]  # fmt: skip
    return _segment(fields)


def write_trailer(name: Literal["BTS", "FTS"], number: int, comment: str = "") -> bytes:
    """BTS or FTS: how many messages or batches came before it, and what is to be told about them."""
    return _segment([name, str(number), escape(comment)])


def _segment(fields: list[str]) -> bytes:
    return (STANDARD.field.join(fields).rstrip(STANDARD.field) + "\r").encode("utf-8", errors="replace")
