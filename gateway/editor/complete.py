"""What may stand at a place: keywords by the grammar, names, paths and codes by what the place takes.

A statement that is being written can't be read as it stands. So the grammar says which keywords fit behind what stands
before the place; and with a word put there, and what the grammar still wants put behind it, the statement is read after
all, and says what that word would name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lark import LarkError, TextSlice
from lark.lexer import PatternStr

from gateway.editor import paths
from gateway.editor.book import Book, Page, cut_at, page
from gateway.editor.keywords import PHRASES, tokens
from gateway.editor.names import KINDS, index, kind_of
from gateway.editor.uses import VALUES, Quoted, Use, uses
from gateway.hl7v2.conformance import KINDS as DEPARTURES
from gateway.language.functions import PREDICATES
from gateway.language.nodes import Word
from gateway.rules import parse
from gateway.rules.card import MEANINGS
from gateway.rules.conforming import IGNORED
from gateway.rules.declared import KEPT, SEVERITIES
from gateway.rules.domain import PROFILES
from gateway.rules.facts import ACTIONS, DATA_TYPES, OPERATIONS, TABLE
from gateway.rules.lists import forms
from gateway.rules.nodes import On, Statement
from gateway.rules.trial.declared import ASPECTS, SUBMITTED
from gateway.source import Span

_HERE = "here-it-stands"
"""The word that stands for the one that is being written."""

_WORD = re.compile(r"[A-Za-z0-9_][\w.^-]*")
_AFTER = re.compile(r"[\w.^-]*")
_ISSUE_TYPES = "http://hl7.org/fhir/ValueSet/issue-type"
_SHORT = {"__ANON_0": "<=", "__ANON_1": ">="}
_MOST_STEPS = 12
_WANTED = {
    "RPAR": ")",
    "SATISFIES": "satisfies",
    "WHERE": "where",
    "WORD": _HERE,
    "STRING": '""',
    "MEANS": "means",
    "AS": "as",
    "TO": "to",
}
"""What the grammar may still want behind a place, and what is put there; the first that fits is taken."""

_PHRASES = {"AND_TO": "and to", "IN_ORDER_OF": "in order of", "_CONFORMS_TO": "conforms to"}
"""Terminals of several words."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that may stand there.

    Shape: `text` stands in for what `span` has; `kind` as in `uses`, or `keyword` or `code`; `detail` says what it is.
    """

    text: str
    kind: str
    detail: str
    span: Span


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something is to stand: in which statement, as it was read with a word put there."""

    book: Book
    page: Page
    statement: Statement
    use: Use
    typed: str


Found = Iterator[tuple[str, str]]


def complete(book: Book, file: str, offset: int) -> tuple[Item, ...]:
    """What may stand at a place."""
    own = book.pages[file]
    source = own.source
    line = source.text.rfind("\n", 0, offset) + 1
    span = cut_at(source, offset)
    last = None if span is None else next((t for t in reversed(tuple(tokens(span, offset))) if t.end == offset), None)
    if last is not None and last.text.startswith("#"):
        return ()
    if last is not None and last.text.startswith('"') and not _closed(last.text):
        return _texts(book, own, Span(source, last.start, offset))
    begin = last.start if last is not None and _WORD.fullmatch(last.text) else offset
    after = _AFTER.match(source.text, offset)
    word = Span(source, begin, after.end() if after is not None else offset)
    if begin == line:
        return tuple(Item(kind, "keyword", MEANINGS[kind], word) for kind in parse.KINDS)
    if span is None or begin <= span.start:
        return ()
    accepted = _accepted(source.text[span.start : begin])
    keywords = [Item(text, "keyword", PHRASES.get(text, ""), word) for text in _keywords(accepted)]
    return (*_words(book, own, Span(source, span.start, span.end), word, offset, accepted), *keywords)


def _closed(text: str) -> bool:
    return len(text) > 1 and text.endswith('"') and not text.endswith('\\"')


# --- words ---------------------------------------------------------------------------------------------------------


