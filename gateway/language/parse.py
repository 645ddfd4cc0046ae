"""Text to syntax tree: builds parsers of expressions plus a caller's statements, and says what is wrong where.

Statements' grammars are added to the expressions' by text; their own builders hand the subtrees of `condition`,
`path`, `right` and `options` to the functions below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Literal as Choice
from typing import cast

from lark import Lark, TextSlice, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from gateway.language import messages
from gateway.language.nodes import (
    Chain,
    Equal,
    Member,
    Named,
    Not,
    Operand,
    Ordered,
    Phrased,
    Present,
    Test,
    Text,
    Word,
)
from gateway.source import Diagnostic, Keep, Source, Span, nearest

EXPRESSIONS = Path(__file__).with_name("grammar.lark")

# what the design has and this version has not; the words are looked for where reading stopped
NOT_YET: tuple[str, ...] = (
    "has code",
    "has age",
    "listed in",
    "breaks glass",
    "conforms",
    "lacks",
    "any",
    "every",
)


def parser(statements: str, start: tuple[str, ...], *, strict: bool = False) -> Lark:
    """A parser of statements that hold expressions.

    Shape: `statements` is grammar text that may use the rules `condition`, `path`, `right`, `options` and the
    terminals `WORD` and `STRING`; `start` names its start rules. `strict` refuses conflicts (tests).
    """
    grammar = EXPRESSIONS.read_text(encoding="utf-8") + "\n" + statements
    return Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        start=list(start),
        strict=strict,
        propagate_positions=True,
        maybe_placeholders=False,
    )


def kept_parser(name: str, statements: str, start: tuple[str, ...], keep: Keep) -> Lark:
    """The same parser, its tables kept for the next start: making them takes a third of a second.

    Shape: `name` tells the parsers of one folder apart.
    """

    def made() -> bytes:
        tables = BytesIO()
        parser(statements, start).save(tables)
        return tables.getvalue()

    text = EXPRESSIONS.read_text(encoding="utf-8") + "\n" + statements
    return Lark.load(BytesIO(keep(name, (Source(EXPRESSIONS.name, text),), made)))


def read(grammar: Lark, span: Span, start: str, not_yet: tuple[str, ...] = NOT_YET) -> Tree[Token] | Diagnostic:
    """The tree of one statement, or the one thing wrong with it.

    Shape: positions in the tree are offsets in the whole source; `not_yet` are phrases of later versions.
    """
    try:
        return grammar.parse(TextSlice(span.source.text, span.start, span.end), start=start)
    except UnexpectedInput as error:
        return _explain(grammar, span, start, error, not_yet)


def _explain(grammar: Lark, span: Span, start: str, error: UnexpectedInput, not_yet: tuple[str, ...]) -> Diagnostic:
    source = span.source
    if isinstance(error, UnexpectedCharacters):
        at = cast("int", error.pos_in_stream)
        if source.text[at] == '"':
            return messages.NO_QUOTE.at(Span(source, at, _line_end(source, at, span.end)))
        return _later(source, at, span, not_yet) or messages.STRANGE.at(Span(source, at, at + 1), word=source.text[at])
    if not isinstance(error, UnexpectedToken):  # pragma: no cover - the LALR parser raises no other kind
        raise error
    if error.token.type == "$END":
        expected = _expected(grammar, span, start, span.end)
        # the end's own position is that of the last token's start
        at = len(source.text[: span.end].rstrip())
        return messages.UNFINISHED.at(Span(source, max(span.start, at - 1), at), _list(expected))
    at = cast("int", error.token.start_pos)
    expected = _expected(grammar, span, start, at)
    found = Span(source, at, at + len(error.token))
    later = _later(source, at, span, not_yet)
    if later is not None:
        return later
    return messages.UNEXPECTED.at(found, _meant(grammar, span, found, expected), word=found.text)


_SHORT = 2  # shorter words are near to almost anything


def _meant(grammar: Lark, span: Span, found: Span, expected: list[str]) -> str:
    """What to write: the misspelt keyword before the place or at it, else all that could stand there."""
    before = re.search(r"([A-Za-z]+)\s*\Z", span.source.text[span.start : found.start])
    if before is not None:
        keywords = {str(t.pattern.value) for t in grammar.terminals if str(t.pattern.value).isalpha()}
        near = nearest(before[1], keywords)
        # a misspelt keyword reads as one more name, and the word behind it is the one that can't stand there
        if near is not None and before[1] not in keywords and len(before[1]) > _SHORT:
            return f"did you mean `{near}` where it says `{before[1]}`?"
    near = nearest(found.text, [w for w in expected if w.isalpha()])
    return f"did you mean `{near}`?" if near is not None and near != found.text else _list(expected)


def _line_end(source: Source, at: int, end: int) -> int:
    stop = source.text.find("\n", at, end)
    return end if stop < 0 else stop


def _later(source: Source, at: int, span: Span, not_yet: tuple[str, ...]) -> Diagnostic | None:
    """Whether reading stopped at, or one word after, something that later versions have."""
    before = re.search(r"\S+\s*\Z", source.text[span.start : at])
    starts = [at] if before is None else [at, span.start + before.start()]
    for start in starts:
        for phrase in not_yet:
            match = re.compile(phrase.replace(" ", r"\s+") + r"(?![\w-])").match(source.text, start, span.end)
            if match is not None:
                return messages.NOT_YET.at(Span(source, start, match.end()), word=phrase)
    return None


def _expected(grammar: Lark, span: Span, start: str, at: int) -> list[str]:
    """The words that could stand at a place, as authors write them.

    Read again up to there: the state that the error carries has been reduced by the very word that can't stand there.
    """
    end = min(span.end, at)
    again = grammar.parse_interactive(TextSlice(span.source.text, span.start, end), start=start)
    again.exhaust_lexer()
    words = []
    accepted: set[str] = again.accepts()  # type: ignore[no-untyped-call]  # lark leaves this one method untyped
    for name in accepted:
        if name == "WORD":
            words.append("a name")
        elif name == "STRING":
            words.append("a text in quotes")
        elif name == "$END":
            words.append("the end of the statement")
        else:
            words.append(str(grammar.get_terminal(name).pattern.value))
    return sorted(words)


def _list(words: list[str]) -> str:
    *shown, last = [w if w.startswith(("a ", "the ")) else f"`{w}`" for w in words]
    return f"expected {', '.join(shown)} or {last}" if shown else f"expected {last}"


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


def operand(tree: Tree[Token], source: Source) -> Operand:
    """The operand of a `path` or `right` subtree."""
    first, *label = cast("list[Token]", tree.children)
    if first.type == "STRING":
        return text(first, source)
    return Word(str(first), _span(first, source), text(label[0], source) if label else None)


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
}
