"""Statements of rule files as written: frozen, with their spans; no name is looked up yet."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.language.nodes import Operand, Test, Text, Word
from gateway.source import Span


@dataclass(frozen=True, slots=True)
class Said:
    """A clause with words and texts alone.

    Shape: `kind` is the grammar's name of the clause (`owner`, `acknowledge`, `versions`, `allowing`, `roles` ...).
    """

    kind: str
    words: tuple[Word, ...]
    texts: tuple[Text, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class To:
    """`to ingest`, `to search, read Patient`, `to operation everything Patient`.

    Shape: `types` is empty where none is named; `operations` are the names of those among the actions.
    """

    actions: tuple[Word, ...]
    types: tuple[Word, ...]
    span: Span
    kind: str = "to"
    operations: tuple[Word, ...] = ()


GLASS = "break-glass"
"""What a route says that it is `on` where it leads uses of broken glass somewhere."""


@dataclass(frozen=True, slots=True)
class On:
    """`on Hl7v2 ADT^A01`, `on result Encounter`, `on Csv, Fhir`; of routes, `on break-glass Patient` too."""

    data_types: tuple[Word, ...]
    types: tuple[Word, ...]
    span: Span
    kind: str = "on"


@dataclass(frozen=True, slots=True)
class Asked:
    """A clause with a condition: `when`, `require`, `means`."""

    kind: str
    test: Test
    span: Span


@dataclass(frozen=True, slots=True)
class ForEach:
    """`for each id in PID-3 where ...`."""

    variable: Word
    path: Word
    where: Test | None
    span: Span
    kind: str = "for each"


@dataclass(frozen=True, slots=True)
class RowsWhere:
    """`rows Encounter where ...`, `rows Patient, Condition linked by Encounter.subject where ...`."""

    types: tuple[Word, ...]
    where: Test
    span: Span
    kind: str = "rows"
    linked: Word | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """`asking a or (b and c)`. Shape: alternatives, each the parameters that it needs together."""

    alternatives: tuple[tuple[Word, ...], ...]
    span: Span
    kind: str = "asking"


@dataclass(frozen=True, slots=True)
class Because:
    """`because DSA-2026-014`, `because "..."`."""

    reason: Operand
    span: Span
    kind: str = "because"


@dataclass(frozen=True, slots=True)
class SetOf:
    """The members of a `set`."""

    options: tuple[Operand, ...]
    span: Span
    kind: str = "="


@dataclass(frozen=True, slots=True)
class SendsCategory:
    """`sends category emergency-care ADT^A01`."""

    domain: Word
    types: tuple[Word, ...]
    span: Span
    kind: str = "sends category"


@dataclass(frozen=True, slots=True)
class Limit:
    """`limit 50 per second`, `limit 500 Patient per day`. Shape: `type` is None where none is named."""

    count: Word
    type: Word | None
    unit: Word
    span: Span
    kind: str = "limit"


@dataclass(frozen=True, slots=True)
class InOrder:
    """`in order of PID-3.1`."""

    path: Word
    span: Span
    kind: str = "in order of"


@dataclass(frozen=True, slots=True)
class FromPrincipal:
    """`from uhd-mirth as r0d to emergency-care` of a test."""

    principal: Word
    organisation: Word | None
    domain: Word | None
    span: Span
    kind: str = "from"


@dataclass(frozen=True, slots=True)
class FromSource:
    """`from source rdz to emergency-care` of a test."""

    organisations: tuple[Word, ...]
    domain: Word | None
    span: Span
    kind: str = "from source"


@dataclass(frozen=True, slots=True)
class Expect:
    """What a test expects.

    Shape: `outcome` is `accept`, `refuse`, `warn`, `deny`, `want` or `permit`; `rule` is None for `accept`, `names` are
    its targets, what is wanting or the hidden paths; `narrowed` the parameters after
    `rows`; `at` the place of a finding.
    """

    outcome: str
    rule: Word | None
    names: tuple[Word, ...]
    narrowed: tuple[Word | Text, ...]
    at: Word | Text | None
    span: Span
    kind: str = "expect"


Clause = (
    Said
    | To
    | On
    | Asked
    | ForEach
    | RowsWhere
    | Asking
    | Because
    | SetOf
    | SendsCategory
    | InOrder
    | Limit
    | FromPrincipal
    | FromSource
    | Expect
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Shape: `kind` is its first word, `name` the word after it, `title` the text after that."""

    kind: str
    name: Word
    title: str
    clauses: tuple[Clause, ...]
    span: Span