def _words(
    book: Book, own: Page, statement: Span, word: Span, offset: int, accepted: frozenset[str]
) -> tuple[Item, ...]:
    if "WORD" not in accepted:
        return ()
    read = _read(own, statement, word, _HERE)
    use = None if read is None else next((u for u in uses(read) if isinstance(u, Use) and u.word.text == _HERE), None)
    if read is None or use is None:
        return ()
    place = _Place(book, own, read, use, own.source.text[word.start : offset])
    wanted = kind_of(use.beside)
    items: dict[str, Item] = {}
    for kind in use.kinds:
        if kind in VALUES and wanted is not None and kind != wanted:
            continue
        for text, detail in (*_declared(place, kind), *_OTHERS.get(kind, _nothing)(place)):
            items.setdefault(text, Item(text, kind, detail, word))
    return tuple(items.values())


def _read(own: Page, statement: Span, hole: Span, put: str) -> Statement | None:
    """The statement with something put into a hole: whole, or else up to there with what is wanted behind it."""
    text = own.source.text
    before, after = text[statement.start : hole.start] + put, text[hole.end : statement.end]
    for whole in (before + after, before + _wanted(before)):
        read = page(own.source.name, f"language 1\n{whole}\n")
        if len(read.statements) == 1:
            return read.statements[0]
    return None


def _wanted(before: str) -> str:
    """What the grammar still wants behind a text."""
    added = ""
    for _ in range(_MOST_STEPS):
        accepted = _accepted(before + added)
        if "$END" in accepted:
            break
        wanted = next((text for name, text in _WANTED.items() if name in accepted), None)
        if wanted is None:
            break
        added += f" {wanted if wanted != _HERE else 'a'}"
    return added


def _accepted(before: str) -> frozenset[str]:
    """The terminals that may follow a text; none where it can't be read."""
    if not before.strip():
        return frozenset()
    try:
        reader = parse.grammar().parse_interactive(TextSlice(before, 0, len(before)), start="statement")
        reader.exhaust_lexer()
        return frozenset(reader.accepts())  # type: ignore[no-untyped-call]  # lark leaves this one method untyped
    except LarkError:
        return frozenset()


def _keywords(accepted: frozenset[str]) -> Iterator[str]:
    for name in sorted(accepted - {"$END"}):
        pattern = parse.grammar().get_terminal(name).pattern
        if name in _PHRASES:
            yield _PHRASES[name]
        elif isinstance(pattern, PatternStr) and pattern.value.replace("-", "").isalpha():
            yield pattern.value


# --- texts ---------------------------------------------------------------------------------------------------------


def _texts(book: Book, own: Page, opened: Span) -> tuple[Item, ...]:
    """The codes that a text in quotes may be, or the label of the path before it."""
    source = own.source
    end = source.text.find("\n", opened.end)
    rest = source.text[opened.end : end if end >= 0 else len(source.text)]
    closing = opened.end + rest.find('"') + 1 if '"' in rest and not _opens(rest) else opened.end
    hole = Span(source, opened.start, closing)
    statement = cut_at(source, opened.start)
    read = None if statement is None else _read(own, statement, hole, f'"{_HERE}"')
    if read is None:
        return ()
    inner = Span(source, opened.start + 1, closing - 1 if closing > opened.end else closing)
    within = paths.reach(book, own, read)
    for use in uses(read):
        if isinstance(use, Use) and use.word.label is not None and use.word.label.value == _HERE:
            return tuple(Item(label, "label", use.word.text, inner) for label in paths.labels(use.word.text, within))
        if isinstance(use, Quoted) and use.text.value == _HERE and isinstance(use.beside, Word):
            path = use.beside.text
            return tuple(Item(code, "code", path, inner) for code in sorted(paths.codes(path, within, book)))
    return ()


def _opens(rest: str) -> bool:
    """Whether the next quote on the line opens a text of its own: a comma or a word stands before it."""
    return bool(re.match(r"\s*(,|and\b|or\b)", rest))


# --- by kind -------------------------------------------------------------------------------------------------------


def _declared(place: _Place, kind: str) -> Found:
    """Declared names of a kind; sets and conditions of this file alone."""
    if kind not in KINDS:
        return
    for name, found in index(place.book).items():
        if name.kind == kind and name.file in {"", place.page.source.name}:
            statement = found.statement
            yield statement.name.text, statement.title or f"{statement.kind}, {statement.span.source.name}"


def _nothing(_place: _Place) -> Found:
    return iter(())


def _facts(_place: _Place) -> Found:
    return ((fact.name, fact.source) for fact in TABLE)


