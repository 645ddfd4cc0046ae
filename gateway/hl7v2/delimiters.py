r"""Delimiters of a message, and the escape sequences that keep text apart from them.

Source: HL7 v2.5.1, chapter 2.5.4 (message delimiters) and 2.7 (escape sequences in text fields); the truncation
character and `\P\` are 2.7's.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NULL = '""'
"""A value sent to be deleted: two quotes, which is not the same as no value (2.5.1, chapter 2.5.3)."""


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The characters that a message is cut by.

    Shape: each is one character; `truncation` is empty where MSH-2 has only four.
    """

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding_characters(self) -> str:
        """MSH-2 as it is written."""
        return f"{self.component}{self.repetition}{self.escape}{self.subcomponent}{self.truncation}"


STANDARD = Delimiters()

# What a reader could take for the end of a line or of a frame, beside C0 control characters: DEL, C1, and Unicode's
# own separators, which `str.splitlines` and many receivers cut at.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_COMMAND = re.compile(r"\.(sp|sk|in|ti)\s*[+-]?(\d{0,3})", re.IGNORECASE)
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")
_DROPPED = frozenset({"H", "N", ".fi", ".nf"})
_BREAKS = frozenset({".br", ".ce"})


def escape(text: str, delimiters: Delimiters = STANDARD) -> str:
    r"""Text as it may stand in one leaf of a message: no delimiter, no control character, no line separator.

    Shape: control characters become `\Xhh..\` with the bytes of UTF-8, so `unescape` gives the same text back.
    """
    table = _escapes(delimiters)
    if not _UNSAFE.search(text) and not any(c in text for c in table):
        return text
    mark = delimiters.escape
    parts = [table.get(c, c) for c in text]
    return _UNSAFE.sub(lambda m: f"{mark}X{m[0].encode().hex().upper()}{mark}", "".join(parts))


def unescape(text: str, delimiters: Delimiters = STANDARD, codec: str = "utf-8") -> str:
    r"""Text with its escape sequences replaced by what they stand for.

    Shape: formatting commands become line breaks and blanks or are dropped; what is no sequence of the standard, is
    local (`\Z..\`) or can't be decoded stays as the sender wrote it.
    """
    mark = delimiters.escape
    if mark not in text:
        return text
    pieces: list[str] = []
    position = 0
    opening = text.find(mark)
    while opening >= 0:
        closing = text.find(mark, opening + 1)
        if closing < 0:
            break
        meaning = _meaning(text[opening + 1 : closing], delimiters, codec)
        if meaning is None:
            # The second mark may open the next sequence: `C:\dir\F\x`.
            opening = closing
            continue
        pieces.append(text[position:opening])
        pieces.append(meaning)
        position = closing + 1
        opening = text.find(mark, position)
    pieces.append(text[position:])
    return "".join(pieces)


def _meaning(code: str, delimiters: Delimiters, codec: str) -> str | None:
    plain = _characters(delimiters).get(code)
    if plain is not None:
        return plain
    if code.startswith("X"):
        return _from_hex(code, codec)
    folded = code.lower() if code.startswith(".") else code
    if folded in _BREAKS:
        return "\n"
    if folded in _DROPPED:
        return ""
    command = _COMMAND.fullmatch(code)
    if command is None:
        return None
    name, count = command[1].lower(), int(command[2] or "1")
    return {"sp": "\n", "sk": " "}.get(name, "") * count


def _from_hex(code: str, codec: str) -> str | None:
    digits = _HEX.fullmatch(code)
    if digits is None:
        return None
    try:
        return bytes.fromhex(digits[1]).decode(codec)
    except UnicodeDecodeError:
        return None


@functools.lru_cache(maxsize=256)
def _characters(delimiters: Delimiters) -> Mapping[str, str]:
    found = {
        "F": delimiters.field,
        "S": delimiters.component,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "T": delimiters.subcomponent,
    }
    if delimiters.truncation:
        found["P"] = delimiters.truncation
    return MappingProxyType(found)


@functools.lru_cache(maxsize=256)
def _escapes(delimiters: Delimiters) -> Mapping[str, str]:
    mark = delimiters.escape
    return MappingProxyType({c: f"{mark}{code}{mark}" for code, c in _characters(delimiters).items()})
