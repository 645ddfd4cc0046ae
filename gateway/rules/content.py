"""What messages and resources hold at a place: texts, repetitions, elements of their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from gateway.hl7v2 import NULL, Element, Message, Segment
from gateway.language.codings import quantity
from gateway.language.functions import EvaluationError, elements, organisation_code
from gateway.language.kinds import Kind


def texts(
    message: Message, segment: str, field: int, component: int | None, subcomponent: int | None
) -> tuple[str, ...]:
    """Texts of a leaf in every repetition of every such segment; empty ones and delete marks left out."""
    found = (
        _text(repetition, component, subcomponent) for line in message.all(segment) for repetition in line.field(field)
    )
    return tuple(value for value in found if value is not None)


def own_texts(segment: Segment, field: int, component: int | None, subcomponent: int | None) -> tuple[str, ...]:
    """Texts of a leaf in every repetition in one segment; empty ones and delete marks left out."""
    found = (_text(repetition, component, subcomponent) for repetition in segment.field(field))
    return tuple(value for value in found if value is not None)


def own_populated(segment: Segment, field: int, component: int | None, subcomponent: int | None) -> bool:
    """Whether any repetition in one segment has any text there, in whichever of its parts."""
    return any(_populated(repetition, component, subcomponent) for repetition in segment.field(field))


def populated(message: Message, segment: str, field: int, component: int | None, subcomponent: int | None) -> bool:
    """Whether any repetition of any such segment has any text there, in whichever of its parts."""
    return any(
        _populated(repetition, component, subcomponent)
        for line in message.all(segment)
        for repetition in line.field(field)
    )


def populated_part(segment: Segment, number: int, field: int, component: int | None, subcomponent: int | None) -> bool:
    """Whether a part of one repetition has any text, in whichever of its own parts."""
    return _populated(segment.field(field)[number - 1], component, subcomponent)


def _text(repetition: Element, component: int | None, subcomponent: int | None) -> str | None:
    below = _below(repetition, component, subcomponent)
    found = None if below is None else below.text
    return None if found == NULL else found


def _populated(repetition: Element, component: int | None, subcomponent: int | None) -> bool:
    below = _below(repetition, component, subcomponent)
    return below is not None and _has_text(below)


def _below(repetition: Element, component: int | None, subcomponent: int | None) -> Element | None:
    found: Element | None = repetition
    for step in (component, subcomponent):
        if step is not None and found is not None:
            found = found.at(step)
    return found


def _has_text(element: Element) -> bool:
    inner = element.parts
    if len(inner) > 1:
        return any(_has_text(one) for one in inner)
    found = element.text
    return found is not None and found != NULL


def one(resource: Mapping[str, Any], steps: tuple[str, ...], kind: Kind, system: str) -> Any:
    """The value of an element that occurs once.

    Shape: `system` is that of identifiers of organisations.
    Errors: EvaluationError where it is of another type, or occurs more than once.
    """
    found = elements(resource, steps)
    if len(found) > 1:
        raise EvaluationError("an element occurs more than once")
    return _typed(found[0], kind, system) if found else None


def several(resource: Mapping[str, Any], steps: tuple[str, ...], kind: Kind, system: str) -> tuple[Any, ...]:
    """The values of an element that may repeat; references that name no organisation are left out.

    Errors: EvaluationError where one is of another type.
    """
    found = (_typed(value, kind, system) for value in elements(resource, steps))
    return tuple(value for value in found if value is not None)


def has(resource: Mapping[str, Any], steps: tuple[str, ...]) -> bool:
    """Whether there is such an element."""
    return bool(elements(resource, steps))


def each_element(resource: Mapping[str, Any], steps: tuple[str, ...], kind: Kind, system: str) -> tuple[Any, ...]:
    """The values of an element for a loop: parts of the resource where they have parts, else texts, numbers, codes.

    Errors: EvaluationError where one is of another type; so is a reference that names no organisation.
    """
    found = tuple(_typed(value, kind, system) for value in elements(resource, steps))
    if None in found:
        raise EvaluationError("a reference names no organisation")
    return found


def each_repetition(segments: Sequence[Segment], field: int) -> Iterator[tuple[Segment, int]]:
    """Every repetition of a field that was sent, as its segment and its number, from 1."""
    for segment in segments:
        for number, repetition in enumerate(segment.field(field), 1):
            if repetition.present:
                yield segment, number


_PYTHON: Mapping[Kind, tuple[type, ...]] = {
    "text": (str,),
    "date": (str,),
    "instant": (str,),
    "number": (int, Decimal),
    "boolean": (bool,),
    "complex": (Mapping,),
}


def _typed(value: Any, kind: Kind, system: str) -> Any:
    if kind == "organisation":
        return organisation_code(value, system)
    if kind == "quantity":
        return quantity(value)
    if not isinstance(value, _PYTHON[kind]) or (kind == "number" and isinstance(value, bool)):
        raise EvaluationError("an element is not of its type")
    return value


_EMPTY = [""] * 100
"""As many components as a path can name, to fill up with."""


def repetitions(segment: Segment, field: int, least: int) -> Sequence[list[str]]:
    """Texts of the components of every repetition of a field, each to its first leaf, unescaped.

    Shape: a list a repetition, of at least `least` texts, empty where nothing was sent; the list itself is empty for
    an empty repetition between others. The usual field, without escapes and sub-components, is cut once here, where
    `Segment.field` and `Element.at` make an object for each part; all else is left to them.
    """
    raw, delimiters = segment.raw(field), segment.delimiters
    if not raw:
        return ()
    if delimiters.escape in raw or delimiters.subcomponent in raw:
        return [
            _padded([part.text or "" for part in r.parts], least) if r.present else [] for r in segment.field(field)
        ]
    between = delimiters.component
    found: list[list[str]] = []
    for one in raw.split(delimiters.repetition):
        parts = one.split(between) if one else []
        if one and len(parts) < least:
            parts += _EMPTY[len(parts) : least]
        found.append(parts)
    return found


def _padded(texts: list[str], least: int) -> list[str]:
    return texts + [""] * (least - len(texts))
