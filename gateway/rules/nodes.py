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
    """`to ingest`, `to search, read Patient`. Shape: `types` is empty where none is named."""

    actions: tuple[Word, ...]
    types: tuple[Word, ...]
    span: Span
    kind: str = "to"


@dataclass(frozen=True, slots=True)
class On:
    """`on Hl7v2 ADT^A01`, `on result Encounter`, `on Csv, Fhir`."""

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
    """`rows Encounter where ...`."""

    type: Word
    where: Test
    span: Span
    kind: str = "rows"


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
class InOrder:
    """`in order of PID-3.1`."""

    path: Word
    span: Span
    kind: str = "in order of"


Clause = Said | To | On | Asked | ForEach | RowsWhere | Asking | Because | SetOf | SendsCategory | InOrder


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Shape: `kind` is its first word, `name` the word after it, `title` the text after that."""

    kind: str
    name: Word
    title: str
    clauses: tuple[Clause, ...]
    span: Span
