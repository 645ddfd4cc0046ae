"""Text of maps to syntax tree. A file is cut at column 0 and each statement read alone: one fault, one message."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from lark import Lark, Token, Tree

from gateway.language import parse as language
from gateway.language.nodes import Test, Text, Word
from gateway.mapping import messages
from gateway.mapping.nodes import (
    Assign,
    Counted,
    Display,
    Every,
    Group,
    Hole,
    Identity,
    Ignore,
    Later,
    Map,
    MessageMap,
    MessagesWith,
    Overlay,
    Remove,
    Requires,
    Row,
    Set,
    Statement,
    Step,
    Target,
    Template,
    Using,
    Value,
)
from gateway.source import Diagnostic, Source, Span, nearest

GRAMMAR = Path(__file__).with_name("maps.lark")
STARTS = ("version", "datatype", "segment", "message", "messages", "overlay")
VERSION = "1"

_STATEMENT = re.compile(r"^[^\s#]", re.MULTILINE)
_STEP = re.compile(r'([a-z][A-Za-z0-9]*)(?:\[(\+?)(?:(\d+)|"([^"\n]*)")?\])?\.?')


@functools.cache
def grammar(*, strict: bool = False) -> Lark:
    """The parser of maps. `strict` refuses conflicts (tests)."""
    return language.parser(GRAMMAR.read_text(encoding="utf-8"), STARTS, strict=strict)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file holds, and what is wrong with its text."""

    statements: tuple[Statement, ...]
    diagnostics: tuple[Diagnostic, ...]


def parse(source: Source) -> Parsed:
    """The statements of a file. Errors: diagnostics, one for each statement that can't be read.

    Shape: a text that was read before is not read again, so spans may stand in a source that is equal to this one.
    """
    return _parsed(source.name, source.text)


@functools.lru_cache(maxsize=1024)
def _parsed(name: str, text: str) -> Parsed:
    source = Source(name, text)
    statements: list[Statement] = []
    wrong: list[Diagnostic] = []
    spans = list(_cut(source))
    if not spans or not source.text.startswith("language", spans[0].start):
        start = spans[0] if spans else Span(source, 0, 0)
        wrong.append(messages.NO_VERSION.at(_first_word(start)))
    for span in spans:
        first = _first_word(span).text
        if first not in {"language", *STARTS[1:]}:
            known = "`datatype`, `segment` or `message`"
            near = nearest(first, STARTS[1:])
            hint = f"did you mean `{near}`?" if near else None
            wrong.append(messages.NO_STATEMENT.at(_first_word(span), hint, word=first, known=known))
            continue
        tree = language.read(grammar(), span, "version" if first == "language" else first)
        if isinstance(tree, Diagnostic):
            wrong.append(tree)
        elif first == "language":
            word = language.word(cast("Token", tree.children[0]), source)
            if word.text != VERSION:
                wrong.append(messages.WRONG_VERSION.at(word.span, word=word.text))
        else:
            builder = _Builder(source)
            made = builder.statement(tree)
            wrong.extend(builder.diagnostics)
            statements.append(made)
    return Parsed(tuple(statements), tuple(wrong))


def _cut(source: Source) -> Iterator[Span]:
    starts = [match.start() for match in _STATEMENT.finditer(source.text)]
    for start, end in zip(starts, [*starts[1:], len(source.text)], strict=True):
        yield Span(source, start, end)


def _first_word(span: Span) -> Span:
    match = re.compile(r"\S*").match(span.source.text, span.start)
    return Span(span.source, span.start, match.end() if match else span.end)


_Tree = Tree[Token]


