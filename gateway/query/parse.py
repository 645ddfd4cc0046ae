"""FHIR search text to a typed tree, and back.

What is not understood is refused with a finding, never dropped and never passed on: an upstream that ignored it would
answer more than was asked for. Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.finding import Finding
from gateway.query import criteria
from gateway.query.beyond import READERS, beyond
from gateway.query.criteria import Asked, Refused, criterion, full_name, leaf, raw_values, shown
from gateway.query.offer import CRITERIA, INCLUDES, JUDGED, LONGEST, VALUES, Offer
from gateway.query.results import INCLUDING, RESULT_PARAMETERS, include, including
from gateway.query.tree import Chain, Clause, Criterion, Include, Named, Query, Reverse
from gateway.query.values import escape
from gateway.specs import FhirTables

_Pairs = Sequence[tuple[str, str]]
_WORDS = tuple(name for name in RESULT_PARAMETERS if name != "_contained")


@dataclasses.dataclass(slots=True)
class _Read:
    """What was read of a search so far."""

    criteria: list[Criterion] = dataclasses.field(default_factory=list)
    includes: list[Include] = dataclasses.field(default_factory=list)
    results: dict[str, Any] = dataclasses.field(default_factory=dict)
    beyond: list[Named] = dataclasses.field(default_factory=list)


def parse(resource_type: str, pairs: _Pairs, tables: FhirTables, offer: Offer = JUDGED) -> Query | tuple[Finding, ...]:
    """A search as a typed tree, or every reason why it can't be one.

    Shape: `pairs` are names and values after URL decoding, those of the URL before those of a body. What `offer` leaves
    out is refused by name.
    """
    try:
        criteria.check_type(resource_type, tables)
    except Refused as refused:
        return (Finding("error", refused.code, str(refused), None, refused.rule),)
    findings: list[Finding] = []
    read = _Read()
    for name, raw in pairs:
        try:
            _take(read, resource_type, name, raw, tables, offer)
        except Refused as refused:
            findings.append(Finding("error", refused.code, str(refused), shown(name), refused.rule))
    findings.extend(_too_much(read))
    if findings:
        return tuple(findings)
    clauses = tuple(found for found in read.criteria if isinstance(found, Clause))
    links = tuple(found for found in read.criteria if isinstance(found, Chain | Reverse))
    rest = {"includes": tuple(read.includes), "beyond": tuple(read.beyond), **read.results}
    return Query(resource_type, clauses, links=links, **rest)


def render(query: Query) -> list[tuple[str, str]]:
    """Names and values of a query, before URL encoding; `parse` makes the same query of them."""
    pairs = [(full_name(found), raw_values(found)) for found in (*query.clauses, *query.links)]
    if query.count is not None:
        pairs.append(("_count", str(query.count)))
    if query.sort:
        pairs.append(("_sort", ",".join(("-" if key.descending else "") + key.name for key in query.sort)))
    if query.elements:
        pairs.append(("_elements", ",".join(query.elements)))
    if query.pretty is not None:
        pairs.append(("_pretty", "true" if query.pretty else "false"))
    rest = (
        ("_total", query.total),
        ("_summary", query.summary),
        ("_format", query.format),
        ("_page", query.page),
        ("_contained", query.contained),
    )
    pairs.extend((name, text) for name, text in rest if text is not None)
    pairs.extend((including(found), found.raw) for found in query.includes)
    pairs.extend((found.name, found.raw) for found in query.beyond)
    return pairs


def narrow(query: Query, name: str, values: Iterable[str], tables: FhirTables) -> Query:
    """The query with one more clause, any of whose values may hold.

    Shape: `values` are not escaped. Errors: ValueError for what the type has no such parameter or value for.
    """
    try:
        raw = ",".join(escape(value) for value in values)
        clause = criterion(Asked(name, tables, JUDGED, _WORDS), query.type, name, raw)
    except Refused as refused:
        raise ValueError(str(refused)) from refused
    return dataclasses.replace(query, clauses=(*query.clauses, leaf(clause)))


def names(resource_type: str, tables: FhirTables, offer: Offer = JUDGED) -> tuple[str, ...]:
    """Names of the search parameters that a type has and the gateway can take, in alphabetical order."""
    return criteria.names(resource_type, tables, offer)


def _take(read: _Read, resource_type: str, name: str, raw: str, tables: FhirTables, offer: Offer) -> None:
    """Read one parameter into what it belongs to.

    Errors: Refused.
    """
    if len(raw) > LONGEST or len(name) > LONGEST:
        raise Refused("too-long", "SEARCH-LONG", f"{shown(name)} is longer than {LONGEST} characters")
    if offer.beyond and name in READERS:
        if any(found.name == name for found in read.beyond) and name != "_filter":
            raise Refused("invalid", "SEARCH-TWICE", f"{name} may stand once only")
        read.beyond.append(beyond(name, raw, tables))
    elif name in RESULT_PARAMETERS:
        field, reader = RESULT_PARAMETERS[name]
        if field in read.results:
            raise Refused("invalid", "SEARCH-TWICE", f"{name} may stand once only")
        read.results[field] = None  # taken, even where its value is refused
        read.results[field] = reader(resource_type, raw, tables, offer)
    elif name in INCLUDING and offer.includes:
        read.includes.append(include(resource_type, name, raw, tables))
    else:
        read.criteria.append(criterion(Asked(name, tables, offer, _WORDS), resource_type, name, raw))


def _too_much(read: _Read) -> list[Finding]:
    """What is right by itself and too much together."""
    counted = (
        (len(read.criteria), CRITERIA, "search parameters"),
        (sum(len(leaf(found).values) for found in read.criteria), VALUES, "values"),
        (len(read.includes), INCLUDES, "includes"),
    )
    return [
        Finding("error", "too-costly", f"a search has at most {most} {what}, this one {count}: search in portions",
                None, "SEARCH-MANY")
        for count, most, what in counted if count > most
    ]  # fmt: skip
