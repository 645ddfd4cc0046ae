"""The one table of facts: what rules may read, of what type, where, and how it is read.

Source: the design's page on the rules language, "Facts: all that rules may read".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from gateway.hl7v2 import Message
from gateway.language.kinds import Type
from gateway.language.work import Work
from gateway.query import Query
from gateway.tabular import Value

ACTIONS = ("ingest", "search", "count", "read", "history", "create", "update", "patch", "delete")
"""What rules may speak of, beside operations, which go by their names."""

WRITES = frozenset({"create", "update", "patch", "delete"})
"""Actions that write; what they write is judged as what is shown is, by `rows` and by conditions that read it."""

SHOWING = ("search", "count", "read", "history")
"""Actions that show what is stored, or tell of it."""

OPERATIONS = (
    "document",
    "everything",
    "export",
    "graph",
    "lastn",
    "match",
    "meta",
    "meta-add",
    "meta-delete",
    "stats",
    "validate",
)
"""Operations on resources that rules may speak of.

Source: https://hl7.org/fhir/R4/operationslist.html; `export` http://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""


def operation(name: str) -> str:
    """How the action of an operation is called in facts and decisions."""
    return f"operation {name}"


DATA_TYPES = ("Hl7v2", "Fhir", "Csv")
"""What may be submitted; capitalisation matters."""


Submitted = Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]]
"""Resources of a submission with their places (`Bundle.entry[2].resource`), by type."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the registry has it.

    Shape: organisation codes in upper case; `organisations` are those that it connects or sends as and all that are
    part of them; `categories` message types by domain.
    """

    name: str
    organisations: frozenset[str]
    connects_as: frozenset[str]
    sends_as: frozenset[str]
    categories: Mapping[str, frozenset[str]]
    roles: frozenset[str]
    may_assert: frozenset[str]
    may_break_glass: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision may depend on.

    Shape: `organisation` in upper case; `data_type`, `message`, `domain` for ingest; `type` is the message type of an
    ingest, else the FHIR type asked for; `query` for search and count; `resources` are those of a Fhir submission, the
    submission itself among them, each with its place, by type; `row` are the values of a CSV row by column; `glass`
    says that the caller, who may, gave a reason to break glass; `work` bounds a decision about what was sent.
    Units: `now` and `received` are aware; `today` is the day in Europe/London.
    """

    action: str
    caller: Caller
    environment: str
    now: datetime
    today: date
    purpose: str | None = None
    user: str | None = None
    domain: str | None = None
    organisation: str | None = None
    data_type: str | None = None
    message: Message | None = None
    type: str | None = None
    received: datetime | None = None
    query: Query | None = None
    resources: Submitted = field(default_factory=dict)
    row: Mapping[str, Value | None] = field(default_factory=dict)
    glass: bool = False
    work: Work | None = field(default=None, compare=False)


Where = Literal["always", "ingest", "Hl7v2", "stored"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of the table.

    Shape: `where` it is present; `path` are the attributes by which it is read from `Facts`; `source` says where it
    comes from.
    """

    name: str
    type: Type
    where: Where
    path: tuple[str, ...]
    source: str


_TEXT = Type("text")

TABLE: tuple[Fact, ...] = (
    Fact("action", Type("action"), "always", ("action",), "the request"),
    Fact("organisation", Type("organisation"), "ingest", ("organisation",), "header organisation-code"),
    Fact("domain", Type("domain"), "ingest", ("domain",), "header source-domain"),
    Fact("message", Type("complex"), "Hl7v2", ("message",), "the content as a whole, for `message conforms`"),
    Fact("message.type", Type("category"), "ingest", ("type",), "the content: MSH-9, the resource type, the layout"),
    Fact("message.version", _TEXT, "Hl7v2", ("message", "version"), "the content, MSH-12"),
    Fact("message.control-id", Type("text", optional=True), "Hl7v2", ("message", "control_id"), "the content, MSH-10"),
    Fact("message.received", Type("instant"), "ingest", ("received",), "the gateway's clock"),
    Fact("caller", Type("caller"), "always", ("caller",), "the registry"),
    Fact("caller.name", Type("principal"), "always", ("caller", "name"), "the registry"),
    Fact(
        "caller.organisations",
        Type("organisation", many=True),
        "always",
        ("caller", "organisations"),
        "the registry: those that it connects or sends as, and all that are part of them",
    ),
    Fact("caller.roles", Type("role", many=True), "always", ("caller", "roles"), "the registry"),
    Fact("purpose", Type("purpose", optional=True), "always", ("purpose",), "token, or header purpose-of-use"),
    Fact("user", Type("text", optional=True), "always", ("user",), "token, or header on-behalf-of"),
    Fact("environment", _TEXT, "always", ("environment",), "configuration"),
    Fact("now", Type("instant"), "always", ("now",), "the gateway's clock"),
    Fact("today", Type("date"), "always", ("today",), "the gateway's clock, Europe/London"),
    Fact("patient", Type("complex"), "stored", (), "the subject of the resource, fetched before the decision"),
    Fact("source.organisations", Type("organisation", many=True), "stored", (), "contributor tags of the resource"),
    Fact("source.domains", Type("domain", many=True), "stored", (), "contributor tags of the resource"),
)

PATHS: Mapping[str, tuple[str, ...]] = {fact.name: fact.path for fact in TABLE}
"""How each fact is read from `Facts`."""


def readable(*, ingest: bool, hl7v2: bool, stored: bool = False) -> tuple[dict[str, Type], dict[str, str]]:
    """Facts that a statement may read, and those that it may not with the reason.

    Shape: `ingest` where the statement concerns submissions alone, `hl7v2` where it says `on Hl7v2`, `stored` where it
    is about resources that are stored.
    """
    present: dict[Where, bool] = {"always": True, "ingest": ingest, "Hl7v2": ingest and hl7v2, "stored": stored}
    reasons: dict[Where, str] = {
        "ingest": "it is known where something is sent, so in statements `to ingest`",
        "Hl7v2": "only a statement `on Hl7v2` reads it",
        "stored": "it is known of resources that are stored, so in rules `to search`, `read` and their like",
    }
    return (
        {fact.name: fact.type for fact in TABLE if present[fact.where]},
        {fact.name: reasons[fact.where] for fact in TABLE if not present[fact.where]},
    )