def _paths(place: _Place) -> Found:
    return paths.below(place.typed, paths.reach(place.book, place.page, place.statement), place.book)


def _types(place: _Place) -> Found:
    """Message types, resource types and layouts: those that the domain takes, or for `accept` that there are."""
    statement, book = place.statement, place.book
    if statement.kind == "accept":
        yield from _EVERY[statement.name.text](place) if statement.name.text in _EVERY else ()
        return
    data_types = _data_types(statement)
    for one in paths.accepts(paths.home(book, place.page, statement, place.use.word), book):
        if not data_types or one.data_type in data_types:
            yield from ((name, one.data_type) for name in one.types)
    if data_types in {("result",), ("Fhir",)}:
        # what conversion made, and what a Bundle holds or a partner writes
        yield from _resources(place)


def _resources(place: _Place) -> Found:
    elements = place.book.vocabulary.elements
    if place.statement.kind in {"forbid", "mask"}:
        yield "any", "all types"
    yield from ((name, "resource") for name in place.book.vocabulary.tables.types if elements.is_resource(name))


def _messages(place: _Place) -> Found:
    every: set[tuple[str, str]] = set()
    for dictionary in place.book.vocabulary.dictionaries.values():
        # events of a structure of their own are in no table
        every.update(dictionary.events, ((s[:3], s[4:]) for s in dictionary.structures if s[3:4] == "_"))
    return ((f"{code}^{event}", "message type") for code, event in sorted(every) if event != "*")


def _layouts(place: _Place) -> Found:
    return ((name, layout.title) for name, layout in place.book.vocabulary.layouts.items())


_EVERY: Mapping[str, Callable[[_Place], Found]] = {"Fhir": _resources, "Hl7v2": _messages, "Csv": _layouts}


def _data_types(statement: Statement) -> tuple[str, ...]:
    on = next((clause for clause in statement.clauses if isinstance(clause, On)), None)
    return () if on is None else tuple(word.text for word in on.data_types)


def _parameters(place: _Place) -> Found:
    types = paths.reach(place.book, place.page, place.statement).resources
    return (
        (code, f"{parameter.type} of {name}")
        for (name, code), parameter in place.book.vocabulary.tables.search_parameters.items()
        if name in types
    )


def _issues(place: _Place) -> Found:
    return ((code, "issue type") for code in sorted(place.book.vocabulary.tables.codes[_ISSUE_TYPES]))


def _versions(place: _Place) -> Found:
    return ((version, "HL7 v2") for version in place.book.vocabulary.dictionaries)


def _overlays(place: _Place) -> Found:
    return ((name, "laid over the maps of HL7 v2") for name in sorted(place.book.vocabulary.overlays))


def _standards(place: _Place) -> Found:
    return ((name, one.words) for name, one in place.book.vocabulary.standards.items())


def _fixed(detail: str, *words: str) -> Callable[[_Place], Found]:
    return lambda _place: ((word, detail) for word in words)


_OTHERS: Mapping[str, Callable[[_Place], Found]] = {
    "fact": _facts,
    "path": _paths,
    "type": _types,
    "resource": _resources,
    "parameter": _parameters,
    "issue": _issues,
    "version": _versions,
    "overlay": _overlays,
    "standard": _standards,
    "predicate": _fixed("predicate", *PREDICATES),
    "action": _fixed("action", *ACTIONS),
    "operation": _fixed("operation", *OPERATIONS),
    "data type": _fixed("data type", *DATA_TYPES, "result"),
    "severity": _fixed("severity", *SEVERITIES),
    "departure": _fixed("departure from the standard, or what becomes of it", *DEPARTURES, *SEVERITIES, IGNORED),
    "acknowledgement": _fixed("way to acknowledge", *PROFILES),
    "reuse": _fixed("another body under the same control id", "refuse", "accept"),
    "kept": _fixed("how a submission ended", *KEPT),
    "failure": _fixed("what becomes of it", "reject", "queue"),
    "form": _fixed("form of values", *forms()),
    "aspect": _fixed("what is wanting", *ASPECTS),
    "subject": _fixed("the subject of what is returned", "patient"),
    "given": _fixed("what a test gives", *SUBMITTED, *ACTIONS[1:], "operation"),
}
"""What the language and the standards have of each kind."""
