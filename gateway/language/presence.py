"""What is known to be present where a condition holds, and where it doesn't."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.language.nodes import Chain, Column, Element, Fact, Field, Item, Leaf, Named, Not, Part, Present, Test

Key = tuple[object, ...]
"""What a leaf's scalar value is known by."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known to be present where a condition holds, and where it doesn't."""

    held: frozenset[Key] = frozenset()
    failed: frozenset[Key] = frozenset()


def present_in(test: Test) -> frozenset[Key]:
    """Keys of what is present wherever a resolved condition holds."""
    return presence(test).held


def key(leaf: Leaf) -> Key:
    """What a leaf's scalar value is known by: `PID-3` and `PID-3.1.1` are one value."""
    return KEYS[type(leaf)](leaf)


KEYS: Mapping[type, Callable[[Any], Key]] = {
    Field: lambda f: ("field", f.of, f.segment, f.field, f.component or 1, f.subcomponent or 1),
    Part: lambda p: ("part", p.variable, p.component or 1, p.subcomponent or 1),
    Element: lambda e: ("element", e.of, e.resource, e.steps),
    Fact: lambda f: ("fact", f.name),
    Column: lambda c: ("column", c.name),
    Item: lambda i: ("item", i.variable, i.steps),
}


def presence(test: Test) -> Known:
    """What the outcome of a resolved condition tells of presence; of what `any` and `every` ask, nothing."""
    return _PRESENCE[type(test)](test) if type(test) in _PRESENCE else Known()


def _present(test: Present) -> Known:
    leaf = test.operand
    if not isinstance(leaf, Leaf) or leaf.type.composite:
        return Known()  # of a composite some part is there, not necessarily the first
    keys = frozenset({key(leaf)})
    return Known(keys, frozenset()) if test.positive else Known(frozenset(), keys)


def _not(test: Not) -> Known:
    inner = presence(test.part)
    return Known(inner.failed, inner.held)


def _named(test: Named) -> Known:
    return Known() if test.test is None else presence(test.test)


def _chain(test: Chain) -> Known:
    return joined(test.word, [presence(part) for part in test.parts])


# those whose outcome tells anything; a comparison's tells nothing
_PRESENCE: Mapping[type, Callable[[Any], Known]] = {Present: _present, Not: _not, Named: _named, Chain: _chain}


def joined(word: Literal["and", "or"], known: list[Known]) -> Known:
    """What the outcome of several, joined by a word, tells."""
    every = frozenset[Key]().union
    if word == "and":
        return Known(every(*(k.held for k in known)), shared([k.failed for k in known]))
    return Known(shared([k.held for k in known]), every(*(k.failed for k in known)))


def shared(sets: list[frozenset[Key]]) -> frozenset[Key]:
    """The keys that all of these have."""
    first, *rest = sets
    return first.intersection(*rest)