@dataclass(slots=True)
class _Builder:
    """One statement's tree to nodes. Collects what the grammar can't refuse."""

    source: Source
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def statement(self, tree: _Tree) -> Statement:
        words = [self.word(t) for t in tree.children if isinstance(t, Token) and t.type == "WORD"]
        parts = _sorted(tree)
        span = Span(self.source, tree.meta.start_pos, words[-1].span.end)
        source = next((self.text(t) for t in parts["source"]), None)
        ignores = tuple(self.ignore(t) for t in parts["ignore"])
        removes = tuple(self.remove(t) for t in parts["remove"])
        if tree.data == "overlay":
            zone = next((self.text(t) for t in parts["zone"]), None)
            title = next(
                language.text(t, self.source) for t in tree.children if isinstance(t, Token) and t.type == "STRING"
            )
            return Overlay(words[0], title, source, zone, span)
        if tree.data == "messages":
            return MessagesWith(words[0], source, tuple(self.row(t) for t in parts["row"]), ignores, span)
        if tree.data == "message":
            return MessageMap(
                words[0], self.names(parts["names"][0]), source,
                tuple(self.requires(t) for t in parts["requires"]),
                *self.grouped(tree), ignores, span, removes, self.last(tree),
            )  # fmt: skip
        kind = cast('Literal["datatype", "segment"]', str(tree.data))
        return Map(
            kind, words[0], words[1], self.variant(parts), source,
            tuple(name for t in parts["reads"] for name in self.names(_only(t))),
            tuple(self.identity(t) for t in parts["identity"]),
            tuple(Display(self.template(cast("Token", t.children[0])), self.span(t)) for t in parts["display"]),
            tuple(self.row(t) if t.data == "row" else self.set(t) for t in _trees(tree) if t.data in {"row", "set"}),
            ignores, span, removes,
        )  # fmt: skip

    def grouped(self, tree: _Tree) -> tuple[tuple[Row, ...], tuple[Group, ...]]:
        """The rows before the first group, and the groups with theirs."""
        rows: list[Row] = []
        groups: list[tuple[_Tree, list[Row]]] = []
        for child in itertools.takewhile(lambda t: t.data != "last", _trees(tree)):
            if child.data == "cluster":
                groups.append((child, []))
            elif child.data == "row":
                (groups[-1][1] if groups else rows).append(self.row(child))
        made = tuple(
            Group(
                self.word(cast("Token", t.children[0])),
                self.names(cast("_Tree", t.children[1])),
                tuple(r),
                self.span(t),
            )
            for t, r in groups
        )
        return tuple(rows), made

    def last(self, tree: _Tree) -> tuple[Row, ...]:
        """The rows behind `finally`."""
        behind = itertools.dropwhile(lambda t: t.data != "last", _trees(tree))
        return tuple(self.row(t) for t in behind if t.data == "row")

    def row(self, tree: _Tree) -> Row:
        parts = _sorted(tree)
        source, target = (t for t in tree.children if isinstance(t, Token))
        return Row(
            self.word(source), self.target(target),
            next((self.using(t) for t in parts["using"]), None), self.coded(parts), self.when(parts),
            tuple(a for t in parts["with"] for a in self.assigns(t)),
            tuple(a for t in parts["default"] for a in self.assigns(t)),
            self.span(tree), joined=bool(parts["joined"]), numbered=bool(parts["numbered"]),
            by_receipt=bool(parts["receipt"]), only_new=bool(parts["known"]),
            after=next((self.word(cast("Token", t.children[0])) for t in parts["after"]), None),
            apart=next((self.word(cast("Token", t.children[0])) for t in parts["apart"]), None),
            refers=next((self.word(cast("Token", t.children[0])) for t in parts["refers"]), None),
            without=self.without(parts),
        )  # fmt: skip

    def set(self, tree: _Tree) -> Set:
        return Set(self.assigns(tree)[0], self.span(tree))

    def using(self, tree: _Tree) -> Using:
        datatype, target = (self.word(t) for t in tree.children if isinstance(t, Token))
        return Using(datatype, target, self.variant(_sorted(tree)), self.span(tree))

    def assigns(self, tree: _Tree) -> tuple[Assign, ...]:
        """The assignments of a `set`, `with` or `default`, each under the condition of all."""
        parts = _sorted(tree)
        test = self.when(parts)
        without = self.without(parts)
        made = []
        for t in parts["assign"]:
            coded = self.coded(_sorted(t))
            value = self.value(cast("_Tree", t.children[1]))
            made.append(Assign(self.target(cast("Token", t.children[0])), value, coded, test, self.span(t), without))
        return tuple(made)

    def identity(self, tree: _Tree) -> Identity:
        value, *rest = _trees(tree)
        parts: dict[str, _Tree] = {t.data if t.data in {"scope", "form"} else "where": t for t in rest}
        scope = parts.get("scope")
        return Identity(
            self.value(value),
            tuple(self.value(t) for t in _trees(scope)) if scope is not None else (),
            self.word(cast("Token", parts["form"].children[0])) if "form" in parts else None,
            self.condition(parts["where"]) if "where" in parts else None,
            self.span(tree),
        )

    def value(self, tree: _Tree) -> Value:
        if tree.data == "every":
            return Every(self.span(tree))
        if tree.data == "later":
            start, length = (self.word(t) for t in tree.children if isinstance(t, Token))
            unit = self.value(_only(tree))
            if not isinstance(unit, Word | Template):
                raise TypeError(unit)  # the grammar lets nothing else through
            return Later(start, length, unit, self.span(tree))
        if tree.data == "counted":
            of, wanted = (t for t in tree.children if isinstance(t, Token))
            unit = self.value(_only(tree))
            if not isinstance(unit, Word | Template):
                raise TypeError(unit)  # the grammar lets nothing else through
            return Counted(self.word(of), unit, language.text(wanted, self.source), self.span(tree))
        token = cast("Token", tree.children[0])
        return self.word(token) if tree.data == "word" else self.template(token)

    def template(self, token: Token) -> Template:
        """A text with its holes; a brace that is no hole is a fault."""
        whole = language.text(token, self.source)
        parts: list[str | Hole] = []
        for i, piece in enumerate(re.split(r"\{([^{}]*)\}", whole.value)):
            if i % 2:
                at = whole.span.start + self.source.text[whole.span.start : whole.span.end].index("{" + piece + "}") + 1
                parts.append(Hole(Word(piece, Span(self.source, at, at + len(piece)))))
            elif piece:
                parts.append(piece)
            if not i % 2 and ("{" in piece or "}" in piece):
                self.diagnostics.append(messages.BAD_TEMPLATE.at(whole.span))
        return Template(tuple(parts), whole.span)

    def target(self, token: Token) -> Target:
        start = cast("int", token.start_pos)
        steps = tuple(Step(m[1], m[3] if m[3] is not None else m[4], m[2] == "+") for m in _STEP.finditer(str(token)))
        return Target(steps, Span(self.source, start, start + len(token)))

    def requires(self, tree: _Tree) -> Requires:
        names, *sources = (self.names(cast("_Tree", child)) for child in tree.children)
        return Requires(names, self.span(tree), sources[0] if sources else ())

    def ignore(self, tree: _Tree) -> Ignore:
        names, because = tree.children
        return Ignore(
            self.names(cast("_Tree", names)), language.text(cast("Token", because), self.source), self.span(tree)
        )

    def remove(self, tree: _Tree) -> Remove:
        *targets, because = (t for t in tree.children if isinstance(t, Token))
        return Remove(tuple(self.target(t) for t in targets), language.text(because, self.source), self.span(tree))

    def names(self, tree: _Tree) -> tuple[Word, ...]:
        return tuple(self.word(cast("Token", t)) for t in tree.children)

    def variant(self, parts: Mapping[str, list[_Tree]]) -> Word | None:
        return next((self.word(cast("Token", t.children[0])) for t in parts["variant"]), None)

    def coded(self, parts: Mapping[str, list[_Tree]]) -> Word | None:
        return next((self.word(cast("Token", t.children[0])) for t in parts["coded"]), None)

    def without(self, parts: Mapping[str, list[_Tree]]) -> Target | None:
        return next((self.target(cast("Token", t.children[0])) for t in parts["without"]), None)

    def when(self, parts: Mapping[str, list[_Tree]]) -> Test | None:
        return next((self.condition(cast("_Tree", t.children[0])) for t in parts["when"]), None)

    def condition(self, tree: _Tree) -> Test | None:
        found = language.condition(tree, self.source)
        if isinstance(found, Diagnostic):
            self.diagnostics.append(found)
            return None
        return found

    def text(self, tree: _Tree) -> Text:
        return language.text(cast("Token", tree.children[0]), self.source)

    def word(self, token: Token) -> Word:
        return language.word(token, self.source)

    def span(self, tree: _Tree) -> Span:
        return language.place(tree, self.source)


def _trees(tree: _Tree) -> list[_Tree]:
    return [t for t in tree.children if isinstance(t, Tree)]


def _only(tree: _Tree) -> _Tree:
    return _trees(tree)[0]


class _Sorted(dict[str, list[_Tree]]):
    """Subtrees by rule; of a rule that is not there, none."""

    def __missing__(self, key: str) -> list[_Tree]:
        return []


def _sorted(tree: _Tree) -> Mapping[str, list[_Tree]]:
    found = _Sorted()
    for child in _trees(tree):
        found.setdefault(str(child.data), []).append(child)
    return found
