"""Whether a view allows a query wholly.

Each parameter is one that the view asks for or allows, for the type that is searched; what it asks for is there, and
says something; sorting is by what may be searched. Result parameters (`_count`, `_total`, `_format` ...) are always
allowed.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.finding import Finding
from gateway.query import Clause, Query, StringValue, TokenValue, UriValue, Value, full_name
from gateway.rules.compile import Granting
from gateway.rules.facts import Facts

ALTERNATIVES = 10
"""Most values that a parameter which is asked for may offer."""

OPEN = frozenset({"not", "missing", "not-in", "text"})
"""Modifiers with which a parameter asks for everything else, or, of a token, by the words for its kind and not by it:
not taken of a parameter that a view asks for."""


def names_of(query: Query) -> frozenset[str]:
    """Every search parameter that a query searches or sorts by.

    Shape: chains, `_has` and includes, which no rule judges, stand under names that no view allows.
    """
    names = {clause.name for clause in query.clauses}
    if query.sort:
        names.update(sort.name for sort in query.sort)
    if query.links or query.includes:
        names.update(full_name(link) for link in query.links)
        names.update("_revinclude" if include.reverse else "_include" for include in query.includes)
    return frozenset(names)


def unusable(facts: Facts, names: Iterable[str], usable: Iterable[str]) -> tuple[Finding, ...]:
    """Parameters that no permit lets anyone use for the type; independent of the caller."""
    shown = ", ".join(sorted(usable)) or "none"
    return tuple(
        Finding("error", "not-supported", f"{name} can not be used to search {facts.type}; usable are: {shown}", name)
        for name in sorted(set(names) - set(usable))
    )


def allows(granting: Granting, facts: Facts, names: frozenset[str]) -> bool:
    """Whether the view of a permit allows a query, which has these parameters, wholly."""
    known = granting.names.get(facts.type or "", frozenset())
    return names <= known and (not granting.permit.asking or asked(granting, facts))


def foreign(granting: Granting, facts: Facts) -> tuple[str, ...]:
    """Parameters of a query that the view neither asks for nor allows."""
    known = granting.names.get(facts.type or "", frozenset())
    return () if facts.query is None else tuple(sorted(names_of(facts.query) - known))


def asked(granting: Granting, facts: Facts) -> bool:
    """Whether a query carries what the view asks for, and nothing asked for that leaves it open."""
    if facts.query is None:
        return False
    name = facts.type or ""
    alternatives = granting.asking.get(name, ())
    asking = {n for names in alternatives for n in names}
    clauses = [clause for clause in facts.query.clauses if clause.name in asking]
    if any(_open(clause) for clause in clauses):
        return False
    carried = {clause.name for clause in clauses}
    return any(carried.issuperset(names) for names in alternatives)


def _open(clause: Clause) -> bool:
    """Whether a clause asks for so much that it is as good as none."""
    return (
        clause.modifier in OPEN
        or not 0 < len(clause.values) <= ALTERNATIVES
        or any(_empty(value) or getattr(value, "prefix", None) == "ne" for value in clause.values)
    )


def _empty(value: Value) -> bool:
    """A value that names nothing: `system|` asks for every code of a system."""
    match value:
        case TokenValue():
            return not value.code
        case StringValue():
            return not value.text.strip()
        case UriValue():
            return not value.uri
        case _:
            return not value.raw
