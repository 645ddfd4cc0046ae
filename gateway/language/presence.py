"""What is known to be present where a condition holds, and where it doesn't."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.language.nodes import Chain, Column, Element, Fact, Field, Leaf, Named, Not, Part, Present, Test

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
    match leaf:
        case Field():
            return ("field", leaf.segment, leaf.field, leaf.component or 1, leaf.subcomponent or 1)
        case Part():
            return ("part", leaf.variable, leaf.component or 1, leaf.subcomponent or 1)
        case Element():
            return ("element", leaf.resource, leaf.steps)
        case Fact():
            return ("fact", leaf.name)
        case Column():
            return ("column", leaf.name)


def presence(test: Test) -> Known:
    """What the outcome of a resolved condition tells of presence."""
    match test:
        case Present(operand=Fact() | Field() | Part() | Element() | Column() as leaf, positive=positive):
            # of a composite some part is there, not necessarily the first
            keys = frozenset() if leaf.type.composite else frozenset({key(leaf)})
            return Known(keys, frozenset()) if positive else Known(frozenset(), keys)
        case Not():
            inner = presence(test.part)
            return Known(inner.failed, inner.held)
        case Named(test=meaning) if meaning is not None:
            return presence(meaning)
        case Chain():
            known = [presence(part) for part in test.parts]
            every = frozenset[Key]().union
            if test.word == "and":
                return Known(every(*(k.held for k in known)), shared([k.failed for k in known]))
            return Known(shared([k.held for k in known]), every(*(k.failed for k in known)))
        case _:
            return Known()


def shared(sets: list[frozenset[Key]]) -> frozenset[Key]:
    """The keys that all of these have."""
    first, *rest = sets
    return first.intersection(*rest)
