"""How compiled rules read the message, a repetition and a resource."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.hl7v2 import NULL
from gateway.language.code import Code, Reader, attribute, constant, context, local
from gateway.language.nodes import Column, Fact, Field, Item, Leaf, Part, Test, leaves
from gateway.language.nodes import Element as ElementPath
from gateway.rules.content import (
    each_element,
    each_repetition,
    has,
    one,
    own_populated,
    own_texts,
    populated,
    populated_part,
    repetitions,
    several,
    texts,
)
from gateway.rules.facts import PATHS
from gateway.rules.sources import domains, organisations

__all__ = [
    "OF_RESOURCE",
    "PATIENT",
    "READER",
    "RESOURCE",
    "RuleReader",
    "has",
    "number_of",
    "one",
    "own_populated",
    "own_texts",
    "populated",
    "populated_part",
    "reads",
    "repetitions",
    "several",
    "texts",
]

RESOURCE = "resource"
"""The variable that resource conditions take beside the facts."""

PATIENT = "patient"
"""The variable that conditions which read the subject of a resource take beside the resource: one Patient."""

OF_RESOURCE: Mapping[str, Callable[[Mapping[str, Any]], frozenset[str]]] = {
    "source.organisations": organisations,
    "source.domains": domains,
}
"""Facts that are read from the resource."""


def reads(test: Test) -> frozenset[str]:
    """The variables beside the facts that a resolved condition is read by: RESOURCE, PATIENT, both or none."""
    found: set[str] = set()
    for leaf in leaves(test):
        match leaf:
            case ElementPath():
                found.add(leaf.of)
            case Fact(name="patient"):
                found.add(PATIENT)
            case Fact() if leaf.name in OF_RESOURCE:
                found.add(RESOURCE)
    return frozenset(found)


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
        return VALUES[type(leaf)](self, leaf, code)

    def present(self, leaf: Leaf, code: Code) -> ast.expr | None:
        """Expression for presence, where the value doesn't tell it."""
        return PRESENT[type(leaf)](self, leaf, code)

    def loop(self, leaf: Leaf, variable: str, code: Code) -> tuple[ast.expr, ast.expr, Reader]:
        """How to go over a field, an element or a list fact."""
        own = ast.Name(local(variable), ast.Store())
        if isinstance(leaf, Field):
            segments = self.all(leaf.segment) if leaf.of is None else _tuple(ast.Name(local(leaf.of), ast.Load()))
            pair = ast.Tuple([own, ast.Name(local(number_of(variable)), ast.Store())], ast.Store())
            inner = replace(self, fields={**self.fields, variable: leaf.field})
            return pair, code.call(each_repetition, segments, constant(leaf.field)), inner
        if isinstance(leaf, ElementPath | Item):
            return own, code.call(each_element, *_about(leaf)), self
        return own, self.value(leaf, code), self

    def fact(self, leaf: Fact, code: Code) -> ast.expr:
        """A fact: of the request, of the resource, or the subject of the resource."""
        if leaf.name == PATIENT:
            return ast.Name(local(PATIENT), ast.Load())
        if leaf.name in OF_RESOURCE:
            return code.call(OF_RESOURCE[leaf.name], _resource())
        return attribute(context(), *PATHS[leaf.name])

    def part(self, leaf: Part, code: Code) -> ast.expr:
        """A part of a repetition."""
        del code
        if leaf.subcomponent in {None, 1} and leaf.variable in self.parts:
            return _component(ast.Name(self.parts[leaf.variable], ast.Load()), leaf.component)
        segment, number = self._variable(leaf)
        position = (self.fields[leaf.variable], leaf.component or 1, leaf.subcomponent or 1)
        return _or_none(_method(segment, "text", *map(constant, position), number))

    def field_present(self, leaf: Field, code: Code) -> ast.expr | None:
        """Whether a field was sent, where its first text doesn't tell it."""
        if leaf.of is not None:
            return code.call(own_populated, ast.Name(local(leaf.of), ast.Load()), *map(constant, _position(leaf)))
        if leaf.type.composite or leaf.type.many:
            return _call(code, populated, leaf, leaf.component, leaf.subcomponent)
        return None

    def part_present(self, leaf: Part, code: Code) -> ast.expr | None:
        """Whether a part was sent, where its first text doesn't tell it."""
        if not leaf.type.composite:
            return None
        segment, number = self._variable(leaf)
        position = (self.fields[leaf.variable], leaf.component, leaf.subcomponent)
        return code.call(populated_part, segment, number, *map(constant, position))

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

    def field(self, leaf: Field, code: Code) -> ast.expr:
        """A field of the message, or of the segment that a loop is in."""
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


def _tuple(value: ast.expr) -> ast.expr:
    return ast.Tuple([value], ast.Load())


def _root(leaf: ElementPath | Item) -> ast.expr:
    """The local that a path starts from."""
    return ast.Name(local(leaf.of if isinstance(leaf, ElementPath) else leaf.variable), ast.Load())


def _about(leaf: ElementPath | Item) -> tuple[ast.expr, ...]:
    """What the functions that read elements take."""
    return _root(leaf), constant(leaf.steps), constant(leaf.type.kind), constant(leaf.system)


def _element(_reader: RuleReader, leaf: ElementPath, code: Code) -> ast.expr:
    return code.call(several if leaf.type.many else one, *_about(leaf))


def _item(_reader: RuleReader, leaf: Item, code: Code) -> ast.expr:
    # what the loop gives is typed already
    return code.call(several if leaf.type.many else one, *_about(leaf)) if leaf.steps else _root(leaf)


def _column(_reader: RuleReader, leaf: Column, _code: Code) -> ast.expr:
    return ast.Subscript(attribute(context(), "row"), constant(leaf.name), ast.Load())


def _has(_reader: RuleReader, leaf: ElementPath | Item, code: Code) -> ast.expr | None:
    return code.call(has, _root(leaf), constant(leaf.steps)) if leaf.steps else None


def _by_value(_reader: RuleReader, _leaf: Leaf, _code: Code) -> None:
    return None


VALUES: Mapping[type, Callable[[RuleReader, Any, Code], ast.expr]] = {
    Fact: RuleReader.fact,
    Field: RuleReader.field,
    Part: RuleReader.part,
    ElementPath: _element,
    Column: _column,
    Item: _item,
}

PRESENT: Mapping[type, Callable[[RuleReader, Any, Code], ast.expr | None]] = {
    Fact: _by_value,
    Field: RuleReader.field_present,
    Part: RuleReader.part_present,
    ElementPath: _has,
    Column: _by_value,
    Item: _has,
}

READER = RuleReader()
"""Reads whole messages, facts and resources."""
