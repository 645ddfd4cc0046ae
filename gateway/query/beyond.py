"""The parts of a search that go beyond parameters of one type: `_filter`, `_list`, `_query`, `_type`, `_text` ...

They are read so that whoever judges a search sees what it asks for; nothing here carries them out.
Source: https://hl7.org/fhir/R4/search.html#list, #query, #text, #contained; https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from gateway.query.criteria import Refused, check_type, shown
from gateway.query.tree import Compared, Filter, Joined, Named, Negated
from gateway.specs import FhirTables

DEEPEST = 20
"""Deepest nesting of a filter."""
OPERATORS = (
    "eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "re",
)  # fmt: skip
"""Source: https://hl7.org/fhir/R4/search_filter.html#ops."""
_TOKEN = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[()\[\]])|(?P<word>[^\s()\[\]"]+))', re.ASCII)
_PATH = re.compile(r"\.?_?[A-Za-z][A-Za-z0-9\-]*(?:\.[A-Za-z][A-Za-z0-9\-]*)*\.?")
_LIST = re.compile(r"\$[a-z\-]+|[A-Za-z0-9\-.]{1,64}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]*")


class _Filtering:
    """Reads one filter from left to right. Errors: Refused, naming the place."""

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._tokens = list(_tokens(raw))
        self._at = 0

    def whole(self) -> Filter:
        found = self._any(0)
        if self._at < len(self._tokens):
            raise self._wrong("its end")
        return found

    def _any(self, depth: int) -> Filter:
        return self._joined("or", lambda: self._joined("and", lambda: self._one(depth)))

    def _joined(self, word: str, part: Callable[[], Filter]) -> Filter:
        parts = [part()]
        while self._peek() == word:
            self._at += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined("or" if word == "or" else "and", tuple(parts))

    def _one(self, depth: int) -> Filter:
        if depth > DEEPEST:
            raise Refused("too-costly", "SEARCH-FILTER", f"_filter is nested more than {DEEPEST} deep")
        if self._peek() == "not":
            self._at += 1
            self._take("(")
            return Negated(self._closed(")", depth))
        if self._peek() == "(":
            self._at += 1
            return self._closed(")", depth)
        return self._compared(depth)

    def _closed(self, mark: str, depth: int) -> Filter:
        found = self._any(depth + 1)
        self._take(mark)
        return found

    def _compared(self, depth: int) -> Compared:
        path, inner = self._next("a parameter", _PATH), None
        if self._peek() == "[":
            self._at += 1
            inner = self._closed("]", depth)
            path += self._next("a dot and what follows", _PATH) if (self._peek() or "").startswith(".") else ""
        operator = self._next(f"one of {', '.join(OPERATORS)}", re.compile("|".join(OPERATORS)))
        value = self._peek()
        if value is None or value in "()[]":
            raise self._wrong("a value")
        self._at += 1
        return Compared(path, inner, operator, value)

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self, what: str, form: re.Pattern[str]) -> str:
        token = self._peek()
        if token is None or not form.fullmatch(token):
            raise self._wrong(what)
        self._at += 1
        return token

    def _take(self, mark: str) -> None:
        if self._peek() != mark:
            raise self._wrong(mark)
        self._at += 1

    def _wrong(self, what: str) -> Refused:
        found = self._peek()
        at = f"before {shown(found)}" if found is not None else "at its end"
        return Refused("value", "SEARCH-FILTER", f"_filter can not be {shown(self._raw)}: {at} it lacks {what}")


def _tokens(raw: str) -> Iterator[str]:
    at, end = 0, len(raw.rstrip())
    while at < end:
        found = _TOKEN.match(raw, at)
        if found is None:
            raise Refused("value", "SEARCH-FILTER", f"_filter can not be {shown(raw)}: a text has no end")
        yield found["text"] or found["mark"] or found["word"]
        at = found.end()


def filter_of(raw: str) -> Filter:
    """A filter as a tree. Errors: Refused."""
    return _Filtering(raw).whole()


def _listed(name: str, form: re.Pattern[str], what: str) -> Callable[[str, FhirTables], Named]:
    def read(raw: str, _: FhirTables) -> Named:
        values = tuple(raw.split(","))
        if not all(form.fullmatch(value) for value in values):
            raise Refused("value", "SEARCH-VALUE", f"{name} can not be {shown(raw) or 'empty'}: it is {what}")
        return Named(name, raw, values)

    return read


def _types(name: str) -> Callable[[str, FhirTables], Named]:
    def read(raw: str, tables: FhirTables) -> Named:
        values = tuple(raw.split(","))
        for value in values:
            check_type(value, tables)
        return Named(name, raw, values)

    return read


def _words(name: str) -> Callable[[str, FhirTables], Named]:
    def read(raw: str, _: FhirTables) -> Named:
        if not raw.strip():
            raise Refused("required", "SEARCH-EMPTY", f"{name} has no value: leave it out or give one")
        return Named(name, raw, (raw,))

    return read


def _filter(raw: str, _: FhirTables) -> Named:
    return Named("_filter", raw, (raw,), filter_of(raw))


READERS: Mapping[str, Callable[[str, FhirTables], Named]] = {
    "_filter": _filter,
    "_list": _listed("_list", _LIST, "the id of a List, or the name of a functional one, such as $current-problems"),
    "_query": _listed("_query", _NAME, "the name of an operation"),
    "_type": _types("_type"),
    "_text": _words("_text"),
    "_content": _words("_content"),
    "_containedType": _listed("_containedType", re.compile("container|contained"), "container or contained"),
    "_contained": _listed("_contained", re.compile("true|false|both"), "true, false or both"),
}
"""By name, what reads each. `_contained=false` is what is meant without it, and said here where it was sent."""


def beyond(name: str, raw: str, tables: FhirTables) -> Named:
    """One such part. Errors: Refused."""
    return READERS[name](raw, tables)
