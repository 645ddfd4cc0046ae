"""Text of a rule file to statements.

The text is cut where a line begins at the margin, and each statement read alone: one that is broken is one error, and
hides no other.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lark import Lark, Token, Tree

from gateway.language import messages, parse
from gateway.language.nodes import Test, Text, Word
from gateway.rules.nodes import (
    Asked,
    Asking,
    Because,
    Clause,
    ForEach,
    InOrder,
    On,
    RowsWhere,
    Said,
    SendsCategory,
    SetOf,
    Statement,
    To,
)
from gateway.source import Diagnostic, Source, Span, nearest

STATEMENTS = Path(__file__).with_name("grammar.lark")

KINDS = (
    "language",
    "domain",
    "accept",
    "set",
    "condition",
    "permit",
    "forbid",
    "check",
    "route",
    "organisation",
    "role",
    "purpose",
    "target",
    "agreement",
    "principal",
)
"""First words of statements."""

LATER = ("mask", "list", "codes", "test")
"""First words of statements that the language has and this version has not."""

_NOT_YET = (*parse.NOT_YET, "convert with", "linked by", "limit", "may break glass", "operation")
_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read of a file. Shape: broken statements are missing, and in `diagnostics`."""

    statements: tuple[Statement, ...]
    diagnostics: tuple[Diagnostic, ...]


@functools.cache
def grammar(*, strict: bool = False) -> Lark:
    """The parser of rule statements; `strict` refuses conflicts, for the test that there are none."""
    return parse.parser(STATEMENTS.read_text(encoding="utf-8"), ("statement",), strict=strict)


def read(source: Source) -> Parsed:
    """Statements of one rule file.

    Errors: diagnostics, at most one a statement.
    """
    statements: list[Statement] = []
    diagnostics: list[Diagnostic] = []
    spans = tuple(cut(source))
    if not spans or not re.match(r"language\b", spans[0].text):
        first = spans[0] if spans else Span(source, 0, 0)
        return Parsed((), (messages.NO_VERSION.at(Span(source, first.start, _first_word(first))),))
    for span in spans:
        found = _statement(span)
        if isinstance(found, Diagnostic):
            diagnostics.append(found)
        else:
            statements.append(found)
    version = statements[0] if statements and statements[0].kind == "language" else None
    if version is not None and version.name.text != _VERSION:
        # what another version's statements mean is not known: nothing more is said of them
        return Parsed((), (messages.WRONG_VERSION.at(version.name.span, word=version.name.text),))
    return Parsed(tuple(statements[1:]) if version is not None else tuple(statements), tuple(diagnostics))


def cut(source: Source) -> Iterator[Span]:
    """The stretches of a file that are one statement each: from a line at the margin to the next.

    Trailing blank lines and comments are left out.
    """
    starts = [m.start() for m in re.finditer(r"^(?=[^ \t\r\n#])", source.text, re.MULTILINE)]
    for start, end in itertools.pairwise((*starts, len(source.text))):
        lines = source.text[start:end].split("\n")
        while len(lines) > 1 and re.fullmatch(r"\s*(#.*)?", lines[-1]):
            lines.pop()
        yield Span(source, start, start + len("\n".join(lines).rstrip()))


def _first_word(span: Span) -> int:
    match = re.match(r"\S+", span.text)
    return span.start + (match.end() if match else 0)


def _statement(span: Span) -> Statement | Diagnostic:
    first = Span(span.source, span.start, _first_word(span))
    if first.text in LATER:
        return messages.NOT_YET.at(first, word=first.text)
    if first.text not in KINDS:
        near = nearest(first.text, KINDS)
        hint = f"did you mean `{near}`?" if near else "a statement starts with " + ", ".join(f"`{k}`" for k in KINDS)
        return messages.UNEXPECTED.at(first, hint, word=first.text)
    tree = parse.read(grammar(), span, "statement", _NOT_YET)
    return tree if isinstance(tree, Diagnostic) else _build(tree, span)


