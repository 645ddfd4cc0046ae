"""JSON bytes to a resource and back, strictly, decimals as they were written.

Source: https://hl7.org/fhir/R4/json.html, RFC 8259
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import simplejson

from gateway.fhir.jsonfault import DEEPEST, LONGEST_NUMBER, TOO_LARGE, fault_of, number

Resource = dict[str, Any]
"""A FHIR resource or datatype as JSON; decimals are `decimal.Decimal`, so that 72.50 stays 72.50."""

_BEGINNING = 64
"""Here it shows whether JSON is written for people. Units: bytes."""
LONGEST_INTEGER = 18  # what fits into 64 bits; longer ones are kept as decimals

# An unclosed string runs to the end here, so that hostile input is read once.
_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


class JsonError(ValueError):
    """Bytes that are no JSON the gateway takes.

    Shape: `place` is where (`line 3 column 7, Patient.name[0].given`), `words` what is wrong, without the place.
    """

    def __init__(self, place: str, words: str) -> None:
        """Say where and what."""
        super().__init__(f"{place}: {words}")
        self.place = place
        self.words = words


def load(raw: bytes) -> Resource:
    """A JSON object that names its resource type.

    Errors: JsonError for bytes that aren't UTF-8 or JSON, a member twice in one object, NaN and Infinity, nesting
    deeper than 100, a number longer than 60 characters or beyond 10^6144, half a surrogate pair, anything but a
    resource at the top.
    """
    value = load_value(raw)
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise JsonError("the whole", "this is no FHIR resource: a JSON object with a resourceType is needed")
    return value


def load_value(raw: bytes) -> Any:
    """Any JSON, read as strictly.

    Errors: JsonError as `load`, whatever stands at the top.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        raise JsonError(f"line {line} column {column}", "this is not UTF-8") from error
    try:
        return _read(raw, text)
    except JsonError as error:
        found = fault_of(text)
        if found is None:
            raise
        raise JsonError(found.place, found.words) from error


def _read(raw: bytes, text: str) -> Any:
    """Any JSON, quickly; what is wrong is told without its place. Errors: JsonError."""
    if raw.count(b"{") + raw.count(b"[") > DEEPEST:
        _check_depth(raw)
    if b'": ' not in raw[:_BEGINNING]:
        value = _compact(text, raw)
        if value is not None:
            return value
    try:
        value = simplejson.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_constant,
            allow_nan=True,  # so that parse_constant, not the library's words, refuses them
        )
    except simplejson.JSONDecodeError as error:
        raise JsonError(f"line {error.lineno} column {error.colno}", "this is not JSON") from error
    if b"\\u" in raw:
        _check_characters(value)
    return value


def _compact(text: str, raw: bytes) -> Any:
    """What compact JSON says, where writing it again gives the same bytes; None where nothing proves that.

    Read without a look at each member: one that stands twice would not be written twice, and whatever else is odd would
    be written otherwise.
    """
    try:
        value, _ = _READER.raw_decode(text)
        return value if orjson.dumps(value, default=_written) == raw else None
    except (ValueError, TypeError, RecursionError):
        return None  # the strict reader says what is wrong, and where


def dump(resource: Resource | Sequence[Any]) -> bytes:
    """Compact UTF-8 JSON, members in the order they have.

    Errors: TypeError for what JSON can't hold: a decimal that is no number, half a surrogate pair.
    """
    return orjson.dumps(resource, default=_written)


def pretty(resource: Resource) -> bytes:
    """The same JSON for people: indented, with a last line end."""
    return orjson.dumps(resource, default=_written, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def canonical(resource: Resource) -> bytes:
    """JSON bytes that are equal where content is: members in alphabetical order, 72.5 apart from 72.50."""
    return orjson.dumps(resource, default=_written, option=orjson.OPT_SORT_KEYS)


def _written(value: Any) -> orjson.Fragment:
    """A decimal as it was written; orjson writes everything else of itself."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise TypeError("only finite decimals are left to write")
    return orjson.Fragment(str(value).encode())


def _check_depth(raw: bytes) -> None:
    depth = 0
    for mark in _MARKS.finditer(raw):
        if mark.group() in {b"{", b"["}:
            depth += 1
            if depth > DEEPEST:
                raise JsonError(f"byte {mark.start()}", f"objects and lists are nested deeper than {DEEPEST}")
        elif mark.group() in {b"}", b"]"}:
            depth -= 1


def _check_characters(value: Any) -> None:
    try:
        dump(value)
    except orjson.JSONEncodeError as error:
        raise JsonError("a string", "half of a surrogate pair stands alone") from error


def _object(pairs: list[tuple[str, Any]]) -> Resource:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise JsonError(twice[:60], "this member stands twice in one object")
    return found


def _integer(text: str) -> int | Decimal:
    _check_length(text)
    return Decimal(text) if text == "-0" or len(text) > LONGEST_INTEGER else int(text)


def _decimal(text: str) -> Decimal:
    _check_length(text)
    value = number(text)
    if value is None:
        raise JsonError(text[:20], TOO_LARGE)
    return value


def _check_length(text: str) -> None:
    if len(text) > LONGEST_NUMBER:
        raise JsonError(text[:20] + "...", f"this number is longer than {LONGEST_NUMBER} characters")


def _constant(text: str) -> None:
    raise JsonError(text, "this is not a JSON number")


_READER = json.JSONDecoder(parse_int=_integer, parse_float=_decimal, parse_constant=_constant)
