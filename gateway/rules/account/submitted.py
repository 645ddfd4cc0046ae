"""Rules about resource types, asked of the resources of a Fhir submission."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gateway.finding import Finding
from gateway.rules.account import judge
from gateway.rules.account.judge import Clause, Judged
from gateway.rules.account.sight import Sight
from gateway.rules.account.walk import walk
from gateway.rules.declared import Forbid
from gateway.rules.facts import Facts
from gateway.rules.stored import split


def against_resources(forbid: Forbid, facts: Facts) -> Judged:
    """A forbid on resource types: any resource of a submission may trigger it."""
    request, resource = split(forbid.when)
    judged = judge.condition(forbid, request, Sight(facts), "passes")
    sent = [each for name in forbid.on.types for each in facts.resources.get(name, ())]
    if not sent or judged.outcome is not True or resource is None:
        return judged if sent else replace(judged, outcome=False)

    def clauses() -> Iterator[Clause]:
        for place, one in sent:
            yield Clause("when", walk(resource, Sight(facts, one), "passes"), place)

    of_each = judge.of_any(forbid, clauses())
    return replace(of_each, clauses=(*judged.clauses, *of_each.clauses))


def placed(judged: Judged, place: str) -> Judged:
    """A check of one resource, with the place of that before every path that it tells."""
    clauses = tuple(replace(clause, at=place) for clause in judged.clauses)
    return replace(judged, clauses=clauses, findings=tuple(_at(place, f) for f in judged.findings))


def _at(place: str, finding: Finding) -> Finding:
    if finding.expression is None:
        return replace(finding, expression=place)
    _, dot, below = finding.expression.partition(".")
    return replace(finding, expression=f"{place}{dot}{below}")
