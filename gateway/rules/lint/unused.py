"""What is declared and named nowhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from gateway.language.nodes import Word
from gateway.rules.lint import messages
from gateway.rules.nodes import Statement
from gateway.source import Diagnostic

KINDS = frozenset({"organisation", "role", "purpose", "target", "agreement", "list", "codes", "set", "condition"})
"""Statements that declare a name for others to use; a principal is used by whoever holds its credentials."""


def unused(files: Mapping[str, Sequence[Statement]]) -> Iterator[Diagnostic]:
    """Names of the registry that no statement says, and sets and conditions that none of their file does.

    Shape: the statements of each file by its name. A test is no use. A word counts whatever it means where it stands,
    so some name that is not used may be missed, and none that is used is told.
    """
    said: dict[str, dict[str, set[int]]] = {}
    for file, statements in files.items():
        for statement in statements:
            if statement.kind == "test":
                continue
            for clause in statement.clauses:
                for word in _words(clause):
                    said.setdefault(word.casefold(), {}).setdefault(file, set()).add(statement.span.start)
    for file, statements in files.items():
        for statement in statements:
            if statement.kind in KINDS:
                places = said.get(statement.name.text.casefold(), {})
                wanted = places if statement.kind not in {"set", "condition"} else {file: places.get(file, set())}
                if not any(start != statement.span.start for starts in wanted.values() for start in starts):
                    name = statement.name
                    yield messages.UNUSED.at(name.span, kind=statement.kind, word=name.text)


def _words(node: object) -> Iterator[str]:
    """The words of a clause, all the way down."""
    if isinstance(node, Word):
        yield node.text
    elif isinstance(node, tuple):
        for part in node:
            yield from _words(part)
    elif dataclasses.is_dataclass(node):
        for one in dataclasses.fields(node):
            if one.name != "span":
                yield from _words(getattr(node, one.name))
