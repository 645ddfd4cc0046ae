"""Types of expressions.

A type is a kind and three marks. Kinds are few: what matters is that a role is never compared with an organisation,
and that what may be absent is known to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, NamedTuple

Kind = Literal[
    "text",
    "boolean",
    "number",
    "date",
    "instant",
    "category",
    "organisation",
    "domain",
    "role",
    "purpose",
    "principal",
    "action",
    "caller",
    "quantity",
    "complex",
]

Unit = Literal["second", "minute", "hour", "day", "week", "month", "year"]
"""Units of lengths of time."""


UCUM_UNITS: dict[Unit, str] = {
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
    "week": "wk",
    "month": "mo",
    "year": "a",
}
"""UCUM's codes of them. Source: https://ucum.org/ucum, 4.2."""


class Quantity(NamedTuple):
    """A number with its unit. Shape: `unit` is a UCUM code. Source: FHIR R4 Quantity."""

    number: Decimal
    unit: str


# how a kind is called in a message
SPOKEN: Mapping[Kind, str] = {
    "text": "a text",
    "boolean": "true or false",
    "number": "a number",
    "date": "a date",
    "instant": "an instant",
    "category": "a message type",
    "organisation": "an organisation",
    "domain": "a domain",
    "role": "a role",
    "purpose": "a purpose",
    "principal": "a principal",
    "action": "an action",
    "caller": "the caller",
    "quantity": "a quantity",
    "complex": "a group of elements",
}

# kinds whose values are names that must be declared, and written without quotes
DECLARED: frozenset[Kind] = frozenset({"organisation", "domain", "role", "purpose", "principal", "action"})
# kinds whose values have an order
ORDERED: frozenset[Kind] = frozenset({"number", "date", "instant", "quantity"})


@dataclass(frozen=True, slots=True)
class Type:
    """What an operand is.

    Shape: `many` for a list (a repetition, a list fact); `optional` where it may be absent; `composite` where it has
    parts, so that being present is not the same as its first part being present; `raw` where the value is a text
    in the submission whatever the kind says; `codes` is the closed set of its values, if there is one; `table` is the
    number of the HL7 table that suggests values, with those; `coded` where it is a CodeableConcept or Coding.
    """

    kind: Kind
    many: bool = False
    optional: bool = False
    composite: bool = False
    raw: bool = False
    codes: frozenset[str] | None = None
    table: tuple[str, frozenset[str]] | None = None
    coded: bool = False

    def single(self) -> Type:
        """The type of one of its values."""
        return replace(self, many=False)
