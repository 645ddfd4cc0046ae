"""Subtrees of the parser to nodes: conditions, operands, words and texts, each with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal as Choice
from typing import cast

from lark import Token, Tree

from gateway.language import messages
from gateway.language.kinds import Unit
from gateway.language.nodes import (
    Amount,
    BreaksGlass,
    Chain,
    Conforms,
    Duration,
    Equal,
    HasAge,
    HasCode,
    HasListedCode,
    Lacks,
    Listed,
    Matches,
    Member,
    Moved,
    Named,
    Not,
    Operand,
    Ordered,
    Phrased,
    Present,
    Quantified,
    Starts,
    Test,
    Text,
    Within,
    Word,
)
from gateway.source import Diagnostic, Source, Span


def place(tree: Tree[Token], source: Source) -> Span:
    """Where a subtree stands."""
    return Span(source, tree.meta.start_pos, tree.meta.end_pos)


def word(token: Token, source: Source) -> Word:
    """A word of the author's."""
    return Word(str(token), _span(token, source))


def text(token: Token, source: Source) -> Text:
    """A text of the author's, without quotes and escapes."""
    return Text(re.sub(r"\\(.)", r"\1", token[1:-1]), _span(token, source))


def _span(token: Token, source: Source) -> Span:
    start = cast("int", token.start_pos)
    return Span(source, start, start + len(token))


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def operand(tree: Tree[Token], source: Source) -> Operand:
    """The operand of a `path` or `right` subtree."""
    first, *more = cast("list[Token]", tree.children)
    if first.type == "STRING":
        return text(first, source)
    if first.type == "DURATION":
        return duration(first, source)
    base = word(first, source)
    if not more:
        return base
    if more[0].type != "STRING":
        return Moved(base, more[0] == "-", duration(more[1], source), place(tree, source))
    second = text(more[0], source)
    if _NUMBER.fullmatch(base.text):
        return Amount(base, second, place(tree, source))
    return Word(base.text, base.span, second)


def duration(token: Token, source: Source) -> Duration:
    """A length of time of the author's."""
    count, unit = token.split()
    return Duration(int(count), cast("Unit", unit.removesuffix("s")), _span(token, source))


def options(tree: Tree[Token], source: Source) -> tuple[Operand, ...]:
    """The operands of an `options` subtree."""
    return tuple(operand(cast("Tree[Token]", child), source) for child in tree.children)


def condition(tree: Tree[Token], source: Source) -> Test | Diagnostic:
    """The condition of a subtree.

    Errors: a Diagnostic where `and` and `or` are mixed, or `or` follows `in` on one line.
    """
    return _BUILD[tree.data](tree, source)


def _chain(tree: Tree[Token], source: Source) -> Test | Diagnostic:
    trees = cast("list[Tree[Token]]", tree.children)
    joins = [cast("Token", t.children[0]) for t in trees[1::2]]
    for join in joins:
        if join != joins[0]:
            return messages.MIXED.at(_span(join, source))
    parts: list[Test] = []
    for i, child in enumerate(trees[::2]):
        part = condition(child, source)
        if isinstance(part, Diagnostic):
            return part
        parts.append(part)
        if i < len(joins) and joins[i] == "or" and child.data in {"member", "literal_in"}:
            at = _span(joins[i], source)
            if "\n" not in source.text[child.meta.end_pos : at.start]:
                return messages.OR_AFTER_IN.at(at)
    return Chain(cast('Choice["and", "or"]', str(joins[0])), tuple(parts), place(tree, source))


def _block(tree: Tree[Token], source: Source) -> Test | Diagnostic:
    parts: list[Test] = []
    line = 0
    for child in tree.children:
        if isinstance(child, Token):
            continue
        part = condition(child, source)
        if isinstance(part, Diagnostic):
            return part
        if part.span.line == line:
            return messages.UNEXPECTED.at(part.span, "write one condition a line", word=part.span.text)
        line = source.position(part.span.end - 1)[0]
        parts.append(part)
    return Chain("or" if tree.children[0] == "any" else "and", tuple(parts), place(tree, source))


def _not(tree: Tree[Token], source: Source) -> Test | Diagnostic:
    part = condition(cast("Tree[Token]", tree.children[0]), source)
    return part if isinstance(part, Diagnostic) else Not(part, place(tree, source))


def _group(tree: Tree[Token], source: Source) -> Test | Diagnostic:
    return condition(cast("Tree[Token]", tree.children[0]), source)


def _holds(tree: Tree[Token], source: Source) -> Test:
    found = operand(cast("Tree[Token]", tree.children[0]), source)
    return Named(cast("Word", found), None, place(tree, source))


