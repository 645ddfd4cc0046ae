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

from gateway.language import limits, messages, parse
from gateway.language.nodes import Test, Text, Word
from gateway.rules.nodes import (
    GLASS,
    Asked,
    Asking,
    Because,
    Clause,
    ForEach,
    InOrder,
    Limit,
    On,
    RowsWhere,
    Said,
    SendsCategory,
    SetOf,
    Statement,
    To,
)
from gateway.rules.trial import parse as trial
from gateway.source import Diagnostic, Source, Span, nearest, slip

STATEMENTS = Path(__file__).with_name("grammar.lark")

KINDS = (
    "language",
    "domain",
    "accept",
    "set",
    "condition",
    "permit",
    "forbid",
    "mask",
    "check",
    "route",
    "organisation",
    "role",
    "purpose",
    "target",
    "agreement",
    "list",
    "codes",
    "principal",
    "test",
)
"""First words of statements."""

_VERSION = "1"
_FAILURE = "failure"


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
    large = limits.too_large(source)
    if large is not None:
        return Parsed((), (large,))
    statements: list[Statement] = []
    diagnostics: list[Diagnostic] = list(itertools.islice(limits.deceiving(source), limits.MOST_FAULTS))
    deceiving = [d.span.start for d in diagnostics]
    spans = tuple(cut(source))
    if not spans or not re.match(r"language\b", spans[0].text):
        first = spans[0] if spans else Span(source, 0, 0)
        word = Span(source, first.start, _first_word(first))
        hint = "did you mean `language`?" if slip(word.text, "language") else None
        return Parsed((), (messages.NO_VERSION.at(word, hint),))
    for span in spans:
        if any(span.start <= start < span.end for start in deceiving):
            continue
        found = _statement(span)
        if not isinstance(found, Diagnostic):
            statements.append(found)
            continue
        diagnostics.append(found)
        if found.code in limits.STOPS:
            break  # no author wrote this, and the rest may cost as much
        if len(diagnostics) > limits.MOST_FAULTS:
            diagnostics[-1] = messages.MANY_FAULTS.at(found.span, most=limits.MOST_FAULTS)
            break
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
    limit = limits.beyond(span)
    if limit is not None:
        return limit
    first = Span(span.source, span.start, _first_word(span))
    if first.text not in KINDS:
        near = _kind_meant(first, span)
        hint = f"did you mean `{near}`?" if near else "a statement starts with " + ", ".join(f"`{k}`" for k in KINDS)
        return messages.UNEXPECTED.at(first, hint, word=first.text)
    tree = parse.read(grammar(), span, "statement")
    return tree if isinstance(tree, Diagnostic) else _build(tree, span)


def _kind_meant(first: Span, span: Span) -> str | None:
    """The first word that was probably meant: of several that are one slip away, the one that the rest fits to."""
    slips = sorted((rank, kind) for kind in KINDS if (rank := slip(first.text.casefold(), kind)) is not None)
    for _, kind in slips if len(slips) > 1 else ():
        text = kind + span.text[len(first.text) :]
        whole = Span(Source(span.source.name, text), 0, len(text))
        if not isinstance(parse.read(grammar(), whole, "statement"), Diagnostic):
            return kind
    return nearest(first.text, KINDS)


def _build(tree: Tree[Token], span: Span) -> Statement | Diagnostic:
    source = span.source
    kind = str(tree.data).rstrip("_")
    name, *rest = tree.children
    title = ""
    named = parse.word(cast("Token", name), source)
    if cast("Token", name).type == "STRING":
        # a test is known by its title
        title = parse.text(cast("Token", name), source).value
        named = Word(title, named.span)
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
    return Statement(kind, named, title, tuple(clauses), span)


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
    actions: list[Word] = []
    operations: list[Word] = []
    types: tuple[Word, ...] = ()
    for child in _trees(tree):
        words = _words(child, source)
        if child.data == "names":
            types = words
        else:
            (operations if child.data == "operation" else actions).extend(words)
    return To(tuple(actions), types, parse.place(tree, source), operations=tuple(operations))


def _on(tree: Tree[Token], source: Source) -> Clause | Diagnostic:
    words = _words(tree, source)
    if tree.data == "on_glass":
        # the word itself is the grammar's, which keeps no token of it
        place = parse.place(tree, source)
        return On((Word(GLASS, place),), words, place)
    if slip(words[0].text, _FAILURE):
        # `on failure` of a route, which then reads as one more `on`
        return messages.UNEXPECTED.at(words[0].span, f"did you mean `{_FAILURE}`?", word=words[0].text)
    if slip(words[0].text, GLASS):
        return messages.UNEXPECTED.at(words[0].span, f"did you mean `{GLASS}`?", word=words[0].text)
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
    names, *links, condition = _trees(tree)
    where = parse.condition(condition, source)
    if isinstance(where, Diagnostic):
        return where
    linked = _words(links[0], source)[0] if links else None
    return RowsWhere(_words(names, source), where, parse.place(tree, source), linked=linked)


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


def _limit(tree: Tree[Token], source: Source) -> Clause:
    count, *rest = _words(tree, source)
    return Limit(count, rest[0] if len(rest) > 1 else None, rest[-1], parse.place(tree, source))


def _in_order(tree: Tree[Token], source: Source) -> Clause:
    return InOrder(cast("Word", parse.operand(_trees(tree)[0], source)), parse.place(tree, source))


_CLAUSES: Mapping[str, Callable[[Tree[Token], Source], Clause | Diagnostic]] = {
    "to": _to,
    "on_type": _on,
    "on_types": _on,
    "on_several": _on,
    "on_glass": _on,
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
    "limit": _limit,
    **trial.CLAUSES,
}
