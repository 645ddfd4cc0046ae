"""Text to syntax tree: builds parsers of expressions plus a caller's statements, and says what is wrong where.

Statements' grammars are added to the expressions' by text; their own builders hand the subtrees of `condition`,
`path`, `right` and `options` to the functions of `building`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from lark import Lark, TextSlice, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.common import LexerConf
from lark.lexer import ContextualLexer, LexerState

from gateway.language import messages
from gateway.language.building import condition, operand, options, place, text, word
from gateway.language.limits import beyond, too_deep
from gateway.source import Diagnostic, Keep, Source, Span, nearest, slip

__all__ = ["condition", "kept_parser", "operand", "options", "parser", "place", "read", "text", "word"]

EXPRESSIONS = Path(__file__).with_name("grammar.lark")

_CURLY = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
"""Quotes as word processors make them."""


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
        _plugins={} if strict else {"ContextualLexer": _Lexer},
    )


class _Lexer(ContextualLexer):
    """A lexer that doesn't look for terminals which collide, which takes as long as all else: `strict` does.

    Where only keywords can stand lark takes `forr` for `for` and `r`: here what is written as one word is one.
    """

    def __init__(
        self, conf: LexerConf, states: dict[int, Collection[str]], always_accept: Collection[str] = ()
    ) -> None:
        unasked = copy(conf)
        unasked.skip_validation = True
        super().__init__(unasked, states, always_accept)

    def lex(self, lexer_state: LexerState, parser_state: Any) -> Iterator[Token]:
        """The tokens. Errors: UnexpectedToken for a second one in one word."""
        joined: int | None = -1
        for token in super().lex(lexer_state, parser_state):
            if token.start_pos == joined and token[0].isalnum():
                raise UnexpectedToken(token, set(), state=parser_state)  # type: ignore[no-untyped-call]  # lark leaves it untyped
            joined = token.end_pos if token[-1].isalnum() else -1
            yield token


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


def read(grammar: Lark, span: Span, start: str) -> Tree[Token] | Diagnostic:
    """The tree of one statement, or the one thing wrong with it.

    Shape: positions in the tree are offsets in the whole source.
    """
    limit = beyond(span)
    if limit is not None:
        return limit
    try:
        tree = grammar.parse(TextSlice(span.source.text, span.start, span.end), start=start)
    except UnexpectedInput as error:
        return _explain(grammar, span, start, error)
    return too_deep(tree, span.source) or tree


def _explain(grammar: Lark, span: Span, start: str, error: UnexpectedInput) -> Diagnostic:
    source = span.source
    if isinstance(error, UnexpectedCharacters):
        at = cast("int", error.pos_in_stream)
        if source.text[at] == '"':
            return messages.NO_QUOTE.at(Span(source, at, _line_end(source, at, span.end)))
        hint = 'a text stands in straight quotes: "..."' if source.text[at] in _CURLY else None
        return messages.STRANGE.at(Span(source, at, at + 1), hint, word=source.text[at])
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
    misspelt = _phrase_meant(span, at, expected)
    if misspelt is not None:
        return misspelt
    meant = _meant(grammar, span, start, at)
    if meant is None:
        near = nearest(found.text, [w for w in expected if w.isalpha()])
        phrase = next((w for w in expected if w.startswith(found.text + " ")), None)
        near = near if phrase is None else phrase
        hint = f"did you mean `{near}`?" if near is not None and near != found.text else _list(expected)
        return messages.UNEXPECTED.at(found, hint, word=found.text)
    if meant.word.end <= at and meant.word.line == found.line:
        return messages.UNEXPECTED.at(found, f"{meant.hint()} where it says `{meant.word.text}`?", word=found.text)
    return messages.UNEXPECTED.at(meant.word, f"{meant.hint()}?", word=meant.word.text)


def _phrase_meant(span: Span, at: int, expected: Iterable[str]) -> Diagnostic | None:
    """The misspelt word of a phrase that could stand at a place, all of whose words are there but for slips."""
    for phrase in (words.split() for words in expected if " " in words):
        written = [Span(span.source, m.start(), m.end()) for m in _written(span, at, len(phrase))]
        slips = [slip(word.text, right) for word, right in zip(written, phrase, strict=False)]
        if len(slips) == len(phrase) and None not in slips and any(slips):
            wrong = next(word for word, rank in zip(written, slips, strict=True) if rank)
            return messages.UNEXPECTED.at(wrong, f"did you mean `{' '.join(phrase)}`?", word=wrong.text)
    return None


def _written(span: Span, at: int, most: int) -> Iterable[re.Match[str]]:
    """The next words from a place."""
    return itertools.islice(re.compile(r"\S+").finditer(span.source.text, at, min(span.end, at + _NEAR)), most)


_WORDS = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\["\\])*"|(?P<word>[A-Za-z0-9_][A-Za-z0-9_.^-]*)')
_LOOKED_AT = 4  # words: keywords of one phrase, and the names between them
_TRIED = 2_000  # characters of a statement that may be read again with another word


@dataclass(frozen=True, slots=True)
class _Meant:
    """A word that was probably meant to be a keyword."""

    word: Span
    keywords: tuple[str, ...]

    def hint(self) -> str:
        """The words of the suggestion."""
        return "did you mean " + " or ".join(f"`{keyword}`" for keyword in self.keywords)


def _meant(grammar: Lark, span: Span, start: str, at: int) -> _Meant | None:
    """The misspelt keyword at a place or shortly before it: with it put right, reading goes on past the place.

    A misspelt keyword often reads as one more name, so that a word behind it is the one that can't stand there.
    """
    found: dict[tuple[int, int, int], list[tuple[Span, str]]] = {}
    for near, written in enumerate(_words_before(span, at)):
        for rank, keyword in _keywords_like(written.text, _expected(grammar, span, start, written.start)):
            reached = _reached(grammar, span, start, written, keyword)
            if reached > max(at, written.end):
                found.setdefault((-reached, rank, near), []).append((written, keyword))
    best = found[min(found)] if found else []
    return _Meant(best[0][0], tuple(keyword for _, keyword in best)) if best else None


def _words_before(span: Span, at: int) -> list[Span]:
    """The last words up to a place, the one that it is in first."""
    source = span.source
    begin = max(span.start, source.text.rfind("\n", 0, max(span.start, at - _NEAR)) + 1)
    found = [
        Span(source, match.start(), match.end())
        for match in _WORDS.finditer(source.text, begin, min(span.end, at + _NEAR))
        if match["word"] and match.start() <= at
    ]
    return found[: -_LOOKED_AT - 1 : -1]


def _keywords_like(word: str, expected: Iterable[str]) -> list[tuple[int, str]]:
    """Keywords that a word may be meant for, with how far they are from it."""
    keywords = [first for keyword in expected if (first := keyword.partition(" ")[0]).isalpha()]
    slips = [(rank, keyword) for keyword in keywords if (rank := slip(word.casefold(), keyword))]
    near = nearest(word, keywords) if len(word) > _SHORT and not slips else None
    return [*slips, *([(_FAR, near)] if near is not None and near != word else [])]


_SHORT = 2  # shorter words are near to almost anything
_FAR = 9  # farther than any slip


def _reached(grammar: Lark, span: Span, start: str, word: Span, keyword: str) -> int:
    """How far reading goes with a keyword in a word's place, counted in the text as it stands."""
    text = span.source.text
    whole = text[span.start : word.start] + keyword + text[word.end : span.end]
    if len(whole) > _TRIED:
        return -1
    try:
        grammar.parse(whole, start=start)
    except UnexpectedToken as error:
        at = len(whole) if error.token.type == "$END" else cast("int", error.token.start_pos)
    except UnexpectedInput as error:
        at = cast("int", error.pos_in_stream)
    else:
        at = len(whole) + 1
    return span.start + at - len(keyword) + len(word.text)


