"""What stands at a place, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.editor import paths
from gateway.editor.book import Book, Page, cut_at
from gateway.editor.keywords import meaning
from gateway.editor.names import Declared, index, resolve, use_at
from gateway.editor.uses import Use, variables
from gateway.language.functions import PREDICATES
from gateway.language.kinds import SPOKEN
from gateway.rules import syntax
from gateway.rules.facts import TABLE
from gateway.rules.nodes import Statement
from gateway.source import Span

_FACTS = {fact.name: fact for fact in TABLE}
_WHERE: Mapping[str, str] = {
    "always": "always known",
    "ingest": "known where something is sent",
    "Hl7v2": "known `on Hl7v2`",
    "stored": "known of resources that are stored",
}
_SEARCH = "https://hl7.org/fhir/R4/{type}.html#search"


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a place. Shape: `text` is Markdown, `span` the words that it is about."""

    text: str
    span: Span


def hover(book: Book, file: str, offset: int) -> Told | None:
    """What stands at a place: a declared name, a fact, a path, a type, or a keyword."""
    page = book.pages[file]
    at = use_at(page, offset)
    if at is not None:
        statement, use = at
        text = told(book, page, statement, use)
        return None if text is None else Told(text, use.word.span)
    span = cut_at(page.source, offset)
    found = None if span is None else meaning(span, offset)
    if found is None or span is None:
        return None
    phrase, words, place = found
    kind = next((token for token in span.text.split()[:1]), "")
    forms = [form for form in _forms(kind) if form.split()[0] == phrase.split()[0]]
    shown = "\n".join(["", "```", *forms, "```"]) if forms else ""
    return Told(f"**{phrase}**: {words}{shown}", place)


def _forms(kind: str) -> tuple[str, ...]:
    """How the clauses of a statement are written, and the statement itself."""
    if kind not in syntax.rules() and f"{kind}_" not in syntax.rules():
        return ()
    return (syntax.head(kind), *dict.fromkeys(syntax.clauses(kind)))


def told(book: Book, page: Page, statement: Statement, use: Use) -> str | None:
    """A word of a statement in words; None where nothing is known of it."""
    declared = index(book)
    name = resolve(use, page, declared)
    if name is not None:
        return _declared(declared[name])
    for kind in use.kinds:
        text = _KINDS[kind](book, page, statement, use) if kind in _KINDS else None
        if text is not None:
            return text
    return None


def _declared(found: Declared) -> str:
    statement = found.statement
    title = f" {statement.title}" if statement.title else ""
    place = f"{statement.span.source.name}:{statement.span.line}"
    kind = statement.kind
    return f"{kind} **`{statement.name.text}`**{title}\n\n```\n{statement.span.text}\n```\n\n{place}"


def _fact(_book: Book, _page: Page, _statement: Statement, use: Use) -> str | None:
    fact = _FACTS.get(use.word.text)
    if fact is None:
        return None
    kind = SPOKEN[fact.type.kind]
    many = f"a list, each {kind}" if fact.type.many else kind
    absent = ", may be absent" if fact.type.optional else ""
    return f"fact **`{fact.name}`**: {many}{absent}; {_WHERE[fact.where]}; from {fact.source}"


def _path(book: Book, page: Page, statement: Statement, use: Use) -> str | None:
    return paths.told(use.word.text, paths.reach(book, page, statement), book)


def _variable(_book: Book, _page: Page, statement: Statement, use: Use) -> str | None:
    loops = variables(statement)
    path = loops.get(use.word.text)
    return None if path is None else f"**`{use.word.text}`**: one repetition of `{path.text}`"


def _type(book: Book, page: Page, statement: Statement, use: Use) -> str | None:
    text = use.word.text
    if book.vocabulary.elements.is_resource(text):
        return f"FHIR R4 resource [{text}]({paths.link(text, book)})"
    layout = book.vocabulary.layouts.get(text)
    if layout is not None:
        return f"CSV layout **`{text}`** {layout.title}\n\nColumns: " + ", ".join(f"`{c}`" for c in layout.columns)
    within = paths.reach(book, paths.home(book, page, statement, use.word), statement)
    structures = {d.structure_of(text): v for v, d in within.dictionaries.items()}
    named = [f"`{name}` (HL7 {version})" for name, version in structures.items() if name is not None]
    return f"message type **`{text}`**, structure {', '.join(named)}" if named else None


def _parameter(book: Book, page: Page, statement: Statement, use: Use) -> str | None:
    rows = []
    for name in paths.reach(book, page, statement).resources:
        parameter = book.vocabulary.tables.search_parameters.get((name, use.word.text))
        if parameter is not None:
            link = _SEARCH.format(type=name.lower())
            rows.append(f"- [{name}]({link}): {parameter.type}, `{parameter.fhirpath}`")
    return "\n".join([f"search parameter **`{use.word.text}`**", "", *rows]) if rows else None


def _predicate(_book: Book, _page: Page, _statement: Statement, use: Use) -> str | None:
    found = PREDICATES.get(use.word.text)
    if found is None:
        return None
    return f"predicate **`{use.word.text}`**: {(found.__doc__ or '').partition(chr(10))[0]}"


def _standard(book: Book, _page: Page, _statement: Statement, use: Use) -> str | None:
    found = book.vocabulary.standards.get(use.word.text)
    return None if found is None else f"standard **`{found.name}`**: {found.words}"


_KINDS: Mapping[str, Callable[[Book, Page, Statement, Use], str | None]] = {
    "fact": _fact,
    "subject": _fact,
    "path": _path,
    "variable": _variable,
    "type": _type,
    "resource": _type,
    "parameter": _parameter,
    "predicate": _predicate,
    "standard": _standard,
}
"""How what the language and the standards have is told, by its kind."""
