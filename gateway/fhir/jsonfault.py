"""What is wrong with a text that is no JSON the gateway takes, and where: line, column and path.

Asked only of what the reader refused: the reader is fast and knows no places. What the two refuse is the same, which a
property test holds. Source: RFC 8259, https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple

from gateway.fhir.cleaning import clean

DEEPEST = 100
LONGEST_NUMBER = 60
LARGEST_EXPONENT = 6144  # what IEEE 754's decimal128 holds; past some such limit arithmetic fails
TOO_LARGE = "this number is too large or too small to reckon with"
_LONGEST_SHOWN = 40
_LONGEST_PATH = 200

_BLANKS = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z.+_])")
_LITERAL = re.compile(r"(?:true|false|null)(?![A-Za-z0-9_])")
_WORD = re.compile(r"[^\s,:\[\]{}\"]+")
_COMMENT = re.compile(r"//|/\*|#")
_NUMERIC = re.compile(r"[+-]?\.?[0-9]|[+-]?(?:NaN|Infinity)")
_SURROGATE = re.compile(r"\\u([dD][89a-fA-F][0-9a-fA-F]{2})")
_ESCAPE = re.compile(r"\\(?:[\"\\/bfnrt]|u[0-9a-fA-F]{4})")


class JsonFault(NamedTuple):
    """One fault. Units: line and column from 1, in characters; `path` is FHIRPath-like, empty for the whole."""

    line: int
    column: int
    path: str
    words: str

    @property
    def place(self) -> str:
        """Line and column, and the path where there is one."""
        return f"line {self.line} column {self.column}" + (f", {self.path}" if self.path else "")


@dataclass(slots=True)
class _Open:
    """An object or list that has begun."""

    kind: Literal["{", "["]
    start: int
    names: set[str] = field(default_factory=set)
    name: str = ""
    index: int = 0


class _Wrong(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, at: int, words: str) -> None:
        self.at = at
        self.words = f"this is not JSON: {words}"


class _Refused(_Wrong):
    """It is JSON, but none that the gateway takes."""

    def __init__(self, at: int, words: str) -> None:
        self.at = at
        self.words = words


def fault_of(text: str) -> JsonFault | None:
    """The first thing in a text that is no JSON as the gateway takes it; None where there is none."""
    scan = _Scan(text)
    try:
        scan.whole()
    except _Wrong as wrong:
        line = text.count("\n", 0, wrong.at) + 1
        column = wrong.at - (text.rfind("\n", 0, wrong.at) + 1) + 1
        return JsonFault(line, column, clean(scan.path())[:_LONGEST_PATH], clean(wrong.words))
    return None


class _Scan:
    """One pass over a text; no recursion, so that no depth can end it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.open: list[_Open] = []
        self.root = ""

    def path(self) -> str:
        """Where the scan stands, `Patient.name[0].given`."""
        found = self.root
        for one in self.open:
            found += f"[{one.index}]" if one.kind == "[" else f".{one.name}" if one.name else ""
        return found.removeprefix(".")

    def whole(self) -> None:
        """Go over all of it. Errors: _Wrong."""
        self.at = len(self.text) - len(self.text.removeprefix("\ufeff"))
        self.blanks()
        if self.at == len(self.text):
            raise _Wrong(self.at, "there is nothing in it")
        self.value()
        while self.open:
            self.next()
        self.blanks()
        if self.at < len(self.text):
            raise _Wrong(self.at, self.comment() or "something stands behind its end")

    def blanks(self) -> None:
        match = _BLANKS.match(self.text, self.at)
        self.at = match.end() if match is not None else self.at

    def comment(self) -> str:
        return "JSON has no comments: take it out" if _COMMENT.match(self.text, self.at) else ""

    def value(self) -> None:
        """One value, or the beginning of an object or list. Errors: _Wrong."""
        begins = self.text[self.at : self.at + 1]
        if begins in {"{", "["} and begins:
            if len(self.open) >= DEEPEST:
                raise _Refused(self.at, f"objects and lists are nested deeper than {DEEPEST}")
            self.open.append(_Open("{" if begins == "{" else "[", self.at))
            self.at += 1
            self.blanks()
            if self.text[self.at : self.at + 1] == ("}" if begins == "{" else "]"):
                self.close()
            elif begins == "{":
                self.member()
            else:
                self.value_of_list()
        elif begins == '"':
            self.string()
        else:
            self.scalar()

    def value_of_list(self) -> None:
        if self.text[self.at : self.at + 1] == ",":
            raise _Wrong(self.at, "a value is missing before this comma: take the comma out")
        self.value()

    def next(self) -> None:
        """What stands behind a value of an object or list. Errors: _Wrong."""
        self.blanks()
        inner = self.open[-1]
        ends, thing = ("}", "member") if inner.kind == "{" else ("]", "value")
        found = self.text[self.at : self.at + 1]
        if found == ends:
            self.close()
            return
        if not found:
            line = self.text.count("\n", 0, inner.start) + 1
            kind = "object" if inner.kind == "{" else "list"
            raise _Wrong(self.at, f"the text ends inside the {kind} that begins in line {line}: {ends} is missing")
        if found != ",":
            raise _Wrong(self.at, self.comment() or f"a comma or {ends} is missing before the next {thing}")
        comma = self.at
        self.at += 1
        self.blanks()
        if self.text[self.at : self.at + 1] in {"}", "]"} and self.at < len(self.text):
            raise _Wrong(comma, "a comma stands before the end: take it out")
        if inner.kind == "{":
            self.member()
        else:
            inner.index += 1
            self.value_of_list()

    def close(self) -> None:
        self.at += 1
        self.open.pop()

    def member(self) -> None:
        """A member's name and its value. Errors: _Wrong."""
        inner = self.open[-1]
        inner.name = ""
        start = self.at
        if self.text[start : start + 1] != '"':
            if start == len(self.text):
                raise _Wrong(start, "the text ends where a member's name is missing")
            raise _Wrong(start, self.comment() or "a member's name is missing: write it in double quotes")
        name = self.string()
        inner.name = name
        if name in inner.names:
            raise _Refused(start, "this member stands twice in one object")
        inner.names.add(name)
        self.blanks()
        if self.text[self.at : self.at + 1] != ":":
            raise _Wrong(self.at, self.comment() or "a colon is missing behind the member's name")
        self.at += 1
        self.blanks()
        begin = self.at
        self.value()
        if name == "resourceType" and len(self.open) == 1 and self.text[begin] == '"':
            self.root = self.text[begin + 1 : self.at - 1]

    def string(self) -> str:
        """A text; what it says. Errors: _Wrong."""
        match = _STRING.match(self.text, self.at)
        if match is None:
            raise self.broken_string()
        inner = self.text[self.at + 1 : match.end() - 1]
        if "\\u" in inner:
            self.surrogates(inner)
            inner = _ESCAPE.sub(_meant, inner)
            inner = inner.encode("utf-16", "surrogatepass").decode("utf-16")
        elif "\\" in inner:
            inner = _ESCAPE.sub(_meant, inner)
        self.at = match.end()
        return inner

    def broken_string(self) -> _Wrong:
        """What is wrong with the text that begins here."""
        at = self.at + 1
        while at < len(self.text):
            character = self.text[at]
            if character == "\\":
                match = _ESCAPE.match(self.text, at)
                if match is None:
                    words = f"`{self.text[at : at + 2]}` is no escape in JSON"
                    return _Wrong(at, words if at + 1 < len(self.text) else "the text ends inside a string")
                at = match.end()
            elif character < " ":
                kind = "line break" if character in "\r\n" else "control character"
                return _Wrong(at, f"a {kind} stands in a string, or the string does not end: write it as an escape")
            else:
                at += 1
        return _Wrong(self.at, "the string that begins here does not end")

    def surrogates(self, inner: str) -> None:
        """Errors: _Refused for half of a pair."""
        waiting: re.Match[str] | None = None
        for escape in _ESCAPE.finditer(inner):
            half = _SURROGATE.fullmatch(escape[0])
            low = half is not None and int(half[1], 16) >= 0xDC00  # noqa: PLR2004 - where the lower halves begin
            if waiting is not None and not (low and escape.start() == waiting.end()):
                raise _Refused(self.at + 1 + waiting.start(), "half of a surrogate pair stands alone")
            if low and waiting is None:
                raise _Refused(self.at + 1 + escape.start(), "half of a surrogate pair stands alone")
            waiting = escape if half is not None and not low else None
        if waiting is not None:
            raise _Refused(self.at + 1 + waiting.start(), "half of a surrogate pair stands alone")

    def scalar(self) -> None:
        """A number or a literal. Errors: _Wrong."""
        match = _LITERAL.match(self.text, self.at)
        if match is None:
            match = _NUMBER.match(self.text, self.at)
            if match is None:
                raise self.no_value()
            _check_number(self.at, match[0])
        self.at = match.end()

    def no_value(self) -> _Wrong:
        """What stands in place of a value."""
        if self.at == len(self.text):
            return _Wrong(self.at, "the text ends where a value is missing")
        word = _WORD.match(self.text, self.at)
        shown = word[0][:_LONGEST_SHOWN] if word is not None else self.text[self.at]
        if self.comment():
            return _Wrong(self.at, self.comment())
        if shown.startswith("'"):
            return _Wrong(self.at, "texts stand in double quotes in JSON")
        if _NUMERIC.match(shown):
            return _Wrong(self.at, f"`{shown}` is no JSON number")
        if word is None:
            return _Wrong(self.at, f"a value is missing before `{shown}`")
        return _Wrong(self.at, f"`{shown}` is no JSON value: write texts in double quotes, else true, false or null")


def _meant(escape: re.Match[str]) -> str:
    named = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
    second = escape[0][1]
    return chr(int(escape[0][2:6], base=16)) if second == "u" else named.get(second, second)


def number(text: str) -> Decimal | None:
    """A JSON number as it was written; None where it is too large or too small to reckon with."""
    try:
        value = Decimal(text)
    except InvalidOperation:  # its exponent has more digits than any Decimal's
        return None
    return None if value and abs(value.adjusted()) > LARGEST_EXPONENT else value


def _check_number(at: int, text: str) -> None:
    if len(text) > LONGEST_NUMBER:
        raise _Refused(at, f"this number is longer than {LONGEST_NUMBER} characters")
    if number(text) is None:
        raise _Refused(at, TOO_LARGE)
