"""What no author writes and every attacker does: how long and how deep a text may be, and characters that deceive.

Each limit is far above what rules need, and so low that a text beyond it costs less to refuse than to read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from lark import Token, Tree

from gateway.language import messages
from gateway.language.nodes import Named, Test, parts
from gateway.source import Diagnostic, Source, Span

LONGEST_STATEMENT = 50_000
"""Units: characters; a set of some 5,000 codes. What has more belongs in a `list` or `codes`."""

LONGEST_WORD = 500
"""Units: characters without a blank; addresses in quotes are the longest that there are."""

DEEPEST = 50
"""How deep conditions may be nested, and how many may stand behind each other's names."""

MOST_PARTS = 5_000
"""How many conditions one may be made of, those behind names counted wherever they are named."""

LONGEST_FILE = 50_000
"""Units: lines; some 10,000 rules."""

LARGEST_FILE = 4_000_000
"""Units: bytes."""

MOST_FAULTS = 100
"""So many faults in one file are told; nobody mends more at a time."""

# C0 and C1 controls but for tab and line ends; what turns the direction of writing, has no width, or ends lines
_DECEIVING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def deceiving(source: Source) -> Iterator[Diagnostic]:
    """The characters of a file that are not shown, the first of each line.

    Source: CVE-2021-42574 ("Trojan Source"); Unicode Standard Annex 9.
    """
    last = 0
    for match in _DECEIVING.finditer(source.text):
        line = source.position(match.start())[0]
        if line != last:
            last = line
            yield messages.DECEIVING.at(Span(source, match.start(), match.end()), word=_named(match[0]))


def _named(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" {name}" if name else "")


def too_large(source: Source) -> Diagnostic | None:
    """The line at which a file becomes too long."""
    if source.text.count("\n", 0, -1) < LONGEST_FILE:
        return None
    start = sum(len(line) + 1 for line in source.text.split("\n", LONGEST_FILE)[:LONGEST_FILE])
    return messages.LONG_FILE.at(Span(source, start, start + 1), most=f"{LONGEST_FILE:,}")


_WORD = re.compile(rf"[^\s()]{{{LONGEST_WORD + 1},}}")


def beyond(span: Span) -> Diagnostic | None:
    """That a statement is longer than any that is meant."""
    if span.end - span.start > LONGEST_STATEMENT:
        at = span.start + LONGEST_STATEMENT
        return messages.LONG_STATEMENT.at(Span(span.source, at, at + 1), most=f"{LONGEST_STATEMENT:,}")
    match = _WORD.search(span.source.text, span.start, span.end)
    if match is not None:
        return messages.LONG_WORD.at(Span(span.source, match.start(), match.start() + 40), most=LONGEST_WORD)
    return None


def too_deep(tree: Tree[Token], source: Source) -> Diagnostic | None:
    """Where a tree is nested too deep. Without recursion: it is there to keep that from others."""
    rest: list[tuple[Tree[Token], int]] = [(tree, 0)]
    while rest:
        node, depth = rest.pop()
        deeper = depth + (node.data in _NESTING)
        if deeper > DEEPEST:
            start = node.meta.start_pos
            return messages.TOO_DEEP.at(Span(source, start, start + 1), most=DEEPEST)
        rest.extend((child, deeper) for child in node.children if isinstance(child, Tree))
    return None


def too_many(test: Test) -> Diagnostic | None:
    """That a resolved condition is made of more than any that is meant, or names others too deep.

    Without recursion, and it stops at the limit: a few names that stand for each other twice are thousands.
    """
    rest = [(test, 0)]
    count = 0
    while rest:
        part, depth = rest.pop()
        count += 1
        if count > MOST_PARTS:
            return messages.TOO_MANY.at(test.span, most=f"{MOST_PARTS:,}")
        if depth > DEEPEST:
            return messages.TOO_DEEP.at(test.span, most=DEEPEST)
        rest.extend((inner, depth + isinstance(part, Named)) for inner in parts(part))
    return None


_NESTING = frozenset({"group", "negation", "quantified"})


STOPS = frozenset(
    message.code for message in (messages.LONG_STATEMENT, messages.LONG_WORD, messages.TOO_DEEP, messages.LONG_FILE)
)
"""Faults after which a file is not read on."""


def head(path: Path) -> tuple[bytes, bool]:
    """The bytes of a file as far as it is read, and whether that is all. Errors: OSError."""
    with path.open("rb") as file:
        found = file.read(LARGEST_FILE + 1)
    return found[:LARGEST_FILE], len(found) <= LARGEST_FILE


def too_many_bytes(name: str, found: bytes) -> Diagnostic:
    """The line at which a file becomes too large."""
    source = Source(name, found.decode(errors="replace"))
    end = len(source.text)
    return messages.LARGE_FILE.at(Span(source, end - 1, end), most=f"{LARGEST_FILE:,}")
