"""The text of a message cut into lines, one a segment, with what is wrong with the cutting.

Source: HL7 v2.5.1, chapter 2.5.2 (segments), 2.6 (encoding rules). Real senders end segments with CR, CR LF or LF; if
there is any CR, a bare LF is data.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.finding import Finding
from gateway.hl7v2 import findings

HEADER = "MSH"
NAME_LENGTH = 3
BLANKS = " \t\r\n\ufeff"
_HEAD = NAME_LENGTH + 1
_FRAME = ("\x0b", "\x1c")


class Lines(NamedTuple):
    """Lines as they stand, blank ones left out, and the findings."""

    lines: tuple[str, ...]
    found: tuple[Finding, ...]


def cut(text: str, separator: str) -> Lines:
    """Lines of a text that begins with MSH."""
    mixed = False
    if "\r" in text:
        if "\n" in text:
            text = text.replace("\r\n", "\r")
            mixed = "\n" in text
        lines = text.split("\r")
    else:
        lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    # The first four characters of every line say all that matters of a sound message: names end with the separator,
    # and the header stands once.
    heads = [line[:_HEAD] for line in lines]
    joined = "".join(heads)
    found: tuple[Finding, ...] = ()
    if joined[NAME_LENGTH::_HEAD] != separator * len(lines) or not _is_name(joined.replace(separator, "")):
        lines, found = _checked(lines, separator)
        heads = [line[:_HEAD] for line in lines]
    if heads.count(HEADER + separator) > 1 or HEADER in heads:
        found += (findings.second_message(f"{HEADER}[2]"),)
    if mixed:
        found += _hidden(lines, separator)
    if len(lines) == 1:
        found += _written(lines[0], separator)
    return Lines(tuple(lines), found)


def _is_name(text: str) -> bool:
    return text.isalnum() and text.isascii()


def _checked(lines: list[str], separator: str) -> tuple[list[str], tuple[Finding, ...]]:
    """Lines without marks and blanks before the name, and a finding for each that is no segment."""
    kept: list[str] = []
    found: list[Finding] = []
    for number, line in enumerate(lines, 1):
        bare = line.lstrip(BLANKS)
        if not bare:
            continue
        name = bare.split(separator, 1)[0].rstrip()
        if bare.startswith(_FRAME):
            found.append(findings.frame_end(number))
        elif len(name) != NAME_LENGTH or not _is_name(name):
            found.append(findings.not_a_segment(number, bare))
        kept.append(bare)
    return kept, tuple(found)


def _hidden(lines: list[str], separator: str) -> tuple[Finding, ...]:
    looks_like_segment = re.compile(rf"\n[A-Z][A-Z0-9]{{2}}{re.escape(separator)}")
    for number, line in enumerate(lines, 1):
        if "\n" in line and looks_like_segment.search(line):
            return (findings.mixed_line_ends(number),)
    return ()


def _written(line: str, separator: str) -> tuple[Finding, ...]:
    """A line that holds the escape sequence of a line end where a segment's end belongs."""
    found = re.search(rf"\\([rn])(?:\\n)?([A-Z][A-Z0-9]{{2}}){re.escape(separator)}", line)
    return () if found is None else (findings.written_line_end(found[1], found[2]),)
