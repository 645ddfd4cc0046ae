"""Bytes to `Message`: lazy, loss-free, and never raising.

`read` looks at the header alone; segments, fields and everything below are cut and unescaped when they are asked for.
The bytes are kept whole: `bytes(read(raw)) == raw`.

Source: HL7 v2.5.1, chapter 2.5 (message framework), 2.6 (encoding rules), 2.15.9 (MSH).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from gateway.finding import Finding, refuses
from gateway.hl7v2 import characters, findings
from gateway.hl7v2.delimiters import NULL, STANDARD, Delimiters
from gateway.hl7v2.lines import BLANKS, HEADER, NAME_LENGTH
from gateway.hl7v2.message import Message
from gateway.hl7v2.place import at_offset
from gateway.hl7v2.wrapped import wrapping

_BATCH_HEADERS = frozenset({"FHS", "BHS"})
_LENGTHS = frozenset({4, 5})
_TOO_LONG = 20  # characters of MSH-2 that are looked at: what is longer is refused all the same
_LONGEST_NAME = 200  # characters of MSH-18 that are looked at, since they are remembered
_CHARACTER_SET = 15  # MSH-18 among the fields behind MSH-2


class _Text(NamedTuple):
    """A body as text, the codec that it was read by, and what was found on the way."""

    text: str
    codec: str
    found: tuple[Finding, ...]


def read(raw: bytes, charset: str | None = None) -> Message:
    """Message in any bytes.

    Shape: `charset` is HTTP's, where it was sent; it governs, else MSH-18, else UTF-8. What can't be read is among
    `Message.findings`, and then `Message.readable` is false.
    Errors: none, whatever the bytes are.
    """
    body = raw.removeprefix(characters.BYTE_ORDER_MARK)
    try:
        text = body.decode()
        sure = True
    except UnicodeDecodeError:
        # The header is ASCII in every set offered, and says what the rest is.
        text = body.decode("latin-1")
        sure = False
    if not text.startswith(HEADER):
        text = text.lstrip(BLANKS)
        if not text.startswith(HEADER):
            return _unreadable(raw, _no_header(text, body))
    separator = text[3:4]
    end = text.find(separator, 4) if separator else -1
    delimiters = delimiters_of(separator, text[4 : min(end, _TOO_LONG)] if end >= 0 else None)
    if isinstance(delimiters, Finding):
        # MSH%7C: what looks like a header with the field separator % is one that was URL-encoded.
        return _unreadable(raw, (wrapping(body) if separator == "%" else None) or delimiters)
    declared = _character_set(text, end, separator)
    if sure and _is_default(charset) and (not declared or characters.codec_of(declared) == characters.DEFAULT):
        return Message(raw, text, delimiters, characters.DEFAULT, ())
    decoded = _decoded(raw, body, _first(declared, delimiters), charset, delimiters)
    return Message(raw, decoded.text.lstrip(BLANKS), delimiters, decoded.codec, decoded.found)


def _is_default(charset: str | None) -> bool:
    return charset is None or charset.strip().casefold() == characters.DEFAULT


def _character_set(text: str, end: int, separator: str) -> str:
    """MSH-18 as it stands; `end` is where MSH-2 ends."""
    stop = text.find("\r", end)
    if stop < 0:
        stop = text.find("\n", end)
    fields = text[end + 1 : stop if stop >= 0 else None].split(separator, _CHARACTER_SET + 1)
    return fields[_CHARACTER_SET][:_LONGEST_NAME] if len(fields) > _CHARACTER_SET else ""


def _unreadable(raw: bytes, finding: Finding) -> Message:
    return Message(raw, "", STANDARD, characters.DEFAULT, (finding,))


def _no_header(text: str, body: bytes) -> Finding:
    if not text:
        return findings.nothing()
    name = text[:NAME_LENGTH]
    if name in _BATCH_HEADERS:
        return findings.batch(name)
    return wrapping(body) or findings.no_header(body)


@functools.lru_cache(maxsize=256)
def delimiters_of(separator: str, encoding_characters: str | None) -> Delimiters | Finding:
    """Delimiters of MSH-1 and MSH-2, or why they can't be used; without encoding characters MSH-2 has no end."""
    if encoding_characters is None or "\r" in encoding_characters or "\n" in encoding_characters:
        return findings.short_header()
    for field, written in ((1, separator), (2, encoding_characters)):
        for character in written:
            if character.isalnum() or character == " " or not (character.isascii() and character.isprintable()):
                return findings.delimiter_unusable(character, field)
    if len(encoding_characters) not in _LENGTHS:
        return findings.encoding_characters(len(encoding_characters))
    # The separator can't stand in MSH-2: that is where MSH-2 ends.
    for character in encoding_characters:
        if encoding_characters.count(character) > 1:
            return findings.delimiter_twice(character)
    return Delimiters(separator, *encoding_characters)


def _first(declared: str, delimiters: Delimiters) -> str:
    """The first repetition of MSH-18 that says something: the set that a message begins in."""
    for spelling in declared.split(delimiters.repetition):
        stripped = spelling.strip()
        if stripped and stripped != NULL:
            return stripped
    return ""


def _decoded(raw: bytes, body: bytes, declared: str, charset: str | None, delimiters: Delimiters) -> _Text:
    """The body, which is the end of the raw bytes, by the character set that governs."""
    found: tuple[Finding, ...] = ()
    named = characters.codec_of(declared) if declared else characters.DEFAULT
    if charset is not None:
        governs, setting = characters.DEFAULT, "Content-Type"
        if not _is_default(charset):
            found = (findings.http_charset(charset),)
        elif named != governs and not (named == "ascii" and body.isascii()):
            found = (findings.charsets_disagree(declared, governs),)
    elif not named:
        governs, setting = characters.DEFAULT, "default"
        if named is None:
            found = (findings.unknown_charset(declared, refused=not body.isascii()),)
        else:
            found = (findings.charset_not_offered(declared),)
    else:
        governs, setting = named, "MSH-18" if declared else "default, as MSH-18 is empty"
    text, bad = characters.decode(body, governs)
    if bad is not None and not refuses(found):
        place = at_offset(body[: bad.offset].decode("latin-1"), delimiters)
        offset = len(raw) - len(body) + bad.offset
        found += (findings.bad_byte(bad, offset, place, governs, setting),)
    return _Text(text, governs, found)
