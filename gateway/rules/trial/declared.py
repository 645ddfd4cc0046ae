"""A test with every name looked up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from gateway.language.nodes import Text
from gateway.query import Query
from gateway.source import Span

Outcome = Literal["accept", "refuse", "warn", "deny", "want", "permit", "notice", "silence"]

SUBMITTED = {"message": "Hl7v2", "file": "Csv", "resource": "Fhir"}
"""What is sent to `$ingest`, with the data type that it is."""

SEARCHED = ("search", "count")
WRITTEN = ("create", "update")
PATCH = "patch"
CHANGING = frozenset({"update", PATCH, "delete"})
"""Actions on what stands: who does not see all of it may not take them."""

_ADDRESS = re.compile(r"[A-Z][A-Za-z]+/[^/]+")


def writes(kind: str, given: str) -> bool:
    """Whether a test gives the file of what is written: a resource, or a patch; a patch may be an address alone."""
    return kind in WRITTEN or (kind == PATCH and _ADDRESS.fullmatch(given) is None)


ASPECTS = (
    "agreement", "purpose", "role", "connects", "sends", "category", "glass", "condition", "asking", "allowing", "rows",
)  # fmt: skip
"""What a permit may want of a request, as `deny for want of ID ...` names it.

`connects`, `sends` and `category` are the three permissions of a principal; `allowing` says that the search carries a
parameter that the permit doesn't allow; `condition` is any other line of its condition.
"""

DAY = date(2026, 6, 30)
"""The day of a test that says none: fixed, so that a test comes out tomorrow as it does today."""

ENVIRONMENT = "test"


@dataclass(frozen=True, slots=True)
class Expected:
    """One `expect`.

    Shape: `rule` is empty for `accept`, `notice` and `silence`; `names` the targets, what is wanting, or hidden paths,
    empty where nothing is said of them; `narrowed` parameters with the values that rows put into them, None where the
    test says none.
    """

    outcome: Outcome
    rule: str
    names: frozenset[str]
    narrowed: tuple[tuple[str, frozenset[str] | None], ...]
    at: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Trial:
    """One test.

    Shape: `kind` is `message`, `file` or `resource`, else the action; `given` the sample or the address; `query` of a
    search alone; `type` the resource type of an address or a search; `returning` are stored resources that the answer
    is about, `beside` those that stand beside them (their patients, what refers to them), by type; `sources` who
    contributed them, and `contributed_to` the domain that they came by, None where none is told.
    """

    title: str
    kind: str
    given: Text
    principal: str
    organisation: str | None
    domain: str | None
    type: str | None
    query: Query | None
    purpose: str | None
    returning: tuple[Text, ...]
    beside: tuple[tuple[str, tuple[Text, ...]], ...]
    sources: tuple[str, ...]
    contributed_to: str | None
    reason: str | None
    day: date
    environment: str
    expected: tuple[Expected, ...]
    span: Span

    @property
    def writes(self) -> bool:
        """Whether what it gives is the file of what is written."""
        return writes(self.kind, self.given.value)

    @property
    def samples(self) -> tuple[Text, ...]:
        """Every file that it names."""
        own = (self.given,) if self.kind in SUBMITTED or self.writes else ()
        return (*own, *self.returning, *(text for _, texts in self.beside for text in texts))
