"""Author text, places in it, and what is wrong there.

Everything that an author writes (rules, maps, layouts) is read through a `Source`; what is wrong with it is a
`Diagnostic` with a `Span`. Diagnostics are collected, sorted by place and rendered once, like a compiler's.
What is wrong with a *submission* is a `Finding` (`gateway/finding.py`), never a `Diagnostic`.
"""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

T = TypeVar("T")
_LINE_FEED = re.compile("\n")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file of author text.

    Shape: `name` is the path as it is shown to the author, `text` the whole content.
    """

    name: str
    text: str
    _starts: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Remember where each line starts."""
        object.__setattr__(self, "_starts", [0, *(found.end() for found in _LINE_FEED.finditer(self.text))])

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character.

        Units: `offset` in characters from 0; line and column from 1.
        """
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of one line, without its end.

        Units: lines are counted from 1; past the last line the answer is empty.
        """
        if number > len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source.

    Units: `start` and `end` are character offsets, `end` exclusive.
    """

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """Line of the first character, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the first character, from 1."""
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        """The author's text."""
        return self.source.text[self.start : self.end]

    def __str__(self) -> str:
        """`file:line:column`, which editors make clickable."""
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault in an author's text.

    Shape: `code` is stable (`R012`), `message` is lower case without a full stop and quotes the author's words in
    backticks, `help` says what to write instead.
    """

    code: str
    message: str
    span: Span
    help: str | None = None
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of fault.

    Shape: `code` is stable; `words` and `hint` are templates, lower case, without a full stop.
    """

    code: str
    words: str
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def at(self, span: Span, hint: str | None = None, **filled: object) -> Diagnostic:
        """The message about one place; `hint` stands in for the template's own."""
        own = self.hint.format(**filled) if self.hint else None
        return Diagnostic(self.code, self.words.format(**filled), span, hint or own, self.severity)


class Catalogue(dict[str, Message]):
    """The messages of one part of the language, by their codes."""

    def add(
        self, code: str, words: str, hint: str | None = None, severity: Literal["error", "warning"] = "error"
    ) -> Message:
        """A message under a code that no other has.

        Errors: ValueError for a code that was given before.
        """
        if code in self:
            raise ValueError(code)
        self[code] = Message(code, words, hint, severity)
        return self[code]


class Keep(Protocol):
    """Keeps what texts were parsed to between two starts.

    Shape: what `make` makes depends on the sources alone, and holds no others; the name tells kinds of texts apart.
    """

    def __call__(self, name: str, sources: Sequence[Source], make: Callable[[], T]) -> T:
        """What `make` makes, or made of the same sources before."""
        ...


def made_anew(name: str, sources: Sequence[Source], make: Callable[[], T]) -> T:  # noqa: ARG001 - Keep's shape
    """What `make` makes; nothing is kept."""
    return make()


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort diagnostics by file, place and code, each kept once."""
    unique = {(d.span.source.name, d.span.start, d.code, d.message): d for d in diagnostics}
    return tuple(unique[key] for key in sorted(unique))


def render(diagnostic: Diagnostic) -> str:
    """Diagnostic as text with the author's line and a caret.

    Source: the form of rustc's messages, as `style.md` of the design shows it.
    """
    span = diagnostic.span
    line, column = span.source.position(span.start)
    text = span.source.line(line)
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    margin = " " * len(str(line))
    pad = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
    rows = [
        f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}",
        f"{margin} --> {span}",
        f"{margin}  |",
        f"{line}  | {text}",
        f"{margin}  | {pad}{'^' * width}",
    ]
    if diagnostic.help is not None:
        rows.append(f"{margin}  = help: {diagnostic.help}")
    return "\n".join(rows)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or nothing.

    Letter case is ignored in the comparison, so that a slip of case alone is always found. A word that is one slip away
    goes before one that merely looks alike.
    """
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    folded = word.casefold()
    slips = [(rank, candidate) for candidate in by_folded if (rank := slip(folded, candidate)) is not None]
    if slips:
        return by_folded[min(slips)[1]]
    close = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


_TELLING = 2  # one letter for another is no slip but another word


def slip(word: str, meant: str) -> int | None:
    """Whether a word is another, but for one slip of the hand; None where it is not.

    Shape: 0 for the same, 1 for two letters that changed places, 2 for a letter too many or too few, 3 for another; one
    more where it is a digit, which may well be meant.
    """
    if word == meant:
        return 0
    if len(word) < _TELLING and len(meant) < _TELLING and word[:1] != meant[:1]:
        return None
    shorter, longer = sorted((word, meant), key=len)
    if len(longer) - len(shorter) > 1:
        return None
    at = next((i for i, (one, other) in enumerate(zip(shorter, longer, strict=False)) if one != other), len(shorter))
    digit = longer[at].isdigit() or shorter[at : at + 1].isdigit()
    if len(shorter) < len(longer):
        return 2 + digit if shorter[at:] == longer[at + 1 :] else None
    if shorter[at + 1 :] == longer[at + 1 :]:
        return 3 + digit
    swapped = shorter[at : at + 2] == longer[at : at + 2][::-1]
    return 1 + digit if swapped and shorter[at + 2 :] == longer[at + 2 :] else None
