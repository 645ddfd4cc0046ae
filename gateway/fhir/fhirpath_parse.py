"""FHIRPath expressions as trees: parsed once, with the names and literals that their tokens say.

Source: http://hl7.org/fhirpath/N1/#syntax; the grammar is `fhirpath.lark`.
"""

from __future__ import annotations

import functools
import re
from decimal import Decimal
from pathlib import Path as File
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


class FhirPathError(Exception):
    """An expression that is not FHIRPath, or not in the subset; the text says what and quotes the expression."""

    def __init__(self, expression: str, words: str) -> None:
        """Say what is wrong and where."""
        super().__init__(f"{words} in `{expression}`")
        self.expression = expression


@functools.cache
def _parser() -> Lark:
    """The parser of expressions, built when the first is read: a start need not wait for it."""
    grammar = (File(__file__).parent / "fhirpath.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=False)


@functools.cache
def parsed(expression: str) -> Tree[Token]:
    """The tree of an expression. Errors: FhirPathError."""
    try:
        return _parser().parse(expression)
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        place = " at the end" if ended else f" at column {getattr(error, 'column', 1)}"
        raise FhirPathError(expression, f"not FHIRPath, or not in the subset,{place}") from error


def name_of(token: Any) -> str:
    """A name without the backquotes that it may stand in."""
    return str(token).strip("`")


def type_of(tree: Tree[Token]) -> str:
    """Name of a type; its namespace (`FHIR.Patient`, `System.String`) says nothing more here."""
    return name_of(tree.children[-1])


def unquoted(token: Token) -> str:
    """What a literal text says."""
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), str(token)[1:-1])


def literal(tree: Tree[Token]) -> tuple[Any, str]:
    """A literal's value and its FHIR type."""
    text = tree.children[0] if tree.children else None
    match tree.data, text:
        case "string", Token():
            return unquoted(text), "string"
        case "number", Token():
            return Decimal(str(text)), "decimal"
        case "integer", Token():
            return int(str(text)), "integer"
        case _:
            return tree.data == "true", "boolean"
