"""What a token's scopes leave of the resources that the rules release: the patient in context, and scopes with a query.

Which resources a query finds is asked of the server, as a search that this caller may make: so a scope is no way to ask
for what is hidden.
Source: SMART App Launch 2.2, "Finer-grained resource constraints using search parameters"
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from gateway import query
from gateway.identity import Scope
from gateway.interactions.gateway import Gateway, decided
from gateway.interactions.identify import Asking
from gateway.interactions.scopes import bounds
from gateway.rules import Decision, Facts

ANY_ID = "0"
"""Stands for the ids of the resources that a query is asked about, where the rules are asked whether it may be."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A scope's query as a search that this caller may make.

    Shape: `clauses` are the query's own, names with values.
    """

    facts: Facts
    decision: Decision
    clauses: tuple[tuple[str, str], ...]


Narrowings = dict[Scope, Narrowing]


def settled(gateway: Gateway, asking: Asking) -> tuple[Asking, Narrowings]:
    """The caller with what is known of the queries of its scopes: those that can be held, and why others give nothing.

    Source: `trust.md` of the design: granular scopes that can't be held are refused.
    """
    found: Narrowings = {}
    unusable: dict[str, str] = {}
    for name, scope in asking.scopes.queried():
        try:
            found[scope] = _narrowing(gateway, asking, scope)
        except ValueError as fault:
            unusable[name] = str(fault)
    return replace(asking, scopes=replace(asking.scopes, unusable=unusable)) if unusable else asking, found


def _narrowing(gateway: Gateway, asking: Asking, scope: Scope) -> Narrowing:
    """Errors: ValueError, in words for the client, for a query that this caller may not use."""
    found = plain(gateway, scope)
    if found is None:
        raise ValueError("its query is not one of plain search parameters of the type")
    asked, pairs = found
    facts = asking.facts(gateway, "search", type=scope.type, query=asked)
    decision = decided(gateway, facts)
    if decision.effect != "permit":
        raise ValueError("the rules do not let you search by what its query names, together with _id")
    return Narrowing(facts, decision, pairs)


def plain(gateway: Gateway, scope: Scope) -> tuple[query.Query, tuple[tuple[str, str], ...]] | None:
    """A scope's query as a search for one resource, and its own names with values; None for what may not be in it.

    Shape: parameters of the type alone: no chain, no `_has`, nothing that shapes an answer.
    """
    try:
        pairs = parse_qsl(scope.query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=20)
    except ValueError:
        return None
    asked = query.parse(scope.type, [*pairs, ("_id", ANY_ID)], gateway.tables)
    if not isinstance(asked, query.Query) or asked != query.Query(asked.type, asked.clauses):
        return None
    return asked, tuple(pairs)


def queries(asking: Asking, actions: Iterable[str], kinds: Iterable[str]) -> tuple[Scope, ...]:
    """Scopes whose queries have to be asked before resources of these types are released."""
    found: dict[Scope, None] = {}
    for kind in kinds:
        for action in actions:
            found.update((scope, None) for scope in bounds(asking.scopes, action, kind) or () if scope.query)
    return tuple(found)


def terms(narrowing: Narrowing, ids: Sequence[str]) -> list[tuple[str, str]]:
    """The search that tells which of these resources a query finds."""
    return [("_id", ",".join(ids)), *narrowing.clauses, ("_count", str(len(ids)))]
