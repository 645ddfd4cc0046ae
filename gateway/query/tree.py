"""The typed tree of a FHIR search.

Frozen, so that a decision made about a query holds for what goes upstream.
Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from gateway.specs import SearchParameter

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


@dataclass(frozen=True, slots=True)
class StringValue:
    """Text, unescaped. `raw` is each value as it was written, escapes and all."""

    raw: str
    text: str


@dataclass(frozen=True, slots=True)
class TokenValue:
    """A code with or without its system.

    Shape: `code` alone has `system` None (any system); `|code` has `system` empty (none); `system|` has `code` None.
    """

    raw: str
    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class DateValue:
    """A moment or a stretch of time.

    Units: `low` inclusive and `high` exclusive, aware, in UTC, as wide as the precision written; without a zone the
    value is read as UTC.
    """

    raw: str
    prefix: Prefix
    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True)
class NumberValue:
    """A number; `low` inclusive and `high` exclusive are the range that its precision implies for `eq` and `ne`."""

    raw: str
    prefix: Prefix
    number: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """A number with an optional unit: `code` alone is a unit or code of any system, `system` None then."""

    raw: str
    prefix: Prefix
    number: Decimal
    low: Decimal
    high: Decimal
    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """A reference.

    Shape: `Type/id`, an `id` alone (`type` None), or an absolute `url` (with `type` and `id` where it has that form).
    """

    raw: str
    type: str | None
    id: str | None
    url: str | None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class UriValue:
    """A URI, compared as a whole."""

    raw: str
    uri: str


@dataclass(frozen=True, slots=True)
class MissingValue:
    """The value of `:missing`."""

    raw: str
    missing: bool


@dataclass(frozen=True, slots=True)
class OfTypeValue:
    """The value of `:of-type`: an identifier's value with the coding of its type; an empty `system` is none."""

    raw: str
    system: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class CompositeValue:
    """Values that hold of one element together. Shape: `parts` in the order of the parameter's components."""

    raw: str
    parts: tuple[tuple[SearchParameter, Value], ...]


Value = (
    StringValue
    | TokenValue
    | DateValue
    | NumberValue
    | QuantityValue
    | ReferenceValue
    | UriValue
    | MissingValue
    | OfTypeValue
    | CompositeValue
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One search parameter with its values.

    Shape: `values` are alternatives (or); several clauses, of one name too, all hold (and). `modifier` is without its
    colon; a type name for a reference.
    """

    name: str
    parameter: SearchParameter
    modifier: str | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A criterion on what a reference points to: `subject:Patient.name`.

    Shape: `type` is the one written, None where none is; `targets` are the types that the reference may point to, each
    with the criterion as that type understands it: one of them holds.
    """

    name: str
    parameter: SearchParameter
    type: str | None
    targets: tuple[tuple[str, Criterion], ...]


@dataclass(frozen=True, slots=True)
class Reverse:
    """A criterion on some resource that refers to this one: `_has:Observation:patient:code`.

    Shape: `type` is that resource's, `name` its reference parameter.
    """

    type: str
    name: str
    parameter: SearchParameter
    criterion: Criterion


Criterion = Clause | Chain | Reverse


@dataclass(frozen=True, slots=True)
class Include:
    """What else comes with the resources that were found: what they refer to, or `reverse` what refers to them.

    Shape: `source` is the type that has the reference, `*` any; `name` its reference parameter, `*` every one;
    `target` the type that is pointed to, None any. `iterate` takes what was included for found.
    """

    raw: str
    reverse: bool
    iterate: bool
    source: str
    name: str
    target: str | None


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of `_sort`."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison of a filter: `name co "pet"`, `related[type eq "has-component"].target pr false`.

    Shape: `path` is the parameter with its chain, that behind the brackets too; `inner` what stands in brackets.
    Source: https://hl7.org/fhir/R4/search_filter.html
    """

    path: str
    inner: Filter | None
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Filters that all hold, or one of which does."""

    word: Literal["and", "or"]
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """A filter that does not hold."""

    inner: Filter


Filter = Compared | Joined | Negated


@dataclass(frozen=True, slots=True)
class Named:
    """What goes beyond the parameters of a type: `_filter`, `_list`, `_query`, `_type`, `_text` ...

    Shape: `values` are those between commas, for texts and filters the whole; `filter` the tree of a `_filter`.
    """

    name: str
    raw: str
    values: tuple[str, ...]
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A whole search of one type.

    Shape: the result parameters are None where they weren't sent; `format` is `_format` as sent; `page` the gateway's
    own paging token (`_page`). `links` are criteria on other resources, which hold beside the clauses. `beyond` is what
    is read so that it is seen, and carried out nowhere.
    """

    type: str
    clauses: tuple[Clause, ...] = ()
    count: int | None = None
    sort: tuple[Sort, ...] = ()
    total: str | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    format: str | None = None
    pretty: bool | None = None
    page: str | None = None
    links: tuple[Chain | Reverse, ...] = ()
    includes: tuple[Include, ...] = ()
    contained: str | None = None
    beyond: tuple[Named, ...] = ()
