"""The rule files of one rule set as editors have them: unsaved texts before files, each parsed once."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.rules import parse
from gateway.rules.ground import Vocabulary
from gateway.rules.load import SUFFIX
from gateway.rules.nodes import Statement
from gateway.source import Diagnostic, Source, Span


@dataclass(frozen=True, slots=True)
class Page:
    """One rule file. Shape: broken statements are missing from `statements`, and in `diagnostics`."""

    source: Source
    statements: tuple[Statement, ...]
    diagnostics: tuple[Diagnostic, ...]

    def statement_at(self, offset: int) -> Statement | None:
        """The statement that a place is in, if it could be read."""
        return next((s for s in self.statements if s.span.start <= offset <= s.span.end), None)


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """All files of a rule set. Shape: `pages` by the name of their source."""

    pages: Mapping[str, Page]
    vocabulary: Vocabulary


def book(sources: Iterable[Source], vocabulary: Vocabulary) -> Book:
    """The rule files of these texts."""
    return Book({source.name: page(source.name, source.text) for source in sources}, vocabulary)


@functools.lru_cache(maxsize=500)
def page(name: str, text: str) -> Page:
    """One rule file, read once for each text."""
    source = Source(name, text)
    read = parse.read(source)
    return Page(source, read.statements, read.diagnostics)


def folder_of(path: Path) -> Path:
    """The folder of the rule set that a file belongs to: the highest above it that has rule files all the way down."""
    folder = path.parent
    while folder.parent != folder and any(folder.parent.glob(f"*{SUFFIX}")):
        folder = folder.parent
    return folder


def cut_at(source: Source, offset: int) -> Span | None:
    """The statement, whole or broken, that a place is in or right behind: from its start to the next one's."""
    spans = tuple(parse.cut(source))
    number = next((i for i, span in reversed(tuple(enumerate(spans))) if span.start <= offset), None)
    if number is None:
        return None
    end = spans[number + 1].start if number + 1 < len(spans) else len(source.text)
    return Span(source, spans[number].start, end)
