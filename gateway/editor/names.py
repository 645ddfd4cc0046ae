"""Declared names: where each is declared, and every place that means it."""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from gateway.editor.book import Book, Page
from gateway.editor.uses import NAMES, VALUES, Use, words
from gateway.language.nodes import Operand, Word
from gateway.language.types import FHIR_PATH, HL7_PATH
from gateway.rules.facts import TABLE
from gateway.rules.nodes import Statement
from gateway.source import Span

KINDS = frozenset({*NAMES, "rule"})
"""Kinds of names that rule files declare."""

_OWN = frozenset({"set", "condition"})  # of one file each
_FACTS = {fact.name: fact.type.kind for fact in TABLE}
_STEM = re.compile(r"[^.]+")


@dataclass(frozen=True, slots=True)
class Name:
    """A declared name. Shape: organisations in upper case; `file` where the name is that of one file, else empty."""

    kind: str
    text: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """A name and the statement that declares it. Shape: `places` are all words that mean it, its own among them."""

    name: Name
    statement: Statement
    places: tuple[Span, ...]


@functools.lru_cache(maxsize=8)
def index(book: Book) -> Mapping[Name, Declared]:
    """Every declared name; the first statement of a name counts."""
    statements: dict[Name, Statement] = {}
    for page in book.pages.values():
        for statement, use in _uses(page):
            if use.declares and use.kinds[0] in KINDS:
                statements.setdefault(named(use.kinds[0], use.word.text, page), statement)
    places: dict[Name, list[Span]] = {name: [] for name in statements}
    for page in book.pages.values():
        for _, use in _uses(page):
            meant = resolve(use, page, statements)
            if meant is not None:
                places[meant].append(use.word.span)
    return {name: Declared(name, statement, tuple(places[name])) for name, statement in statements.items()}


def _uses(page: Page) -> Iterator[tuple[Statement, Use]]:
    return ((statement, use) for statement in page.statements for use in words(statement))


def named(kind: str, text: str, page: Page) -> Name:
    """The name that a word of a file is, if it is one of that kind."""
    return Name(kind, text.upper() if kind == "organisation" else text, page.source.name if kind in _OWN else "")


def resolve(use: Use, page: Page, declared: Container[Name]) -> Name | None:
    """The declared name that a word means; None where it means none, such as a fact or a path."""
    if "fact" in use.kinds and use.word.text in _FACTS:
        return None
    kinds = tuple(kind for kind in use.kinds if kind in KINDS)
    wanted = kind_of(use.beside)
    if wanted in VALUES and wanted in kinds:
        kinds = tuple(kind for kind in kinds if kind not in VALUES or kind == wanted)
    candidates = (named(kind, use.word.text, page) for kind in kinds)
    return next((name for name in candidates if name in declared), None)


def kind_of(operand: Operand | None) -> str | None:
    """What something that is read is compared with; None where that is not told by its spelling."""
    if not isinstance(operand, Word):
        return None
    if operand.text in _FACTS:
        return _FACTS[operand.text]
    if HL7_PATH.fullmatch(operand.text) is not None:
        return "text"
    # the only names that elements hold are organisations
    return "organisation" if FHIR_PATH.fullmatch(operand.text) is not None else None


def use_at(page: Page, offset: int) -> tuple[Statement, Use] | None:
    """The word at a place, with what it may name."""
    statement = page.statement_at(offset)
    if statement is None:
        return None
    return next(((statement, u) for u in words(statement) if u.word.span.start <= offset <= u.word.span.end), None)


def name_at(book: Book, file: str, offset: int) -> Declared | None:
    """The declared name at a place."""
    page = book.pages[file]
    found = use_at(page, offset)
    if found is None:
        return None
    declared = index(book)
    name = resolve(found[1], page, declared)
    return None if name is None else declared[name]


def definition(book: Book, file: str, offset: int) -> Span | None:
    """Where what stands at a place is declared: a name, or a loop variable in its statement."""
    found = name_at(book, file, offset)
    if found is not None:
        return found.statement.name.span
    at = use_at(book.pages[file], offset)
    if at is None or "variable" not in at[1].kinds:
        return None
    statement, use = at
    stem = _STEM.match(use.word.text)
    same = (u.word.span for u in words(statement) if u.declares and u.kinds == ("variable",) and stem is not None
            and u.word.text == stem[0])  # fmt: skip
    return next(same, None)
