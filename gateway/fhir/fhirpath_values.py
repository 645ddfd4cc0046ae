"""What FHIRPath's operators and functions do with collections of values.

Source: http://hl7.org/fhirpath/N1/, sections 5 and 6
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Values = list[Any]
Function = Callable[[Values], Values]

# the type and id at the end of a literal reference, whatever stands before and after
_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$")


def same(values: Values) -> Values:
    """What is given."""
    return values


def step(before: Function, key: str) -> Function:
    """Values of a member, lists flattened, JSON nulls (which only hold a place for extensions) left out."""

    def members(values: Values) -> Values:
        found: Values = []
        for item in before(values):
            value = item.get(key) if type(item) is dict else None
            if type(value) is list:
                found.extend(v for v in value if v is not None)
            elif value is not None:
                found.append(value)
        return found

    return members


def after(first: Function, second: Function) -> Function:
    """One function after the other."""
    return second if first is same else lambda values: second(first(values))


def each(before: Function, change: Callable[[Any], Any]) -> Function:
    """Each value changed; without those that become None."""
    return lambda values: [changed for value in before(values) if (changed := change(value)) is not None]


def kept(before: Function, test: Callable[[Any], bool]) -> Function:
    """The values that pass a test."""
    return lambda values: [value for value in before(values) if test(value)]


def constant(verdict: bool) -> Callable[[Any], bool]:  # noqa: FBT001 - the value that is held, not a switch
    """Test that is decided."""
    return lambda _: verdict


def is_resource_type(name: str) -> Callable[[Any], bool]:
    """Test whether a value is a resource of a type."""
    return lambda value: type(value) is dict and value.get("resourceType") == name


def of_resource_type(before: Function, name: str) -> Function:
    """The resources of a type; of an abstract one, all."""
    if name in {"Resource", "DomainResource"}:
        return before
    return kept(before, is_resource_type(name))


def resolved(reference: Any) -> dict[str, str] | None:
    """What can be told of a reference's target without reading it: its type and id."""
    literal = reference.get("reference") if type(reference) is dict else reference
    if isinstance(literal, str) and (match := _REFERENCE.search(literal)):
        return {"resourceType": match[1], "id": match[2]}
    if type(reference) is dict and isinstance(reference.get("type"), str):
        return {"resourceType": reference["type"]}
    return None


def _compared(test: Callable[[Any, Any], bool]) -> Callable[[Values, Values], Values]:
    def compare(left: Values, right: Values) -> Values:
        if not left or not right:
            return []
        one, other = left[0], right[0]
        if type(one) is not type(other) and not (_is_number(one) and _is_number(other)):
            return []
        return [test(one, other)]

    return compare


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _equal(left: Values, right: Values) -> Values:
    return [_same_values(left, right)] if left and right else []


def _unequal(left: Values, right: Values) -> Values:
    return [not _same_values(left, right)] if left and right else []


def _same_values(left: Values, right: Values) -> bool:
    # Python holds True and 1 for equal, FHIRPath doesn't
    return len(left) == len(right) and all(
        one == other and isinstance(one, bool) == isinstance(other, bool)
        for one, other in zip(left, right, strict=True)
    )


def _and(left: Values, right: Values) -> Values:
    if left == [False] or right == [False]:
        return [False]
    return [True] if left and right else []


def _or(left: Values, right: Values) -> Values:
    if left == [True] or right == [True]:
        return [True]
    return [False] if left and right else []


def _xor(left: Values, right: Values) -> Values:
    return [left != right] if left and right else []


OPERATORS: dict[str, Callable[[Values, Values], Values]] = {
    "=": _equal,
    "!=": _unequal,
    "<": _compared(operator.lt),
    "<=": _compared(operator.le),
    ">": _compared(operator.gt),
    ">=": _compared(operator.ge),
    "and": _and,
    "or": _or,
    "xor": _xor,
}
"""What each operator but `|` makes of the collections on its sides."""

SUMMARIES: dict[str, tuple[Callable[[Values], Values], str]] = {
    "exists": (lambda values: [bool(values)], "boolean"),
    "empty": (lambda values: [not values], "boolean"),
    "not": (lambda values: [values != [True]] if values else [], "boolean"),
    "count": (lambda values: [len(values)], "integer"),
    "hasValue": (lambda values: [len(values) == 1 and type(values[0]) is not dict], "boolean"),
}
"""Functions of a whole collection, with the type of what they give."""
