"""Rules in words, as the documents say them: conditions, what checks demand, which roles open a permit."""

from __future__ import annotations

from gateway.language import nodes
from gateway.rules.account.words import Titles, condition, excepted, operand
from gateway.rules.declared import Check

__all__ = ["condition", "demand", "operand", "roles", "when"]

HAS_ROLE = "has role"


def when(test: nodes.Test | None, names: Titles) -> str:
    """A condition with `when` before it; nothing where there is none."""
    return "" if test is None else f"when {condition(test, names)}"


def demand(check: Check, names: Titles) -> str:
    """What a check demands, of what, and when."""
    each, told = check.each, condition(check.require, names)
    if each is not None:
        which = "" if each.where is None else f" where {condition(each.where, names)}"
        told = f"for each {each.variable} in {each.segment}-{each.field}{which}, {told}"
    told = "; ".join(filter(None, (told, excepted(check.judging))))
    return told if check.when is None else f"{told}, {when(check.when, names)}"


def roles(test: nodes.Test | None) -> frozenset[str]:
    """Roles of which a caller needs one, as far as a condition names them; none where it holds without any."""
    match test:
        case nodes.Named(test=inner) if inner is not None:
            return roles(inner)
        case nodes.Phrased(phrase=phrase, right=nodes.Literal(value=value)) if phrase == HAS_ROLE:
            return frozenset({str(value)})
        case nodes.Chain(word="and", parts=parts):
            return next((found for found in map(roles, parts) if found), frozenset())
        case nodes.Chain(parts=parts):
            found = [roles(part) for part in parts]
            return frozenset[str]().union(*found) if all(found) else frozenset()
        case _:
            return frozenset()
