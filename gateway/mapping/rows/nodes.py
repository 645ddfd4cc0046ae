"""What a layout says of its resources, read and checked: every path placed, every name looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.language.nodes import Test
from gateway.mapping.targets import Place

CONTEXT = ("context.organisation", "context.domain", "context.received", "context.receipt")
"""What is known beside the row."""

Form = Literal["nhs-number", "ods-code"]


@dataclass(frozen=True, slots=True)
class Filler:
    """One way to fill an element.

    Shape: `parts` are texts and the names in holes, in order; or `constant` is a JSON value; or `refers` names a
    resource of the row. `holes` are the columns and facts that it reads. `test` says when.
    """

    parts: tuple[str | Hole, ...] = ()
    constant: str | bool | int | float | None = None
    refers: str | None = None
    test: Test | None = None

    @property
    def holes(self) -> tuple[str, ...]:
        """The names that it reads."""
        return tuple(part.name for part in self.parts if isinstance(part, Hole))


@dataclass(frozen=True, slots=True)
class Hole:
    """A place that a column or a fact fills."""

    name: str


@dataclass(frozen=True, slots=True)
class Filled:
    """An element and what fills it: the first that gives a value."""

    place: Place
    fillers: tuple[Filler, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """A business identifier that the id is made of.

    Shape: `value` is a column or a fact; `authorities` are columns, facts or resources of the row, the first with a
    value counts, the sending organisation where none is named.
    """

    value: str
    authorities: tuple[str, ...]
    form: Form | None


@dataclass(frozen=True, slots=True)
class RowResource:
    """One resource that a row becomes.

    Shape: `identities` in their order, the first with a value counts; `required` says that a row without it is
    faulty; `only_new` that a resource which stands already is left as it is.
    """

    name: str
    type: str
    identities: tuple[Identity, ...]
    filled: tuple[Filled, ...]
    test: Test | None
    required: bool
    only_new: bool
