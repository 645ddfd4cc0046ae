"""One statement to lines: a clause a line, and what does not fit a line broken by the shape of the syntax tree.

The tree says only where a line may be broken; every token is printed, in its order, whatever the tree holds.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lark import Token, Tree

WIDTH = 100
"""Columns of a line; what has no place to break may be longer."""

INDENT = 2

_ON = frozenset({"on_type", "on_types", "on_several"})
_FIRST_LINE: Mapping[str, frozenset[str] | None] = {
    "accept": frozenset({"names"}),
    "condition": _ON,
    **dict.fromkeys(
        ("language", "set", "organisation", "role", "purpose", "target", "agreement", "list", "codes"), None
    ),
}
"""Clauses that stand on a statement's first line, by the statement's kind; None for all of them."""

_JOINED: Mapping[tuple[str, str], frozenset[str]] = {
    ("check", "when"): _ON,
    ("test", "test_purpose"): frozenset({"given"}),
}
"""Clauses that go on the line of one of these, where both fit: `on Hl7v2 when discharged`."""

_TARGETS = frozenset({"to_target", "and_to_target"})
_BREAKS_BEFORE = frozenset({"where", "satisfies"})
_NO_BLANK_BEFORE = frozenset({",", ")", ":"})


@dataclass(slots=True)
class Piece:
    """One token with the comments at it.

    Shape: `before` are those on lines of their own before it, `behind` is the one on its line; `line` counts the
    author's lines.
    """

    text: str
    start: int
    end: int
    line: int
    before: list[str] = field(default_factory=list)
    behind: str | None = None


@dataclass(slots=True)
class _Line:
    indent: int
    pieces: list[Piece] = field(default_factory=list)

    @property
    def width(self) -> int:
        return self.indent + len(flat(self.pieces))

    def shown(self) -> Iterator[str]:
        """The line with its comments, those before it and the one behind it."""
        pad = " " * self.indent
        for piece in self.pieces:
            yield from (pad + comment for comment in piece.before)
        behind = self.pieces[-1].behind
        yield pad + flat(self.pieces) + (f"  {behind}" if behind is not None else "")


def flat(pieces: Iterable[Piece]) -> str:
    """Pieces on one line, without their comments."""
    text = ""
    for piece in pieces:
        glued = not text or text.endswith("(") or piece.text in _NO_BLANK_BEFORE
        text += piece.text if glued else f" {piece.text}"
    return text


def kind_of(tree: Tree[Token]) -> str:
    """The first word of a statement."""
    return str(tree.data).rstrip("_")


def printed(tree: Tree[Token], pieces: Sequence[Piece]) -> list[str]:
    """The lines of one statement, with the comments at its pieces."""
    _settle(tree, pieces)
    printer = _Printer(tree, pieces)
    printer.statement()
    return [text for line in printer.lines for text in line.shown()]


def _settle(tree: Tree[Token], pieces: Sequence[Piece]) -> None:
    """Move comments to where lines may be broken.

    One that stands anywhere else would break a line that is whole the next time, when it has gone before the line.
    """
    starts = {pieces[0].start, *_starts(tree)}
    place = pieces[0]
    for last, piece in zip((pieces[0], *pieces), pieces, strict=False):
        if piece.start in starts or last.text == "," or piece.text in _BREAKS_BEFORE:
            place = piece
        elif last.behind is not None or piece.before:
            place.before += [*((last.behind,) if last.behind is not None else ()), *piece.before]
            last.behind, piece.before = None, []


def _starts(tree: Tree[Token]) -> Iterator[int]:
    """Where a line may be broken: before clauses, joins and the conditions of a block."""
    first_line = _FIRST_LINE.get(kind_of(tree), frozenset())
    for clause in _below(tree):
        if first_line is not None and clause.data not in first_line:
            yield clause.meta.start_pos
    for one in tree.iter_subtrees():
        if one.data == "join":
            yield one.meta.start_pos
        elif one.data == "block":
            yield from (item.meta.start_pos for item in _below(one))


class _Printer:
    """Goes through a statement's tree and takes its pieces in their order."""

    def __init__(self, tree: Tree[Token], pieces: Sequence[Piece]) -> None:
        self._tree = tree
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self._next = 0
        self._hang = INDENT  # where a list goes on that does not fit its line
        self.lines = [_Line(0)]

    def statement(self) -> None:
        kind = kind_of(self._tree)
        before: Tree[Token] | None = None
        for clause in _below(self._tree):
            self._take(clause.meta.start_pos)
            if not self._stays(kind, before, clause):
                self._break(INDENT)
                self._hang = 2 * INDENT
            self._lay(clause)
            before = clause
        self._take(None)

    def _stays(self, kind: str, before: Tree[Token] | None, clause: Tree[Token]) -> bool:
        """Whether a clause goes on the line of what stands before it."""
        name = str(clause.data)
        first_line = _FIRST_LINE.get(kind, frozenset())
        if first_line is None or name in first_line:
            return True
        if before is None or self._commented():
            return False
        if name == "on_failure" and before.data in _TARGETS:
            # on a target's own line it is that target's, elsewhere all the others': here the line break has a meaning
            return self._pieces[self._next - 1].line == self._pieces[self._next].line
        return before.data in _JOINED.get((kind, name), frozenset()) and self._fits(clause)

    def _piece_at(self, offset: int) -> Piece:
        return self._pieces[bisect.bisect_left(self._starts, offset)]

    def _commented(self) -> bool:
        """Whether a comment stands between the last piece and the next."""
        return bool(self._pieces[self._next].before) or self._pieces[self._next - 1].behind is not None

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _take(self, until: int | None) -> None:
        """Print the pieces before an offset; a list that does not fit goes on below."""
        while self._next < len(self._pieces) and (until is None or self._pieces[self._next].start < until):
            line, piece = self.lines[-1], self._pieces[self._next]
            if line.pieces and line.pieces[-1].text == ",":
                comma = self._pieces[self._next + 1 : self._next + 2]
                full = self._column() + len(flat([piece, *(c for c in comma if c.text == ",")])) > WIDTH
                if full or self._commented():
                    self._break(self._hang)
            self.lines[-1].pieces.append(piece)
            self._next += 1

    def _break(self, indent: int) -> None:
        self.lines.append(_Line(indent))

    def _column(self) -> int:
        """Where the next piece would stand."""
        line = self.lines[-1]
        if not line.pieces:
            return line.indent
        return line.width + (line.pieces[-1].text != "(")

    def _within(self, tree: Tree[Token]) -> Sequence[Piece]:
        """The pieces of a tree."""
        first, last = (bisect.bisect_left(self._starts, at) for at in (tree.meta.start_pos, tree.meta.end_pos))
        return self._pieces[first:last]

    def _fits(self, tree: Tree[Token]) -> bool:
        """Whether all of a tree can go on the line in hand: no comment in it, nothing that breaks in any case."""
        pieces = self._within(tree)
        commented = any(p.behind is not None for p in pieces[:-1]) or any(p.before for p in pieces[1:])
        return not commented and self._column() + len(flat(pieces)) <= WIDTH and not self._always_broken(tree)

    def _always_broken(self, tree: Tree[Token]) -> bool:
        """Whether a line break in a tree has a meaning: in blocks, and before an `or` that follows `in`."""
        for one in tree.iter_subtrees():
            if one.data == "block":
                return True
            if one.data == "chain":
                parts = list(_below(one))
                for part, join in zip(parts[::2], parts[1::2], strict=False):
                    listing = part.data != "group" and any(piece.text == "in" for piece in self._within(part))
                    if listing and self._piece_at(join.meta.start_pos).text == "or":
                        return True
        return False

    # --- trees -----------------------------------------------------------------------------------------------------

    def _lay(self, tree: Tree[Token]) -> None:
        if self._fits(tree):
            self._take(tree.meta.end_pos)
        else:
            _LAYOUTS.get(str(tree.data), _Printer._other)(self, tree)
            self._take(tree.meta.end_pos)

    def _chain(self, tree: Tree[Token]) -> None:
        """Conditions one below the other, with the joins on the left of their column."""
        column, hang = self._column(), self._hang
        self._hang = column + INDENT
        for part in _below(tree):
            self._take(part.meta.start_pos)
            if part.data == "join":
                self._break(max(0, column - len(self._pieces[self._next].text) - 1))
            self._lay(part)
        self._hang = hang

    def _block(self, tree: Tree[Token]) -> None:
        """`any of:` with a condition a line."""
        line, hang = self.lines[-1], self._hang
        inside = any(piece.text == "(" for piece in line.pieces)
        indent = (self._column() if inside else line.indent) + INDENT
        self._hang = indent + INDENT
        for part in _below(tree):
            self._take(part.meta.start_pos)
            self._break(indent)
            self._lay(part)
        self._hang = hang

    def _other(self, tree: Tree[Token]) -> None:
        """Anything else, in its order; `where` goes on a line of its own."""
        start, own, hang = self._column(), self.lines[-1], self._hang
        for part in _below(tree):
            self._until_where(part.meta.start_pos, own, start)
            self._before_where(own, start)
            self._lay(part)
        self._until_where(tree.meta.end_pos, own, start)
        self._hang = hang

    def _until_where(self, until: int, own: _Line, start: int) -> None:
        while self._next < len(self._pieces) and self._starts[self._next] < until:
            self._before_where(own, start)
            self._take(self._starts[self._next] + 1)

    def _before_where(self, own: _Line, start: int) -> None:
        if own.pieces and self._pieces[self._next].text in _BREAKS_BEFORE:
            self._break(start + INDENT)
            self._hang = start + 2 * INDENT


_LAYOUTS = {"chain": _Printer._chain, "block": _Printer._block}  # noqa: SLF001 - the class's own table


def _below(tree: Tree[Token]) -> Iterator[Tree[Token]]:
    """The subtrees right below a tree that hold a token."""
    return (child for child in tree.children if isinstance(child, Tree) and not child.meta.empty)
