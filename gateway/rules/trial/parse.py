"""The clauses of a `test` statement, from the syntax tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lark import Token, Tree

from gateway.language import parse
from gateway.language.nodes import Text, Word
from gateway.rules.nodes import Expect, FromPrincipal, FromSource, Said
from gateway.source import Source


def _leaves(tree: Tree[Token], source: Source) -> tuple[Word | Text, ...]:
    tokens = (token for token in tree.children if isinstance(token, Token))
    return tuple(parse.text(t, source) if t.type == "STRING" else parse.word(t, source) for t in tokens)


def _below(tree: Tree[Token], name: str) -> Tree[Token] | None:
    return next((child for child in tree.children if isinstance(child, Tree) and child.data == name), None)


def _words(tree: Tree[Token], source: Source) -> tuple[Word, ...]:
    return tuple(leaf for leaf in _leaves(tree, source) if isinstance(leaf, Word))


def _said(tree: Tree[Token], source: Source) -> Said:
    leaves = _leaves(_below(tree, "names") or tree, source)
    words = tuple(leaf for leaf in leaves if isinstance(leaf, Word))
    texts = tuple(leaf for leaf in leaves if isinstance(leaf, Text))
    return Said(_KINDS[str(tree.data)], words, texts, parse.place(tree, source))


def _from(tree: Tree[Token], source: Source) -> FromPrincipal:
    principal, *organisation = _words(tree, source)
    domain = _below(tree, "to_domain")
    return FromPrincipal(
        principal,
        organisation[0] if organisation else None,
        _words(domain, source)[0] if domain is not None else None,
        parse.place(tree, source),
    )


def _source(tree: Tree[Token], source: Source) -> FromSource:
    names, domain = _below(tree, "names"), _below(tree, "to_domain")
    return FromSource(
        _words(names, source) if names is not None else (),
        _words(domain, source)[0] if domain is not None else None,
        parse.place(tree, source),
    )


def _names(tree: Tree[Token], source: Source) -> tuple[Word, ...]:
    names = _below(_below(tree, "hiding") or _below(tree, "wants") or tree, "names")
    return _words(names, source) if names is not None else ()


def _expect(tree: Tree[Token], source: Source) -> Expect:
    rules = _words(tree, source)
    at, narrowed = _below(tree, "at"), _below(tree, "narrowed")
    return Expect(
        str(tree.data).removeprefix("expect_"),
        rules[0] if rules else None,
        _names(tree, source),
        _leaves(narrowed, source) if narrowed is not None else (),
        _leaves(at, source)[0] if at is not None else None,
        parse.place(tree, source),
    )


_KINDS: Mapping[str, str] = {
    "given": "given",
    "test_purpose": "for purpose",
    "returning": "returning",
    "with_stored": "with",
    "breaking_glass": "breaking glass",
    "on_day": "on",
    "in_environment": "in environment",
}

CLAUSES: Mapping[str, Callable[[Tree[Token], Source], Said | FromPrincipal | FromSource | Expect]] = {
    **dict.fromkeys(_KINDS, _said),
    "from_principal": _from,
    "from_source": _source,
    **dict.fromkeys(
        (
            "expect_accept",
            "expect_refuse",
            "expect_warn",
            "expect_deny",
            "expect_want",
            "expect_permit",
            "expect_notice",
            "expect_silence",
        ),
        _expect,
    ),
}
"""How the tree of each clause becomes one, by the grammar's name of it."""
