"""The one layout of a rule file: `gateway rules fmt`.

A file is taken apart into the grammar's own tokens, and put together again by the shape of the syntax tree: a clause a
line, a condition that does not fit a line broken before its `and`s or `or`s, comments where they stood. No token is
ever changed, moved or left out, so a clause that the grammar gets later is laid out too. What comes out is read again
and has to say the same; where it did not, nothing would be written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from lark import TextSlice, Token, Tree

from gateway.rules import parse
from gateway.rules.lines import INDENT, Piece, kind_of, printed
from gateway.source import Diagnostic, Source, Span

_TIGHT = frozenset({"accept", "set", "organisation", "role", "purpose", "target", "agreement", "list", "codes"})
"""Statements between which the author chooses whether a blank line stands; between all others there is one."""

Lines = list[str | None]
"""Comments at the margin; None for a blank line."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A file in its layout. Shape: `text` is None where the file has errors, which are the `diagnostics`."""

    text: str | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(slots=True)
class _Part:
    """One statement: its tree and pieces, what stands before it and what is indented after it."""

    tree: Tree[Token]
    pieces: list[Piece]
    head: Lines = field(default_factory=list)
    tail: list[str] = field(default_factory=list)


class Unsound(Exception):  # noqa: N818 - it names what a layout is not
    """A layout that would say something else than the file does: a mistake of this module."""


def lay(source: Source) -> Laid:
    """The layout of a rule file.

    Errors: the diagnostics of a file that can't be read, which has no layout; Unsound, see there.
    """
    read = parse.read(source)
    if read.diagnostics:
        return Laid(None, read.diagnostics)
    text = _written(*_parts(source))
    if meaning(source) != meaning(Source(source.name, text)):
        raise Unsound(source.name)
    return Laid(text, ())


def meaning(source: Source) -> tuple[object, ...]:
    """What a file says, without where it says it: its statements, its comments, and which lines have a meaning.

    Shape: files that are equal in it are read to the same rules.
    """
    read = parse.read(source)
    said = tuple(_bare(statement) for statement in read.statements)
    parts, rest = _parts(source)
    comments = [c for part in parts for c in _comments(part)] + [c for c in rest if c is not None]
    return said, len(read.diagnostics), tuple(comments), tuple(_own_failures(part) for part in parts)


def _bare(node: object) -> object:
    """A node without its spans."""
    if isinstance(node, Span):
        return None
    if dataclasses.is_dataclass(node):
        inner = tuple(_bare(getattr(node, one.name)) for one in dataclasses.fields(node))
        return type(node).__name__, inner
    if isinstance(node, tuple):
        return tuple(_bare(one) for one in node)
    return node


def _comments(part: _Part) -> list[str]:
    pieces = [c for p in part.pieces for c in (*p.before, *((p.behind,) if p.behind is not None else ()))]
    return [*(c for c in part.head if c is not None), *pieces, *part.tail]


def _own_failures(part: _Part) -> tuple[bool, ...]:
    """Whether each `on failure` stands on a line with something before it: then it is that target's alone."""
    pairs = zip(part.pieces, part.pieces[1:], strict=False)
    return tuple(a.line == b.line for (a, b) in pairs if b.text == "on" and part.tree.data == "route")


# --- taking apart --------------------------------------------------------------------------------------------------


def _parts(source: Source) -> tuple[list[_Part], Lines]:
    """The statements of a file with their comments, and the comments after the last."""
    parts = [_part(span) for span in parse.cut(source)]
    last: Piece | None = None
    before: _Part | None = None
    for part in parts:
        for piece in part.pieces:
            lines = _lines(source.text[last.end if last else 0 : piece.start], last)
            if piece is part.pieces[0]:
                part.head = _between(lines, before)
            else:
                piece.before = [comment for _, comment in lines if comment is not None]
            last = piece
        before = part
    return parts, _between(_lines(source.text[last.end if last else 0 :] + "\n", last), before)


def _part(span: Span) -> _Part:
    reader = parse.grammar().parse_interactive(TextSlice(span.source.text, span.start, span.end), start="statement")
    pieces = []
    for token in reader.iter_parse():
        # some tokens are several words, with the blank behind them
        start, text = cast("int", token.start_pos), token.rstrip()
        shown = text if text.startswith('"') else " ".join(text.split())
        pieces.append(Piece(shown, start, start + len(text), span.source.position(start)[0]))
    return _Part(cast("Tree[Token]", reader.feed_eof()), pieces)  # type: ignore[no-untyped-call]


def _lines(gap: str, last: Piece | None) -> list[tuple[int, str | None]]:
    """The lines between two tokens, each as its indent and its comment; the first is given to its token."""
    first, *lines = gap.split("\n")
    if last is None:
        lines = [first, *lines]
    elif first.strip():
        last.behind = first.strip()
    # after the last line end comes the indent of the second token
    return [(len(line) - len(line.lstrip()), line.strip() or None) for line in lines[:-1]]


def _between(lines: Sequence[tuple[int, str | None]], before: _Part | None) -> Lines:
    """What stands between two statements; indented comments before any at the margin are the first one's."""
    margin = next((i for i, (indent, comment) in enumerate(lines) if comment is not None and not indent), len(lines))
    own = [i for i, (_, comment) in enumerate(lines[:margin]) if comment is not None]
    if before is None or not own:
        return [comment for _, comment in lines]
    before.tail = [lines[i][1] or "" for i in own]
    return [comment for _, comment in lines[own[-1] + 1 :]]


# --- putting together ----------------------------------------------------------------------------------------------


def _written(parts: Sequence[_Part], rest: Lines) -> str:
    lines: Lines = []
    before: str | None = None
    for part in parts:
        kind = kind_of(part.tree)
        if before is not None and not (before in _TIGHT and kind in _TIGHT):
            lines.append(None)
        lines += [*part.head, *printed(part.tree, part.pieces), *(" " * INDENT + comment for comment in part.tail)]
        before = kind
    shown = _single([*lines, *rest])
    return "".join(f"{line or ''}\n" for line in shown)


def _single(lines: Iterable[str | None]) -> Lines:
    """Lines with runs of blank ones made one, and none at the beginning and the end."""
    found: Lines = []
    for line in lines:
        if line is not None or (found and found[-1] is not None):
            found.append(line)
    while found and found[-1] is None:
        found.pop()
    return found