_NEAR = 200


def _before(span: Span, at: int) -> str:
    """The text before a place, as far as the word before it is looked for."""
    return span.source.text[max(span.start, at - _NEAR) : at]


def _line_end(source: Source, at: int, end: int) -> int:
    stop = source.text.find("\n", at, end)
    return end if stop < 0 else stop


_MORE = frozenset({"PLUS", "MINUS", "STRING"})


def _expected(grammar: Lark, span: Span, start: str, at: int) -> list[str]:
    """The words that could stand at a place, as authors write them.

    Read again up to there: the state that the error carries has been reduced by the very word that can't stand there.
    """
    end = min(span.end, at)
    again = grammar.parse_interactive(TextSlice(span.source.text, span.start, end), start=start)
    try:
        again.exhaust_lexer()
    except UnexpectedInput:
        return []  # a word before it reads as another only because of what follows
    words = []
    accepted: set[str] = again.accepts()  # type: ignore[no-untyped-call]  # lark leaves this one method untyped
    if accepted >= _MORE:
        accepted -= _MORE  # a unit, and what moves a day: rarely what is missing
    for name in accepted:
        if name == "WORD":
            words.append("a name")
        elif name == "STRING":
            words.append("a text in quotes")
        elif name == "DURATION":
            words.append("a length of time such as `7 days`")
        elif name == "$END":
            words.append("the end of the statement")
        else:
            pattern = grammar.get_terminal(name).pattern
            # a phrase that is one terminal is called as it is written
            words.append(str(pattern.value) if pattern.type == "str" else name.lower().replace("_", " "))
    return sorted(words)


def _list(words: list[str]) -> str | None:
    if not words:
        return None
    *shown, last = [w if w.startswith(("a ", "the ")) else f"`{w}`" for w in words]
    return f"expected {', '.join(shown)} or {last}" if shown else f"expected {last}"