def _sides(tree: Tree[Token], source: Source) -> tuple[Operand, Operand]:
    trees = cast("list[Tree[Token]]", tree.children)
    return operand(trees[0], source), operand(trees[-1], source)


def _equal(tree: Tree[Token], source: Source) -> Test:
    left, right = _sides(tree, source)
    return Equal(left, right, tree.data == "differs", place(tree, source))


def _present(tree: Tree[Token], source: Source) -> Test:
    left, _ = _sides(tree, source)
    return Present(left, tree.data == "present", place(tree, source))


def _member(tree: Tree[Token], source: Source) -> Test:
    first, last = tree.children
    left = text(first, source) if isinstance(first, Token) else operand(first, source)
    return Member(left, options(cast("Tree[Token]", last), source), place(tree, source))


def _ordered(tree: Tree[Token], source: Source) -> Test:
    left, right = _sides(tree, source)
    sign = str(cast("Tree[Token]", tree.children[1]).children[0])
    return Ordered(left, cast('Choice["<", "<=", ">", ">="]', sign), right, place(tree, source))


def _phrased(tree: Tree[Token], source: Source) -> Test:
    left, right = _sides(tree, source)
    phrase = " ".join(str(t) for t in cast("Tree[Token]", tree.children[1]).children)
    return Phrased(left, phrase, right, place(tree, source))


def _lacks(tree: Tree[Token], source: Source) -> Test:
    left, right = _sides(tree, source)
    return Lacks(left, right, place(tree, source))


def _asked(tree: Tree[Token], source: Source) -> tuple[Operand, list[Token]]:
    """What is asked about, and the tokens behind it."""
    first, *rest = tree.children
    return operand(cast("Tree[Token]", first), source), cast("list[Token]", rest)


def _starts(tree: Tree[Token], source: Source) -> Test:
    left, (prefix,) = _asked(tree, source)
    return Starts(left, text(prefix, source), place(tree, source))


def _matches(tree: Tree[Token], source: Source) -> Test:
    left, (pattern,) = _asked(tree, source)
    return Matches(left, text(pattern, source), place(tree, source))


def _within(tree: Tree[Token], source: Source) -> Test:
    left, (length,) = _asked(tree, source)
    return Within(left, duration(length, source), place(tree, source))


def _has_code(tree: Tree[Token], source: Source) -> Test:
    left, (code, system) = _asked(tree, source)
    return HasCode(left, text(code, source), text(system, source), place(tree, source))


def _has_listed_code(tree: Tree[Token], source: Source) -> Test:
    left, (codes,) = _asked(tree, source)
    return HasListedCode(left, word(codes, source), place(tree, source))


def _has_age(tree: Tree[Token], source: Source) -> Test:
    left, (length,) = _asked(tree, source)
    return HasAge(left, tree.data == "age_under", duration(length, source), place(tree, source))


def _listed(tree: Tree[Token], source: Source) -> Test:
    left, (of,) = _asked(tree, source)
    return Listed(left, word(of, source), place(tree, source))


def _breaks_glass(tree: Tree[Token], source: Source) -> Test:
    return BreaksGlass(_asked(tree, source)[0], place(tree, source))


def _conforms(tree: Tree[Token], source: Source) -> Test:
    left, to = _asked(tree, source)
    return Conforms(left, place(tree, source), word(to[0], source) if to else None)


def _quantified(tree: Tree[Token], source: Source) -> Test | Diagnostic:
    which, name, path, *tests = tree.children
    asked = cast("list[Tree[Token]]", tests)
    found = [condition(cast("Tree[Token]", t.children[0]) if t.data == "chosen" else t, source) for t in asked]
    for part in found:
        if isinstance(part, Diagnostic):
            return part
    *chosen, test = cast("list[Test]", found)
    return Quantified(
        cast('Choice["any", "every"]', str(cast("Tree[Token]", which).children[0])),
        word(cast("Token", name), source),
        operand(cast("Tree[Token]", path), source),
        chosen[0] if chosen else None,
        test,
        place(tree, source),
    )


_BUILD: Mapping[str, Callable[[Tree[Token], Source], Test | Diagnostic]] = {
    "chain": _chain,
    "block": _block,
    "negation": _not,
    "group": _group,
    "holds": _holds,
    "equal": _equal,
    "differs": _equal,
    "present": _present,
    "absent": _present,
    "member": _member,
    "literal_in": _member,
    "ordered": _ordered,
    "phrased": _phrased,
    "lacks": _lacks,
    "starts": _starts,
    "matches": _matches,
    "within": _within,
    "has_code": _has_code,
    "has_listed_code": _has_listed_code,
    "age_under": _has_age,
    "age_over": _has_age,
    "listed": _listed,
    "breaks_glass": _breaks_glass,
    "conforms": _conforms,
    "quantified": _quantified,
}
