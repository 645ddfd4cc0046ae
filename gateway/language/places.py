"""The operands of conditions: words and texts as written, constants, and what is read.

All frozen, each with its place in the author's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal as Choice

from gateway.language.kinds import Quantity, Type, Unit
from gateway.source import Span

Value = str | bool | Decimal | date | Quantity


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
class Duration:
    """A length of time as the author wrote it: `16 years`, `72 hours`. Shape: `unit` without the plural's s."""

    count: int
    unit: Unit
    span: Span


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its unit, `5 "mg"`; only in trees that are not resolved, where it is a `Literal`."""

    number: Word
    unit: Text
    span: Span


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

    Shape: `steps` are the JSON names below the resource; `resource` is None for
    `resource. ...`; `system` is that of the identifiers by which a reference may name an organisation; `of` is what
    it is read from: `resource`, or `patient` for its subject (`patient.birthDate`).
    """

    resource: str | None
    steps: tuple[str, ...]
    type: Type
    span: Span
    system: str
    of: Choice["resource", "patient"] = "resource"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a CSV row: `row.NHS_NUMBER`."""

    name: str
    type: Type
    span: Span


@dataclass(frozen=True, slots=True)
class Item:
    """What a variable of `any` or `every` stands for, or a path below it: `c.system`, `o`.

    Shape: one repetition of an element, or one value of a list fact; `steps` are the JSON names below it, none for
    itself; `system` as in `Element`. A repetition of an HL7 field is a `Part`.
    """

    variable: str
    steps: tuple[str, ...]
    type: Type
    span: Span
    system: str


Leaf = Fact | Field | Part | Element | Column | Item


@dataclass(frozen=True, slots=True)
class Moved:
    """A day or an instant and so much time: `today - 16 years`. Shape: `back` for `-`; resolved, `base` is a leaf."""

    base: Operand
    back: bool
    length: Duration
    span: Span

    @property
    def type(self) -> Type:
        """The type of what is moved. Errors: TypeError in a tree that is not resolved."""
        if not isinstance(self.base, Leaf):
            raise TypeError(self.base)
        return self.base.type


Operand = Word | Text | Duration | Amount | Literal | Moved | Leaf
