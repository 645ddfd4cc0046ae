"""What a condition sees: the facts, and what it is about; and how each thing that rules read is read from it.

The compiled path reads through generated code (`gateway/rules/reading.py`); here each leaf is read when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.hl7v2 import NULL, Segment
from gateway.language.nodes import Column, Element, Fact, Field, Item, Leaf, Part
from gateway.rules.content import (
    each_element,
    each_repetition,
    has,
    one,
    own_populated,
    own_texts,
    populated,
    populated_part,
    several,
    texts,
)
from gateway.rules.facts import PATHS, Facts
from gateway.rules.reading import OF_RESOURCE, PATIENT

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Repetition:
    """What a loop over a field stands at: one repetition. Shape: `number` counts from 1."""

    segment: Segment
    field: int
    number: int


@dataclass(frozen=True, slots=True)
class Sight:
    """What one condition is asked of.

    Shape: `resource` and `patient` where it reads one; `bound` is what the loop variables stand for: a `Repetition` of
    a field, else one value of an element or a list fact.
    """

    facts: Facts
    resource: Resource | None = None
    patient: Resource | None = None
    bound: Mapping[str, Any] = field(default_factory=dict)

    def binding(self, variable: str, to: Any) -> Sight:
        """The same with what a loop variable stands for."""
        return replace(self, bound={**self.bound, variable: to})


def value(leaf: Leaf, sight: Sight) -> Any:
    """The value of a leaf: None where it is absent; of a list, a tuple or set of its values.

    Errors: one of `functions.ERRORS` where it is not of its type.
    """
    return VALUES[type(leaf)](leaf, sight)


def present(leaf: Leaf, sight: Sight) -> bool:
    """Whether there is any value.

    Errors: one of `functions.ERRORS` where that can't be told.
    """
    asked = PRESENT.get(type(leaf))
    own = None if asked is None else asked(leaf, sight)
    if own is not None:
        return own
    found = value(leaf, sight)
    return bool(found) if leaf.type.many else found is not None


def each(leaf: Leaf, sight: Sight) -> Iterable[Any]:
    """What a loop over a leaf goes over: repetitions of a field, values of an element or of a list fact.

    Errors: one of `functions.ERRORS` where a value is not of its type.
    """
    match leaf:
        case Field():
            segments = _message(sight).all(leaf.segment) if leaf.of is None else (sight.bound[leaf.of].segment,)
            return (Repetition(line, leaf.field, number) for line, number in each_repetition(segments, leaf.field))
        case Element() | Item():
            return each_element(_root(leaf, sight), leaf.steps, leaf.type.kind, leaf.system)
        case _:
            found: Iterable[Any] = value(leaf, sight)
            return found


def _fact(leaf: Fact, sight: Sight) -> Any:
    if leaf.name == PATIENT:
        return sight.patient
    if leaf.name in OF_RESOURCE:
        return OF_RESOURCE[leaf.name](_resource(sight))
    found: Any = sight.facts
    for name in PATHS[leaf.name]:
        found = getattr(found, name)
    return found


def _field(leaf: Field, sight: Sight) -> Any:
    position = (leaf.field, leaf.component, leaf.subcomponent)
    if leaf.of is not None:
        segment: Segment | None = sight.bound[leaf.of].segment
        if leaf.type.many and segment is not None:
            return own_texts(segment, *position)
    elif leaf.type.many:
        return texts(_message(sight), leaf.segment, *position)
    else:
        segment = _message(sight).first(leaf.segment)
    if segment is None:
        return None
    return _kept(segment.text(leaf.field, leaf.component or 1, leaf.subcomponent or 1))


def _part(leaf: Part, sight: Sight) -> Any:
    of = sight.bound[leaf.variable]
    return _kept(of.segment.text(of.field, leaf.component or 1, leaf.subcomponent or 1, of.number))


def _element(leaf: Element | Item, sight: Sight) -> Any:
    read = several if leaf.type.many else one
    return read(_root(leaf, sight), leaf.steps, leaf.type.kind, leaf.system)


def _item(leaf: Item, sight: Sight) -> Any:
    # what the loop gives is typed already
    return _element(leaf, sight) if leaf.steps else sight.bound[leaf.variable]


def _column(leaf: Column, sight: Sight) -> Any:
    return sight.facts.row[leaf.name]


def _field_there(leaf: Field, sight: Sight) -> bool | None:
    if leaf.of is not None:
        return own_populated(sight.bound[leaf.of].segment, leaf.field, leaf.component, leaf.subcomponent)
    if leaf.type.composite or leaf.type.many:
        return populated(_message(sight), leaf.segment, leaf.field, leaf.component, leaf.subcomponent)
    return None


def _part_there(leaf: Part, sight: Sight) -> bool | None:
    if not leaf.type.composite:
        return None
    of = sight.bound[leaf.variable]
    return populated_part(of.segment, of.number, of.field, leaf.component, leaf.subcomponent)


def _element_there(leaf: Element | Item, sight: Sight) -> bool | None:
    return has(_root(leaf, sight), leaf.steps) if leaf.steps else None


def _message(sight: Sight) -> Any:
    return sight.facts.message


def _resource(sight: Sight) -> Any:
    return sight.resource


def _root(leaf: Element | Item, sight: Sight) -> Any:
    """What a path starts from."""
    if isinstance(leaf, Item):
        return sight.bound[leaf.variable]
    return sight.patient if leaf.of == PATIENT else sight.resource


def _kept(text: str | None) -> str | None:
    """A text, or None where it is HL7's delete mark."""
    return None if text == NULL else text


VALUES: Mapping[type, Callable[[Any, Sight], Any]] = {
    Fact: _fact,
    Field: _field,
    Part: _part,
    Element: _element,
    Column: _column,
    Item: _item,
}
"""How the value of each kind of leaf is read."""

PRESENT: Mapping[type, Callable[[Any, Sight], bool | None]] = {
    Field: _field_there,
    Part: _part_there,
    Element: _element_there,
    Item: _element_there,
}
"""How presence is asked where the value doesn't tell it; the answer is None where it does all the same."""
