"""What FHIRPath's operators and functions do with collections of values.

Source: http://hl7.org/fhirpath/N1/, sections 5 and 6
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import re2

from gateway.fhir.moments import compared

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


def step_with_extensions(before: Function, key: str) -> Function:
    """The same of a primitive, an extension without a value being an element too: it stands as its JSON object.

    Source: https://hl7.org/fhir/R4/json.html#primitive
    """
    beside = f"_{key}"

    def members(values: Values) -> Values:
        found: Values = []
        for item in before(values):
            if type(item) is not dict:
                continue
            value, other = item.get(key), item.get(beside)
            if type(value) is list or type(other) is list:
                found.extend(_paired(value, other))
            elif value is not None or other is not None:
                found.append(other if value is None else value)
        return found

    return members


def _paired(value: Any, other: Any) -> Iterator[Any]:
    one, beside = value if type(value) is list else [], other if type(other) is list else []
    for i in range(max(len(one), len(beside))):
        found = one[i] if i < len(one) and one[i] is not None else beside[i] if i < len(beside) else None
        if found is not None:
            yield found


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


def _implies(left: Values, right: Values) -> Values:
    if left == [False] or right == [True]:
        return [True]
    return [False] if left and right else []


def _in(left: Values, right: Values) -> Values:
    return [any(_same_values(left, [one]) for one in right)] if left else []


def _added(left: Values, right: Values) -> Values:
    if len(left) != 1 or len(right) != 1:
        return []
    one, other = left[0], right[0]
    fits = (_is_number(one) and _is_number(other)) or (isinstance(one, str) and isinstance(other, str))
    return [one + other] if fits else []


def _joined(left: Values, right: Values) -> Values:
    return ["".join(str(value) for value in (*left[:1], *right[:1]))]


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
    "implies": _implies,
    "in": _in,
    "contains": lambda left, right: _in(right, left),
    "+": _added,
    "&": _joined,
}
"""What each operator but `|` makes of the collections on its sides."""

ORDERS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
"""What each sign asks of -1, 0 or 1: how two moments or quantities stand to each other."""


def ordered(sign: str, left: Values, right: Values) -> Values:
    """Comparison of moments or quantities; one that can't be told, by precision or unit, holds.

    Source: http://hl7.org/fhirpath/N1/#comparison gives nothing there, which would break an invariant that isn't.
    """
    if not left or not right:
        return []
    one, other = left[0], right[0]
    if isinstance(one, str) and isinstance(other, str):
        order = compared(one, other)
    elif type(one) is dict and type(other) is dict:
        order = _quantities(one, other)
    else:
        return []
    return [order is None or ORDERS[sign](order)]


def _quantities(one: dict[str, Any], other: dict[str, Any]) -> int | None:
    low: Any = one.get("value")
    high: Any = other.get("value")
    unit = ("system", "code") if "code" in one or "code" in other else ("unit",)
    if not _is_number(low) or not _is_number(high) or any(one.get(name) != other.get(name) for name in unit):
        return None
    return int(low > high) - int(low < high)


def distinct(values: Values) -> Values:
    """Whether no value stands twice."""
    return [len({_told_apart(value) for value in values}) == len(values)]


def _told_apart(value: Any) -> Any:
    """What two values share where they are equal, as something that a set takes."""
    if type(value) is dict:
        return frozenset((name, _told_apart(inner)) for name, inner in value.items())
    if type(value) is list:
        return tuple(map(_told_apart, value))
    return (isinstance(value, bool), value)


def descendants(values: Values) -> Values:
    """All that stands below, however deep; extensions of primitives too."""
    found: Values = []
    waiting = list(reversed(children(values)))
    while waiting:
        value = waiting.pop()
        found.append(value)
        waiting.extend(reversed(children([value])))
    return found


def children(values: Values) -> Values:
    """What stands right below."""
    found: Values = []
    for item in values:
        if type(item) is dict:
            for value in item.values():
                found.extend(value if type(value) is list else [value])
    return [value for value in found if value is not None]


def _of_text(change: Callable[[str], Any]) -> Callable[[Values], Values]:
    """What a change makes of the one text that is there; nothing of anything else."""

    def changed(values: Values) -> Values:
        value = change(values[0]) if len(values) == 1 and isinstance(values[0], str) else None
        return [] if value is None else [value]

    return changed


def of_text(name: str, argument: str) -> Callable[[Values], Values] | None:
    """A function of a text with a literal argument, or None where there is none of that name.

    Source: http://hl7.org/fhirpath/N1/#string-manipulation
    """
    match name:
        case "matches":
            pattern = re2.compile(f"(?s){argument}")
            return _of_text(lambda text: pattern.fullmatch(text) is not None)
        case "startsWith":
            return _of_text(lambda text: text.startswith(argument))
        case "contains":
            return _of_text(lambda text: argument in text)
        case _:
            return None


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None


def to_integer(values: Values) -> Values:
    """The whole number that one value is or says; nothing where it is none."""
    if len(values) == 1 and isinstance(values[0], int):
        return [int(values[0])]
    return _of_text(_integer)(values)


def to_text(values: Values) -> Values:
    """One value as text; nothing of an object."""
    if len(values) != 1 or type(values[0]) is dict:
        return []
    return [str(values[0]).lower() if isinstance(values[0], bool) else str(values[0])]


SUMMARIES: dict[str, tuple[Callable[[Values], Values], str]] = {
    "exists": (lambda values: [bool(values)], "boolean"),
    "empty": (lambda values: [not values], "boolean"),
    "not": (lambda values: [values != [True]] if values else [], "boolean"),
    "count": (lambda values: [len(values)], "integer"),
    "hasValue": (lambda values: [len(values) == 1 and type(values[0]) is not dict], "boolean"),
    "isDistinct": (distinct, "boolean"),
    "toInteger": (to_integer, "integer"),
    "toString": (to_text, "string"),
    "children": (children, ""),
    "descendants": (descendants, ""),
}
"""Functions of a whole collection, with the type of what they give."""
