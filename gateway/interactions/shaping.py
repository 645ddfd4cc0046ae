"""The result parameters: what they may say here, and what they leave of a resource that may be shown.

Source: https://hl7.org/fhir/R4/search.html#modifyingresults
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast

from gateway import fhir, query
from gateway.documents.facade_paths import RESULT_PARAMETERS
from gateway.finding import Finding
from gateway.interactions.access import Call, Resource, check_taken
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import shown
from gateway.interactions.refused import Refused, error

Pairs = list[tuple[str, str]]
ON_READ = ("_format", "_pretty", "_summary", "_elements")
"""Result parameters that a read takes: those that speak of one resource."""


def parsed(call: Call, resource_type: str, pairs: Sequence[tuple[str, str]]) -> query.Query:
    """A search as a typed tree of what the rules can judge.

    Errors: Refused: 400 for what is not understood, and for what the rules don't judge yet; 406 for another format.
    """
    gateway = call.gateway
    found = query.parse(resource_type, pairs, gateway.tables)
    if not isinstance(found, query.Query):
        raise Refused("unreadable", *found, _usable(call, resource_type))
    judged = query.Query(
        found.type, found.clauses, count=found.count, sort=found.sort, total=found.total, summary=found.summary,
        elements=found.elements, format=found.format, pretty=found.pretty, page=found.page,
    )  # fmt: skip
    if judged != found:
        raise Refused("unreadable", *_unjudged(call, judged, pairs))
    _check_shape(judged)
    clauses = tuple(_relative(clause, gateway.settings.public_url) for clause in judged.clauses)
    return replace(judged, clauses=clauses)


def read_shape(call: Call, resource_type: str, pairs: Sequence[tuple[str, str]]) -> query.Query:
    """The result parameters of a read, as a search without criteria.

    Errors: Refused: 400 for any other parameter, 406 for another format.
    """
    others = sorted({name for name, _ in pairs} - set(ON_READ))
    if others:
        words = f"is not taken by a read, which takes {', '.join(ON_READ)}"
        found = (error("not-supported", f"{shown(name)} {words}", shown(name), "HTTP-F11") for name in others)
        raise Refused("unreadable", *found)
    asked = parsed(call, resource_type, pairs)
    if asked.summary == "count":
        raise Refused("unreadable", error("value", "_summary=count is for searches", "_summary", "HTTP-F11"))
    return asked


def _unjudged(call: Call, judged: query.Query, pairs: Sequence[tuple[str, str]]) -> list[Finding]:
    """Findings for what a query has beside what rules judge: other resources, brought along or searched by."""
    plain = {c.name if c.modifier is None else f"{c.name}:{c.modifier}" for c in judged.clauses}
    others = sorted({name for name, _ in pairs} - plain - set(RESULT_PARAMETERS))
    words = "is not taken here, for no rule judges it yet"
    refused = [error("not-supported", f"{shown(name)} {words}", shown(name), "HTTP-F12") for name in others]
    return [*refused, _usable(call, judged.type)]


def _usable(call: Call, resource_type: str) -> Finding:
    """What this caller may use instead."""
    facts = call.asking.facts(call.gateway, "search", type=resource_type)
    usable = ", ".join(call.gateway.rules.parameters(facts)) or "nothing"
    words = f"you may search {resource_type} by {usable}; the answer is shaped by {', '.join(RESULT_PARAMETERS)}"
    return Finding("information", "informational", words)


def _check_shape(asked: query.Query) -> None:
    if asked.format is not None:
        check_taken([asked.format])
    if asked.elements and asked.summary not in {None, "false"}:
        words = "_elements and _summary each say what to leave out; send one of them"
        raise Refused("unreadable", error("invalid", words, "_elements", "HTTP-F08"))


def shaped(gateway: Gateway, asked: query.Query, resource: Resource) -> Resource:
    """What the client asked for of a resource that it may see."""
    if asked.elements:
        return fhir.elements_of(resource, asked.elements, gateway.elements)
    if asked.summary in {"true", "text", "data"}:
        return fhir.summary(resource, cast('Literal["true", "text", "data"]', asked.summary), gateway.elements)
    return resource


def counts_alone(asked: query.Query) -> bool:
    """Whether nothing but the number is wanted."""
    return asked.summary == "count" or asked.count == 0


def _relative(clause: query.Clause, own: str) -> query.Clause:
    """A reference to the gateway's own address is one to what is behind it."""
    values = tuple(
        _reference(value, own) if isinstance(value, query.ReferenceValue) and value.url is not None else value
        for value in clause.values
    )
    return replace(clause, values=values)


def _reference(value: query.ReferenceValue, own: str) -> query.ReferenceValue:
    name = (value.url or "").removeprefix(f"{own}/")
    kind, slash, resource_id = name.partition("/")
    if name == value.url or not slash or "/" in resource_id:
        return value
    return replace(value, raw=name, type=kind, id=resource_id, url=None)
