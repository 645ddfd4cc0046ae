"""The grammar as authors write it: each rule of the grammar's text to lines such as `review by NAME`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.language.parse import EXPRESSIONS
from gateway.rules.parse import STATEMENTS

SHOWN: Mapping[str, str] = {
    "WORD": "NAME",
    "STRING": '"TEXT"',
    "DURATION": "TIME",
    "PLACE": "PLACE",
    "AND_TO": "and to",
    "IN_ORDER_OF": "in order of",
    "_CONFORMS_TO": "conforms to",
    "condition": "CONDITION",
    "test": "TEST",
    "item": "TEST",
    "path": "PATH",
    "right": "VALUE",
    "named": "VALUE",
    "options": "VALUE, ...",
    "names": "NAME, ...",
}
"""How the grammar's own names are shown; all others are opened."""

_RULE = re.compile(r"^[?!]*([a-z_]+): (.*(?:\n[ \t]+[|].*)*)", re.MULTILINE)
_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_]+|->|[()|?*+]')
_COMMA = '","'
_MARKS = frozenset("?*+")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an alternative.

    Shape: a word in quotes, a name, or a group of alternatives; `mark` is `?`, `*`, `+` or empty.
    """

    inner: str | tuple[Sequence[Part], ...]
    mark: str = ""


Alternative = Sequence[Part]


@functools.cache
def rules() -> Mapping[str, tuple[Alternative, ...]]:
    """The rules of both grammars, by their names."""
    text = EXPRESSIONS.read_text("utf-8") + "\n" + STATEMENTS.read_text("utf-8")
    return {match[1]: _alternatives(_TOKEN.findall(match[2])) for match in _RULE.finditer(text)}


def _alternatives(left: list[str]) -> tuple[Alternative, ...]:
    """Alternatives up to the end or a closing parenthesis; what is read is taken off the tokens."""
    found: list[list[Part]] = [[]]
    while left:
        sign = left.pop(0)
        if sign == ")":
            break
        if sign == "|":
            found.append([])
        elif sign == "->":
            left.pop(0)
        elif sign in _MARKS:
            found[-1][-1] = Part(found[-1][-1].inner, sign)
        else:
            found[-1].append(Part(_alternatives(left) if sign == "(" else sign))
    return tuple(tuple(one) for one in found)


def head(kind: str) -> str:
    """The first line of a statement."""
    return next(_lines((rules()[_rule(kind)][0],)))


def clauses(kind: str) -> Iterator[str]:
    """The clauses of a statement, as they may be written; one clause in several forms is several."""
    for part in rules()[_rule(kind)][0]:
        for name in _clause_rules(part):
            yield from _leaves(name)


def forms(name: str) -> Iterator[str]:
    """The alternatives of a rule."""
    return _lines(rules()[name])


def _rule(kind: str) -> str:
    return f"{kind}_" if f"{kind}_" in rules() else kind


def _clause_rules(part: Part) -> Iterator[str]:
    """The rules of the parts that may stand any number of times, which are a statement's clauses."""
    if part.mark == "*" and isinstance(part.inner, str) and part.inner not in SHOWN:
        yield part.inner
    elif part.mark == "*" and not isinstance(part.inner, str):
        yield from (inner.inner for one in part.inner for inner in one if isinstance(inner.inner, str))


def _leaves(name: str) -> Iterator[str]:
    """The forms of a clause; one that is only a choice among rules is opened."""
    for alternative in rules()[name]:
        inner = alternative[0].inner
        if len(alternative) == 1 and isinstance(inner, str) and inner in rules() and inner not in SHOWN:
            yield from _leaves(inner)
        else:
            yield from _lines((alternative,))


def _lines(alternatives: Sequence[Alternative]) -> Iterator[str]:
    for alternative in alternatives:
        words = [_shown(part, before) for before, part in pairwise((None, *alternative)) if part is not None]
        yield re.sub(r" (?=[,:)])", "", " ".join(word for word in words if word)).replace("( ", "(")


def _shown(part: Part, before: Part | None) -> str:
    if part.mark == "*":
        return _repeated(part, before)
    text = _inner(part.inner)
    return f"[{text}]" if part.mark == "?" else f"{text} ..." if part.mark == "+" else text


def _repeated(part: Part, before: Part | None) -> str:
    """`X ("," X)*` is `X, ...`; clauses are shown below their statement."""
    if isinstance(part.inner, str) or before is None or len(part.inner) != 1:
        return ""
    joint = part.inner[0][0].inner
    return ", ..." if joint == _COMMA else f"[{_inner(joint)} ...]"


def _inner(inner: str | tuple[Alternative, ...]) -> str:
    if not isinstance(inner, str):
        return _choice(inner)
    if inner.startswith('"'):
        return inner[1:-1]
    return SHOWN[inner] if inner in SHOWN else _choice(rules()[inner])


def _choice(alternatives: Sequence[Alternative]) -> str:
    shown = list(dict.fromkeys(_lines(alternatives)))
    return shown[0] if len(shown) == 1 else f"({' | '.join(shown)})"
