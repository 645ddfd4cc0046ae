"""What a generated function reads more than once is read once, into a local, before anything is asked."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.language import nodes
from gateway.language.code import Code, Reader


@dataclass(frozen=True, slots=True)
class Hoisted:
    """Locals for what is read more than once: the statements that fill them, and their names."""

    statements: tuple[ast.stmt, ...]
    names: Mapping[object, str]


def hoist(tests: Iterable[nodes.Test], reader: Reader, code: Code, prefix: str = "h") -> Hoisted:
    """Read what several tests of one function read more than once into locals.

    HL7 paths alone: reading one can't fail, so it may be read where a condition before it would have stopped. A fact
    is an attribute, a local would cost as much; reading an element may fail.
    """
    counts: Counter[object] = Counter()
    first: dict[object, nodes.Leaf] = {}
    for test in tests:
        for leaf in _values(test, reader, code):
            if isinstance(leaf, nodes.Field | nodes.Part):
                counts[identity_of(leaf)] += 1
                first.setdefault(identity_of(leaf), leaf)
    statements: list[ast.stmt] = []
    names: dict[object, str] = {}
    for identity, count in counts.items():
        if count > 1:
            names[identity] = f"{prefix}{len(names)}"
            target = ast.Name(names[identity], ast.Store())
            statements.append(ast.Assign([target], reader.value(first[identity], code)))
    return Hoisted(tuple(statements), names)


def identity_of(leaf: nodes.Leaf) -> object:
    """Equal for two leaves that read the same, wherever they stand."""
    return (type(leaf), *(getattr(leaf, name) for name in leaf.__slots__ if name != "span"))


def _values(test: nodes.Test, reader: Reader, code: Code, bound: frozenset[str] = frozenset()) -> Iterator[nodes.Leaf]:
    """The leaves whose value is read, without those of loops in the test, and those whose presence alone is asked."""
    if isinstance(test, nodes.Quantified):
        bound |= {test.variable.text}
    else:
        asked = isinstance(test, nodes.Present)
        for operand in nodes.operands(test):
            if not isinstance(operand, nodes.Leaf) or not bound.isdisjoint(_variables(operand)):
                continue
            if not asked or reader.present(operand, code) is None:
                yield operand
    for part in nodes.parts(test):
        yield from _values(part, reader, code, bound)


def _variables(leaf: nodes.Leaf) -> tuple[str, ...]:
    """The loop variables that a leaf is read by."""
    if isinstance(leaf, nodes.Part | nodes.Item):
        return (leaf.variable,)
    return (leaf.of,) if isinstance(leaf, nodes.Field) and leaf.of is not None else ()
