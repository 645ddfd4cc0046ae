"""A declared name by another, in all files at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.editor.book import Book, book
from gateway.editor.names import Declared, Name, index, name_at, named
from gateway.rules.parse import grammar
from gateway.source import Source, Span


class CannotRenameError(Exception):
    """Why a name can't be another, in words for the author."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """What to write where. Shape: `places` are all words that mean the name, over all files."""

    places: tuple[Span, ...]
    text: str


def renameable(found: Book, file: str, offset: int) -> Span | None:
    """The word at a place, if it is a declared name."""
    declared = name_at(found, file, offset)
    if declared is None:
        return None
    return next(s for s in declared.places if s.source.name == file and s.start <= offset <= s.end)


def rename(found: Book, file: str, offset: int, text: str) -> Renamed:
    """The name at a place by another.

    Errors: CannotRenameError where no name stands there, where a file can't be read whole, and for a name that is no
    name, that is taken, or that would be read as something else somewhere.
    """
    declared = name_at(found, file, offset)
    if declared is None:
        raise CannotRenameError("no declared name stands here")
    for page in found.pages.values():
        if page.diagnostics:
            first = page.diagnostics[0]
            raise CannotRenameError(f"put right {first.span} first: names in statements that can't be read would stay")
    if not _is_word(text):
        raise CannotRenameError(f"`{text}` is no name")
    home = found.pages[declared.statement.span.source.name]
    name = named(declared.name.kind, text, home)
    if name != declared.name and name in index(found):
        raise CannotRenameError(f"there is a {name.kind} `{text}` already")
    renamed = Renamed(declared.places, text)
    _hold(found, declared, name, renamed)
    return renamed


def _is_word(text: str) -> bool:
    return re.fullmatch(grammar().get_terminal("WORD").pattern.to_regexp(), text) is not None


def _hold(found: Book, declared: Declared, name: Name, renamed: Renamed) -> None:
    """Read the files as they will be: each place has to mean the name still, and no other may.

    Errors: CannotRenameError.
    """
    texts = {source: page.source.text for source, page in found.pages.items()}
    for span in sorted(renamed.places, key=lambda s: -s.start):
        text = texts[span.source.name]
        texts[span.source.name] = text[: span.start] + renamed.text + text[span.end :]
    after = book((Source(source, text) for source, text in texts.items()), found.vocabulary)
    again: Mapping[Name, Declared] = index(after)
    broken = any(page.diagnostics for page in after.pages.values())
    if broken or name not in again or len(again[name].places) != len(declared.places):
        raise CannotRenameError(f"`{renamed.text}` would be read as something else in some place")
