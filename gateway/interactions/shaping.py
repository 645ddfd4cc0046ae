"""The result parameters: what they may say here, and what they leave of a resource that may be shown.

Source: https://hl7.org/fhir/R4/search.html#modifyingresults
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Literal, cast
from urllib.parse import urlencode

from gateway import fhir, query
from gateway.documents.parameters import RESULT_PARAMETERS
from gateway.finding import Finding
from gateway.interactions.call import Call, Resource, check_taken
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import shown
from gateway.interactions.refused import Refused, error

Pairs = list[tuple[str, str]]
_JUDGED = frozenset({
    "type", "clauses", "count", "sort", "total", "summary", "elements", "format", "pretty", "page", "links", "includes",
})  # fmt: skip
_UNJUDGED = tuple((one.name, one.default) for one in fields(query.Query) if one.name not in _JUDGED)
"""What of a query no rule judges, with what it is where nothing of it was sent."""
ON_READ = ("_format", "_pretty", "_summary", "_elements")
"""Result parameters that a read takes: those that speak of one resource."""


def parsed(call: Call, resource_type: str, pairs: Sequence[tuple[str, str]]) -> query.Query:
    """A search as a typed tree of what the rules can judge.

    Errors: Refused: 400 for what is not understood, and for what the rules don't judge yet; 406 for another format.
    """
    gateway = call.gateway
    found = query.parse(resource_type, pairs, gateway.tables, query.FACADE)
    if not isinstance(found, query.Query):
        raise Refused("unreadable", *found, usable(call, resource_type))
    if any(getattr(found, name) != nothing for name, nothing in _UNJUDGED):
        raise Refused("unreadable", *_unjudged(call, found, pairs))
    _check_shape(found)
    own = gateway.settings.public_url
    clauses = tuple([_relative(clause, own) for clause in found.clauses])
    links = tuple([_relative_link(link, own) for link in found.links])
    if not links and all(map(operator.is_, clauses, found.clauses)):
        return found
    return replace(found, clauses=clauses, links=links)


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
    judged_names = {query.full_name(one) for one in (*judged.clauses, *judged.links)}
    judged_names |= {query.including(one) for one in judged.includes}
    others = sorted({name for name, _ in pairs} - judged_names - set(RESULT_PARAMETERS))
    words = "is not taken here, for no rule judges it yet"
    refused = [error("not-supported", f"{shown(name)} {words}", shown(name), "HTTP-F12") for name in others]
    return [*refused, usable(call, judged.type)]


def usable(call: Call, resource_type: str) -> Finding:
    """What this caller may use instead, with a request that would work."""
    for action in ("search", "count"):
        facts = call.asking.facts(call.gateway, action, type=resource_type)
        names = call.gateway.rules.sufficing(facts)
        if names is not None:
            by = ", ".join(call.gateway.rules.parameters(facts)) or "nothing"
            words = f"you may {action} {resource_type} by {by}; the answer is shaped by {', '.join(RESULT_PARAMETERS)}"
            would = example(call.gateway, resource_type, names, action)
            return Finding("information", "informational", f"{words}; this would work: {would}")
    lacks = call.gateway.rules.decide(call.asking.facts(call.gateway, "search", type=resource_type)).wanting
    return Finding("information", "informational", "; ".join(lack.diagnostics for lack in lacks))


EXAMPLES = {
    "string": "Smith", "date": "1980-02-14", "number": "1", "quantity": "1", "uri": "urn:example:1", "token": "1",
}  # fmt: skip
NHS_NUMBER = "9990000018"
"""A number of the range that is set apart for tests."""


def example(gateway: Gateway, resource_type: str, names: Sequence[str], action: str = "search") -> str:
    """A search that carries these parameters, with invented values, as a client would send it."""
    pairs: Pairs = []
    for name in names:
        parameter = gateway.tables.search_parameters[resource_type, name]
        value = EXAMPLES.get(parameter.type, "1")
        if name == "_id":
            value = NHS_NUMBER if resource_type == "Patient" else "1"
        elif parameter.type == "reference":
            kind = "Patient" if "Patient" in parameter.targets or not parameter.targets else parameter.targets[0]
            value = f"{kind}/{NHS_NUMBER if kind == 'Patient' else '1'}"
        pairs.append((name, value))
    if action == "count":
        pairs.append(("_summary", "count"))
    text = urlencode(pairs, safe="/:")
    return f"GET {resource_type}?{text}" if text else f"GET {resource_type}"


MOST_LINKS, MOST_INCLUDES = 10, 20
"""Chains and `_has`, and includes, of one search: each is a search of its own, or several."""


def _check_shape(asked: query.Query) -> None:
    if len(asked.links) > MOST_LINKS or len(asked.includes) > MOST_INCLUDES:
        words = f"a search has at most {MOST_LINKS} chains and _has, and {MOST_INCLUDES} includes: search in portions"
        raise Refused("unreadable", error("too-costly", words, None, "HTTP-F19"))
    if asked.format is not None:
        check_taken([asked.format])
    if asked.elements and asked.summary not in {None, "false"}:
        words = "_elements and _summary each say what to leave out; send one of them"
        raise Refused("unreadable", error("invalid", words, "_elements", "HTTP-F08"))


def shaped(
    gateway: Gateway, asked: query.Query, resource: Resource, mode: Literal["match", "include"] = "match"
) -> Resource:
    """What the client asked for of a resource that it may see.

    Shape: `_elements` names those of the type that is searched; what is included comes with all of its own.
    """
    if asked.elements and mode == "match":
        return fhir.elements_of(resource, asked.elements, gateway.elements)
    if asked.summary in {"true", "text", "data"}:
        return fhir.summary(resource, cast('Literal["true", "text", "data"]', asked.summary), gateway.elements)
    return resource


def counts_alone(asked: query.Query) -> bool:
    """Whether nothing but the number is wanted."""
    return asked.summary == "count" or asked.count == 0


def _relative_link(link: query.Chain | query.Reverse, own: str) -> query.Chain | query.Reverse:
    """The same at the end of a chain or `_has`."""
    if isinstance(link, query.Chain):
        return replace(link, targets=tuple((kind, _relative_of(inner, own)) for kind, inner in link.targets))
    return replace(link, criterion=_relative_of(link.criterion, own))


def _relative_of(found: query.Criterion, own: str) -> query.Criterion:
    return _relative(found, own) if isinstance(found, query.Clause) else _relative_link(found, own)


def _relative(clause: query.Clause, own: str) -> query.Clause:
    """A reference to the gateway's own address is one to what is behind it."""
    if not any(isinstance(value, query.ReferenceValue) and value.url is not None for value in clause.values):
        return clause
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
