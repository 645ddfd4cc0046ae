"""What a comparison reads, and as what: for the compiled condition and for the one that is told step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.language import functions, nodes


def leaf_of(operand: nodes.Operand) -> nodes.Leaf:
    """What an operand reads, moved or not."""
    if isinstance(operand, nodes.Moved):
        operand = operand.base
    if not isinstance(operand, nodes.Leaf):
        raise TypeError(operand)  # the checker resolves every operand first
    return operand


def may_be_absent(operand: nodes.Operand) -> bool:
    """Whether an operand may have no value."""
    return not isinstance(operand, nodes.Literal) and leaf_of(operand).type.optional


def converter_of(left: nodes.Operand, right: nodes.Operand) -> Callable[[Any], Any] | None:
    """As what two sides are compared: as they are, unless both have an order."""
    kinds = {o.type.kind if isinstance(o, nodes.Literal | nodes.Moved) else leaf_of(o).type.kind for o in (left, right)}
    if kinds == {"number"}:
        return functions.number
    if kinds == {"instant"}:
        return functions.moment
    if kinds <= {"date", "instant"}:
        return functions.day
    return None


def of_quantities(test: nodes.Equal | nodes.Ordered) -> bool:
    """Whether a comparison is one of quantities, which are compared by what one is more than the other."""
    return isinstance(test.left, nodes.Leaf) and test.left.type.kind == "quantity"