def _build(tree: Tree[Token], span: Span) -> Statement | Diagnostic:
    source = span.source
    kind = str(tree.data).rstrip("_")
    name, *rest = tree.children
    title = ""
    if rest and isinstance(rest[0], Token) and rest[0].type == "STRING":
        title = parse.text(rest[0], source).value
        rest = rest[1:]
    clauses: list[Clause] = []
    loose: list[Token] = []
    for child in rest:
        if isinstance(child, Token):
            loose.append(child)
            continue
        clause = _CLAUSES.get(str(child.data), _said)(child, source)
        if isinstance(clause, Diagnostic):
            return clause
        clauses.append(clause)
    if loose:
        words, texts = _tokens(loose, source)
        clauses.append(Said("", words, texts, span))
    return Statement(kind, parse.word(cast("Token", name), source), title, tuple(clauses), span)


def _tokens(tokens: list[Token], source: Source) -> tuple[tuple[Word, ...], tuple[Text, ...]]:
    words = tuple(parse.word(t, source) for t in tokens if t.type != "STRING")
    return words, tuple(parse.text(t, source) for t in tokens if t.type == "STRING")


def _flat(tree: Tree[Token]) -> list[Token]:
    """The words and texts of a clause, lists opened; what only marks the clause is left out."""
    return [t for t in tree.scan_values(lambda v: isinstance(v, Token)) if t.type in {"WORD", "STRING"}]


def _words(tree: Tree[Token], source: Source) -> tuple[Word, ...]:
    return tuple(parse.word(t, source) for t in _flat(tree))


def _said(tree: Tree[Token], source: Source) -> Clause:
    words, texts = _tokens(_flat(tree), source)
    return Said(str(tree.data).replace("_", " "), words, texts, parse.place(tree, source))


def _trees(tree: Tree[Token]) -> list[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree)]


def _to(tree: Tree[Token], source: Source) -> Clause:
    lists = [_words(names, source) for names in _trees(tree)]
    return To(lists[0], lists[1] if len(lists) > 1 else (), parse.place(tree, source))


def _on(tree: Tree[Token], source: Source) -> Clause:
    words = _words(tree, source)
    split = len(words) if tree.data == "on_several" else 1
    return On(words[:split], words[split:], parse.place(tree, source))


def _asked(tree: Tree[Token], source: Source) -> Clause | Diagnostic:
    test = parse.condition(_trees(tree)[0], source)
    return test if isinstance(test, Diagnostic) else Asked(str(tree.data), test, parse.place(tree, source))


def _for_each(tree: Tree[Token], source: Source) -> Clause | Diagnostic:
    variable = parse.word(cast("Token", tree.children[0]), source)
    path, *conditions = _trees(tree)
    where: Test | Diagnostic | None = parse.condition(conditions[0], source) if conditions else None
    if isinstance(where, Diagnostic):
        return where
    return ForEach(variable, cast("Word", parse.operand(path, source)), where, parse.place(tree, source))


def _rows(tree: Tree[Token], source: Source) -> Clause | Diagnostic:
    where = parse.condition(_trees(tree)[0], source)
    if isinstance(where, Diagnostic):
        return where
    return RowsWhere(parse.word(cast("Token", tree.children[0]), source), where, parse.place(tree, source))


def _asking(tree: Tree[Token], source: Source) -> Clause | Diagnostic:
    alternatives = _trees(tree)
    for ask in alternatives:
        if len(alternatives) > 1 and ask.data == "ask" and len(ask.children) > 1:
            return messages.MIXED.at(parse.place(ask, source))
    return Asking(tuple(_words(ask, source) for ask in alternatives), parse.place(tree, source))


def _because(tree: Tree[Token], source: Source) -> Clause:
    return Because(parse.operand(_trees(tree)[0], source), parse.place(tree, source))


def _set_of(tree: Tree[Token], source: Source) -> Clause:
    return SetOf(parse.options(tree, source), parse.place(tree, source))


def _sends_category(tree: Tree[Token], source: Source) -> Clause:
    domain, *types = _words(tree, source)
    return SendsCategory(domain, tuple(types), parse.place(tree, source))


def _in_order(tree: Tree[Token], source: Source) -> Clause:
    return InOrder(cast("Word", parse.operand(_trees(tree)[0], source)), parse.place(tree, source))


_CLAUSES: Mapping[str, Callable[[Tree[Token], Source], Clause | Diagnostic]] = {
    "to": _to,
    "on_type": _on,
    "on_types": _on,
    "on_several": _on,
    "when": _asked,
    "require": _asked,
    "means": _asked,
    "for_each": _for_each,
    "rows": _rows,
    "asking": _asking,
    "because": _because,
    "options": _set_of,
    "sends_category": _sends_category,
    "in_order": _in_order,
}
