"""TOML with places: what a file says, and where it says it.

Python's own reader tells no positions, so the keys are looked up in the text again, line by line.
Source: https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.source import Diagnostic, Source, Span
from gateway.tabular import messages

Path = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_PATH})[ \t]*\]\]?")
_KEY = re.compile(rf"[ \t]*({_PATH})[ \t]*=[ \t]*")
_PARTS = re.compile(_PART)
_STRING = re.compile(r"""\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''.*?'''|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*""", re.DOTALL)
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Located:
    """What a file says.

    Shape: `data` as Python reads TOML; `keys` and `values` are the places of each key and of what stands behind it.
    """

    source: Source
    data: Mapping[str, Any]
    keys: Mapping[Path, Span] = field(default_factory=dict)
    values: Mapping[Path, Span] = field(default_factory=dict)

    def key(self, *path: str | int) -> Span:
        """Where a key stands; of one that can't be found, where that stands which holds it."""
        return _nearest(self.keys, path, self.source)

    def value(self, *path: str | int) -> Span:
        """Where a value stands."""
        return _nearest(self.values, path, self.source)


def _nearest(known: Mapping[Path, Span], path: Path, source: Source) -> Span:
    for length in range(len(path), 0, -1):
        if path[:length] in known:
            return known[path[:length]]
    return Span(source, 0, len(source.line(1)))


def read(source: Source) -> Located | Diagnostic:
    """Read a file.

    Errors: a Diagnostic for what is no TOML.
    """
    try:
        data = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        return _broken(source, str(error))
    keys: dict[Path, Span] = {}
    values: dict[Path, Span] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    at, text = 0, source.text
    while at < len(text):
        end = _line_end(text, at)
        header = _HEADER.match(text, at, end)
        key = None if header else _KEY.match(text, at, end)
        if header is not None:
            table = _parts(header[2])
            span = Span(source, header.start(1), header.end())
            keys.setdefault(table, span)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
                keys[table] = span
            values.setdefault(table, span)
        elif key is not None:
            path = (*table, *_parts(key[1]))
            end = _value_end(text, key.end())
            for length in range(len(table) + 1, len(path) + 1):
                keys.setdefault(path[:length], Span(source, key.start(1), key.end(1)))
            values[path] = Span(source, key.end(), key.end() + len(text[key.end() : end].rstrip()))
            end = _line_end(text, end)
        at = end + 1
    return Located(source, data, keys, values)


def _broken(source: Source, words: str) -> Diagnostic:
    place = _AT.search(words)
    line, column = (int(place[1]), int(place[2])) if place and place[1] else (source.text.count("\n") + 1, 1)
    start = sum(len(one) + 1 for one in source.text.split("\n")[: line - 1]) + column - 1
    said = _AT.sub("", words)
    return messages.NO_TOML.at(Span(source, start, start + 1), words=said[:1].lower() + said[1:])


def _parts(text: str) -> Path:
    """The steps of a dotted key."""
    found = []
    for part in _PARTS.findall(text):
        if part[0] == "'":
            found.append(part[1:-1])
        elif part[0] == '"':
            found.append(str(tomllib.loads(f"a = {part}")["a"]))
        else:
            found.append(part)
    return tuple(found)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _value_end(text: str, at: int) -> int:
    """Where a value ends, over several lines where it is a list or a text of several; a comment is no part of it."""
    depth, start = 0, at
    while at < len(text):
        string = _STRING.match(text, at)
        if string is not None:
            if string[0][0] == "#" and depth == 0:
                return at
            at = string.end()
            continue
        if text[at] in "[{":
            depth += 1
        elif text[at] in "]}":
            depth -= 1
        elif text[at] == "\n" and depth <= 0 and at > start:
            return at
        at += 1
    return at
