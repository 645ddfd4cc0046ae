"""The expression tree: frozen nodes that carry their span.

The parser makes a tree of `Word`s and `Text`s; the checker makes the same tree with every word resolved to a `Leaf`
(something to be read) or a `Literal`. The compiler takes the resolved tree alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal as Choice

from gateway.language.kinds import Type
from gateway.source import Span

Value = str | bool | Decimal | date


@dataclass(frozen=True, slots=True)
class Text:
    """A text in quotes. Shape: `value` is without them."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the author wrote it, not yet resolved, with the label that may follow a path."""

    text: str
    span: Span
    label: Text | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """A resolved constant. Shape: `shown` is the author's spelling, `type` what it may be compared with."""

    value: Value
    type: Type
    shown: str
    span: Span


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact by name, such as `message.type` or `caller.organisations`."""

    name: str
    type: Type
    span: Span


@dataclass(frozen=True, slots=True)
class Field:
    """An HL7 path: `PID-3`, `PID-3.1`, `PID-3.4.2`.

    Shape: `component` and `subcomponent` are None where the author named none; positions count from 1. A composite in
    a scalar place means its first component. `of` is the loop variable in whose segment it is read, None for the whole
    message.
    """

    segment: str
    field: int
    component: int | None
    subcomponent: int | None
    type: Type
    span: Span
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bound repetition: `id`, `id.1`, `id.4.2`."""

    variable: str
    component: int | None
    subcomponent: int | None
    type: Type
    span: Span


@dataclass(frozen=True, slots=True)
class Element:
    """A FHIR path.

    Shape: `steps` are the JSON names below the resource; `resource` is None for `resource. ...`; `system` is that of
    the identifiers by which a reference may name an organisation.
    """

    resource: str | None
    steps: tuple[str, ...]
    type: Type
    span: Span
    system: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a CSV row: `row.NHS_NUMBER`."""

    name: str
    type: Type
    span: Span


Leaf = Fact | Field | Part | Element | Column
Operand = Word | Text | Literal | Leaf


@dataclass(frozen=True, slots=True)
class Chain:
    """Conditions joined by one word. Shape: `parts` has two or more, but for a block of one line."""

    word: Choice["and", "or"]
    parts: tuple[Test, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Not:
    """A condition turned round."""

    part: Test
    span: Span


@dataclass(frozen=True, slots=True)
class Equal:
    """`is` and `is not`, of single values."""

    left: Operand
    right: Operand
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Present:
    """`is present`, or `is absent` where `positive` is false."""

    operand: Operand
    positive: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Member:
    """`in`. Shape: the options of a resolved tree are literals, or one leaf that is a list."""

    left: Operand
    options: tuple[Operand, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Ordered:
    """`<`, `<=`, `>`, `>=`."""

    left: Operand
    sign: Choice["<", "<=", ">", ">="]
    right: Operand
    span: Span


@dataclass(frozen=True, slots=True)
class Phrased:
    """A predicate of two operands in words: `caller connects as organisation`."""

    left: Operand
    phrase: str
    right: Operand
    span: Span


@dataclass(frozen=True, slots=True)
class Predicated:
    """`is nhs-number` and its kind; only in resolved trees."""

    operand: Operand
    predicate: str
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Named:
    """A condition by its name; the resolved tree has the meaning in `test`."""

    word: Word
    test: Test | None
    span: Span


Test = Chain | Not | Equal | Present | Member | Ordered | Phrased | Predicated | Named


def parts(test: Test) -> tuple[Test, ...]:
    """The conditions that a condition is made of, one level down."""
    match test:
        case Chain():
            return test.parts
        case Not():
            return (test.part,)
        case Named():
            return () if test.test is None else (test.test,)
        case _:
            return ()


def operands(test: Test) -> tuple[Operand, ...]:
    """What a condition reads itself, in the author's order."""
    match test:
        case Equal() | Ordered() | Phrased():
            return (test.left, test.right)
        case Member():
            return (test.left, *test.options)
        case Present() | Predicated():
            return (test.operand,)
        case _:
            return ()


def leaves(test: Test) -> Iterator[Leaf]:
    """Everything that a resolved condition reads, in the author's order, repeated where it is read again."""
    for operand in operands(test):
        if isinstance(operand, Fact | Field | Part | Element | Column):
            yield operand
    for part in parts(test):
        yield from leaves(part)
