"""Cuts JSON text into its members without writing it anew, so that what was sent comes back as it was sent.

Every function here takes text that `fhir.load` has read already: it is valid JSON, no object has a key twice, and its
nesting is bounded. One regular expression steps over a whole value; parsing and dumping again costs four times as much
and loses the spelling of numbers.

Source: RFC 8259.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gateway import fhir

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_DEPTH = 110
"""Nesting that the expression follows: some more than `fhir.load` lets through."""


def _nested(opening: bytes, closing: bytes) -> bytes:
    """An object or array with all that is in it; brackets of the other kind need no counting in valid JSON."""
    run = rb'[^"' + opening + closing + rb"]*+"
    pattern = opening + run + rb"(?:" + _STRING + run + rb")*+" + closing
    for _ in range(_DEPTH):
        pattern = opening + run + rb"(?:(?:" + _STRING + rb"|" + pattern + rb")" + run + rb")*+" + closing
    return pattern


_OBJECT = re.compile(_nested(rb"\{", rb"\}"))
_ARRAY = re.compile(_nested(rb"\[", rb"\]"))
_SCALAR = re.compile(_STRING + rb"|[^\s,\]}]++")
_BY_FIRST = {ord("{"): _OBJECT, ord("["): _ARRAY}
_KEY = re.compile(rb"[\s,{]*+(" + _STRING + rb")\s*+:\s*+")
_ITEM = re.compile(rb"[\s,\[]*+")
_BLANKS = b" \t\r\n"
_END_OF_ARRAY = ord("]")
_SERVERS = frozenset({"versionId", "lastUpdated"})
_OWN = frozenset({"resourceType", "id", "meta"})
_LEADING = frozenset({b'"resourceType"', b'"id"', b'"meta"'})


class Member(NamedTuple):
    """One member of an object. Units: byte offsets; `start` is that of its key, `value` that of its value."""

    key: str
    start: int
    value: int
    end: int


def end_of(raw: bytes, start: int) -> int:
    """Where the value that starts at `start` ends. Units: byte offsets."""
    pattern = _BY_FIRST.get(raw[start], _SCALAR)
    match = pattern.match(raw, start)
    if match is None:
        raise ValueError("the text was not checked by fhir.load")
    return match.end()


def members(raw: bytes, start: int) -> Iterator[Member]:
    """The members of the object that starts at `start`, in their order."""
    position = start
    while match := _KEY.match(raw, position):
        end = end_of(raw, match.end())
        yield Member(_key(match[1]), match.start(1), match.end(), end)
        position = end


def _key(text: bytes) -> str:
    return json.loads(text) if b"\\" in text else text[1:-1].decode()


def first_object(raw: bytes) -> int:
    """Where the outermost object starts: a byte order mark or blanks may stand before it."""
    return raw.index(b"{")


def entry_resources(raw: bytes) -> list[tuple[int, int] | None]:
    """Where the resource of each entry of a Bundle stands, None for an entry without one.

    Shape: `entry`, where there is one, is an array of objects.
    """
    found: list[tuple[int, int] | None] = []
    position = first_object(raw)
    while match := _KEY.match(raw, position):
        if _key(match[1]) == "entry":
            break
        position = end_of(raw, match.end())
    else:
        return found
    position = _items(raw, match.end())
    while raw[position] != _END_OF_ARRAY:
        place = None
        for member in members(raw, position):
            position = member.end
            if member.key == "resource":
                place = (member.value, member.end)
        found.append(place)
        position = _items(raw, raw.index(b"}", position) + 1)
    return found


def _items(raw: bytes, position: int) -> int:
    match = _ITEM.match(raw, position)
    return match.end() if match else position


def content(raw: bytes, start: int, end: int, expected: int) -> bytes:
    """A resource's text without the server's own part: what is left of `meta`, its closing brace, all other members.

    Shape: `expected` is how many of resourceType, id and meta the resource has; `head(...) + content(...)` is the
    whole text, each member as it was sent.
    """
    meta = b""
    position, seen = start, 0
    while seen < expected and (match := _KEY.match(raw, position)) and match[1] in _LEADING:
        position, seen = end_of(raw, match.end()), seen + 1
        if match[1] == b'"meta"':
            meta = _meta(raw, match.end(), position)
    if seen == expected:  # the rest is one stretch
        rest = raw[position if seen else start + 1 : end - 1].strip(_BLANKS).removeprefix(b",").lstrip(_BLANKS)
    else:
        rest = _without(raw, start, _OWN)
        meta = b"".join(_meta(raw, m.value, m.end) for m in members(raw, start) if m.key == "meta")
    return b"".join((b"," if meta else b"", meta, b"},", rest, b"}") if rest else (b"," if meta else b"", meta, b"}}"))


def content_of(resource: Mapping[str, Any]) -> bytes:
    """What `content` cuts out of a resource's text, for a resource that has no text yet."""
    own = {name: value for name, value in resource.get("meta", {}).items() if name not in _SERVERS}
    rest = {name: value for name, value in resource.items() if name not in _OWN}
    meta = b"," + fhir.dump(own)[1:-1] if own else b""
    return b"".join((meta, b"},", fhir.dump(rest)[1:])) if rest else meta + b"}}"


def _meta(raw: bytes, start: int, end: int) -> bytes:
    """The members of `meta` that are not the server's."""
    text = raw[start:end]
    if b"versionId" in text or b"lastUpdated" in text or b"\\" in text:
        return _without(raw, start, _SERVERS)
    return text[1:-1].strip(_BLANKS)


def _without(raw: bytes, start: int, keys: frozenset[str]) -> bytes:
    """The members of an object but for some, as they stand, joined by commas, without the braces."""
    return b",".join([raw[m.start : m.end] for m in members(raw, start) if m.key not in keys])


def head(type_: str, id_: str, version: int, updated: str) -> bytes:
    """The server's own part of a resource's text. Shape: `updated` is an instant."""
    return (
        f'{{"resourceType":"{type_}","id":"{id_}","meta":{{"versionId":"{version}","lastUpdated":"{updated}"'
    ).encode()
