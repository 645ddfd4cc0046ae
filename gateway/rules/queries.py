"""Whether a view allows a query wholly.

Each parameter is one that the view asks for or allows, for the type that is searched; what it asks for is there, and
says something; sorting is by what may be searched. Result parameters (`_count`, `_total`, `_format` ...) are always
allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from gateway.finding import Finding
from gateway.query import (
    Clause,
    CompositeValue,
    DateValue,
    NumberValue,
    QuantityValue,
    Query,
    StringValue,
    TokenValue,
    UriValue,
    Value,
    full_name,
)
from gateway.rules.compile import Granting
from gateway.rules.facts import Facts

ALTERNATIVES = 10
"""Most values that a parameter which is asked for may offer."""

OPEN = frozenset({"not", "missing", "not-in", "text", "above", "below"})
"""Modifiers with which a parameter asks for everything else, for all that is above or below, or, of a token, by the
words for its kind and not by it: not taken of a parameter that a view asks for."""

SHORTEST = 2
"""Fewest characters of a text that is asked for: one letter is the beginning of too many names."""
LONGEST_DATE = timedelta(days=31)
"""Longest stretch that one date which is asked for may mean: a month."""
LONGEST_RANGE = timedelta(days=366)
"""Longest stretch between two bounds of a date that is asked for: a year."""
_LOWER, _UPPER = frozenset({"gt", "ge", "sa"}), frozenset({"lt", "le", "eb"})


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
    alternatives = granting.asking.get(facts.type or "", ())
    clauses = _asked(alternatives, facts.query)
    if any(_opening(clause, clauses) for clause in clauses):
        return False
    carried = {clause.name for clause in clauses}
    return any(carried.issuperset(names) for names in alternatives)


def opening(granting: Granting, facts: Facts) -> tuple[tuple[str, str], ...]:
    """Parameters that the view asks for and that the query leaves open, each with what to send in their place."""
    if facts.query is None:
        return ()
    clauses = _asked(granting.asking.get(facts.type or "", ()), facts.query)
    found = ((clause.name, _opening(clause, clauses)) for clause in clauses)
    return tuple(dict.fromkeys((name, words) for name, words in found if words))


def _asked(alternatives: Iterable[tuple[str, ...]], query: Query) -> tuple[Clause, ...]:
    asking = {name for names in alternatives for name in names}
    return tuple(clause for clause in query.clauses if clause.name in asking)


def _opening(clause: Clause, among: Iterable[Clause]) -> str:
    """Why a clause asks for so much that it is as good as none, as what to send instead; empty where it does not."""
    if clause.modifier in OPEN:
        return f"leave out :{clause.modifier}"
    if not 0 < len(clause.values) <= ALTERNATIVES:
        return f"send at most {ALTERNATIVES} values"
    if _bounded(clause, among):
        return ""
    return next((words for value in clause.values if (words := _wide(value))), "")


def _wide(value: Value) -> str:
    """What to send in place of a value that names nothing, or too much; empty where it is narrow enough."""
    match value:
        case TokenValue() if not value.code:
            return "send a code or value, not a system alone"
        case StringValue() if len(value.text.strip()) < SHORTEST:
            return f"send {SHORTEST} characters or more"
        case UriValue() if not value.uri:
            return "send a whole URI"
        case DateValue() if value.prefix != "eq" or value.high - value.low > LONGEST_DATE:
            return "send a day or a month, or two bounds that are at most a year apart"
        case NumberValue() | QuantityValue() if value.prefix != "eq":
            return "send a number without a prefix"
        case CompositeValue():
            return next((words for _, part in value.parts if (words := _wide(part))), "")
        case _:
            return "" if value.raw else "send a value"


def _bounded(clause: Clause, among: Iterable[Clause]) -> bool:
    """Whether a date is one of two bounds that close a stretch of at most a year."""
    own = [one for one in among if one.name == clause.name]
    if clause not in own or any(len(one.values) != 1 for one in own):
        return False
    bounds = [one.values[0] for one in own]
    dates = [bound for bound in bounds if isinstance(bound, DateValue)]
    lower = [_from(bound) for bound in dates if bound.prefix in _LOWER]
    upper = [_until(bound) for bound in dates if bound.prefix in _UPPER]
    if len(lower) + len(upper) < len(bounds) or not lower or not upper:
        return False
    return min(upper) - max(lower) <= LONGEST_RANGE


def _from(bound: DateValue) -> datetime:
    return bound.low if bound.prefix == "ge" else bound.high


def _until(bound: DateValue) -> datetime:
    return bound.high if bound.prefix == "le" else bound.low
