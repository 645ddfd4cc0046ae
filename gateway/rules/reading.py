"""How compiled rules read the message, a repetition and a resource."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gateway.hl7v2 import NULL, Element, Message, Segment
from gateway.language.compile import Code, attribute, constant, context, local
from gateway.language.functions import EvaluationError, elements, organisation_code
from gateway.language.kinds import Kind
from gateway.language.nodes import Column, Fact, Field, Leaf, Part
from gateway.language.nodes import Element as ElementPath
from gateway.rules.facts import PATHS

RESOURCE = "resource"
"""The variable that resource conditions take beside the facts."""


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


_PYTHON: Mapping[Kind, tuple[type, ...]] = {
    "text": (str,),
    "date": (str,),
    "instant": (str,),
    "number": (int, Decimal),
    "boolean": (bool,),
}


def _typed(value: Any, kind: Kind, system: str) -> Any:
    if kind == "organisation":
        return organisation_code(value, system)
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


def number_of(variable: str) -> str:
    """The variable beside a loop variable that holds the repetition's number."""
    return f"{variable}#"


@dataclass(frozen=True, slots=True)
class RuleReader:
    """Leaves of rules as expressions over `Facts`, a repetition and a resource.

    Shape: `segments` are locals that hold the first segment of a name; `fields` the field that each loop variable goes
    over: the variable itself holds the segment, another beside it the number of the repetition; `parts` are locals
    that hold the texts of its components, as `repetitions` gives them; `cut` are locals that hold that for a whole
    field of the first segment, by segment and field.
    """

    segments: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    cut: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def value(self, leaf: Leaf, code: Code) -> ast.expr:
        """Expression for the value of a leaf."""
        match leaf:
            case Fact():
                return attribute(context(), *PATHS[leaf.name])
            case Field():
                return self._field(leaf, code)
            case Part() if leaf.subcomponent in {None, 1} and leaf.variable in self.parts:
                return _component(ast.Name(self.parts[leaf.variable], ast.Load()), leaf.component)
            case Part():
                segment, number = self._variable(leaf)
                position = (self.fields[leaf.variable], leaf.component or 1, leaf.subcomponent or 1)
                return _or_none(_method(segment, "text", *map(constant, position), number))
            case ElementPath():
                read = several if leaf.type.many else one
                about = (leaf.steps, leaf.type.kind, leaf.system)
                return code.call(read, _resource(), *map(constant, about))
            case Column():
                return ast.Subscript(attribute(context(), "row"), constant(leaf.name), ast.Load())

    def present(self, leaf: Leaf, code: Code) -> ast.expr | None:
        """Expression for presence, where the value doesn't tell it."""
        match leaf:
            case Field() if leaf.of is not None:
                return code.call(own_populated, ast.Name(local(leaf.of), ast.Load()), *map(constant, _position(leaf)))
            case Field() if leaf.type.composite or leaf.type.many:
                return _call(code, populated, leaf, leaf.component, leaf.subcomponent)
            case Part() if leaf.type.composite:
                segment, number = self._variable(leaf)
                position = (self.fields[leaf.variable], leaf.component, leaf.subcomponent)
                return code.call(populated_part, segment, number, *map(constant, position))
            case ElementPath():
                return code.call(has, _resource(), constant(leaf.steps))
            case _:
                return None

    def found(self, name: str) -> list[ast.stmt]:
        """Statements that fill the locals of a segment: all of its name, and the first of them or None."""
        every, first = ast.Name(_every(self.segments[name]), ast.Load()), ast.Name(self.segments[name], ast.Store())
        one = ast.IfExp(every, ast.Subscript(every, constant(0), ast.Load()), constant(None))
        return [
            ast.Assign([ast.Name(every.id, ast.Store())], self._all(name)),
            ast.Assign([first], one),
        ]

    def all(self, name: str) -> ast.expr:
        """Expression for every segment of a name."""
        held = self.segments.get(name)
        return self._all(name) if held is None else ast.Name(_every(held), ast.Load())

    def _all(self, name: str) -> ast.expr:
        return _method(attribute(context(), "message"), "all", constant(name))

    def _field(self, leaf: Field, code: Code) -> ast.expr:
        if leaf.of is not None:
            return _own(leaf, leaf.of, code)
        if leaf.type.many:
            return _call(code, texts, leaf, leaf.component, leaf.subcomponent)
        if leaf.subcomponent in {None, 1} and (leaf.segment, leaf.field) in self.cut:
            cut = ast.Name(self.cut[leaf.segment, leaf.field], ast.Load())
            first = ast.Subscript(cut, constant(0), ast.Load())
            sent = ast.BoolOp(ast.And(), [cut, first])
            return ast.IfExp(sent, _component(first, leaf.component), constant(None))
        return self._scalar(leaf)

    def _scalar(self, leaf: Field) -> ast.expr:
        held = self.segments.get(leaf.segment)
        position = [constant(leaf.field)]
        if (leaf.component or 1, leaf.subcomponent or 1) != (1, 1):
            position += [constant(leaf.component or 1), constant(leaf.subcomponent or 1)]
        if held is None:
            message = attribute(context(), "message")
            return _or_none(_method(message, "text", constant(leaf.segment), *position))
        segment = ast.Name(held, ast.Load())
        there = ast.Compare(segment, [ast.IsNot()], [constant(None)])
        return ast.IfExp(there, _or_none(_method(segment, "text", *position)), constant(None))

    def _variable(self, leaf: Part) -> tuple[ast.expr, ast.expr]:
        names = (local(leaf.variable), local(number_of(leaf.variable)))
        return ast.Name(names[0], ast.Load()), ast.Name(names[1], ast.Load())


def _own(leaf: Field, variable: str, code: Code) -> ast.expr:
    """A field of the segment that a loop is in."""
    segment = ast.Name(local(variable), ast.Load())
    if leaf.type.many:
        return code.call(own_texts, segment, *map(constant, _position(leaf)))
    position = (leaf.field, leaf.component or 1, leaf.subcomponent or 1)
    return _or_none(_method(segment, "text", *map(constant, position)))


def _position(leaf: Field) -> tuple[int, int | None, int | None]:
    return (leaf.field, leaf.component, leaf.subcomponent)


def _component(parts: ast.expr, component: int | None) -> ast.expr:
    """A component by its number, None where it is empty."""
    found = ast.Subscript(parts, constant((component or 1) - 1), ast.Load())
    return _or_none(ast.BoolOp(ast.Or(), [found, constant(None)]))


def _every(first: str) -> str:
    """The local beside that of a first segment, which holds all of its name."""
    return f"{first}_all"


def _or_none(value: ast.expr) -> ast.expr:
    """A text, or None where it is HL7's delete mark."""
    kept = ast.NamedExpr(ast.Name("t", ast.Store()), value)
    return ast.IfExp(ast.Compare(kept, [ast.Eq()], [constant(NULL)]), constant(None), ast.Name("t", ast.Load()))


def _method(of: ast.expr, name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(attribute(of, name), list(arguments), [])


def _call(
    code: Code, function: Callable[..., Any], leaf: Field, component: int | None, subcomponent: int | None
) -> ast.expr:
    position = (leaf.segment, leaf.field, component, subcomponent)
    return code.call(function, attribute(context(), "message"), *map(constant, position))


def _resource() -> ast.expr:
    return ast.Name(local(RESOURCE), ast.Load())


READER = RuleReader()
"""Reads whole messages, facts and resources."""
