"""The conditions of rules asked again of what a test gave, step by step: for telling why, and for coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gateway.finding import Finding
from gateway.language.compile import Absent
from gateway.language.nodes import Chain, Test
from gateway.language.nodes import parts as parts_of
from gateway.rules.account import judge
from gateway.rules.account.sight import Sight
from gateway.rules.account.walk import Seen, walk
from gateway.rules.check import rules_of
from gateway.rules.decide import RuleSet
from gateway.rules.decision import Resource
from gateway.rules.declared import Check, Domain, Forbid, Mask, Permit, Route
from gateway.rules.flow import covers
from gateway.rules.nodes import GLASS
from gateway.rules.reading import reads
from gateway.rules.stored import reads_patient, split
from gateway.rules.telling import Teller
from gateway.rules.trial.lacks import sights
from gateway.rules.trial.run import Answer

Rule = Permit | Forbid | Mask | Check | Route


_NOTHING = Finding("information", "informational", "")
_QUIET = Teller(lambda *_: _NOTHING, lambda *_: _NOTHING, None)
"""What a check tells is told by the decision itself; here only its conditions matter."""


@dataclass(frozen=True, slots=True)
class Step:
    """One condition of a rule as it was asked. Shape: `clause` is `when`, `where`, `require` or `rows`."""

    rule: str
    clause: str
    seen: Seen


def known(rules: RuleSet) -> dict[str, Rule]:
    """Every rule by its id."""
    return {rule.id: rule for domain in rules.domains.values() for rule in all_of(domain)}


def all_of(domain: Domain) -> tuple[Rule, ...]:
    """Every rule of a domain."""
    return (*rules_of(domain), *domain.masks)


def asked(rules: RuleSet, answer: Answer) -> Iterator[Rule]:
    """The rules that were asked for an answer, as far as the decision came.

    Shape: where a forbid holds no permit is asked, where no permit grants no check and no route.
    """
    facts = answer.facts
    if answer.effect == "unread":
        return
    if facts.action != "ingest":
        yield from _of_question(rules, answer)
        return
    domain = rules.domains[facts.domain or ""]
    applying = [rule for rule in rules_of(domain) if applies(rule, domain, answer)]
    yield from (rule for rule in applying if isinstance(rule, Forbid))
    if answer.effect == "deny" and answer.by:
        return
    yield from (rule for rule in applying if isinstance(rule, Permit))
    if answer.effect != "deny":
        yield from (rule for rule in applying if isinstance(rule, Check | Route))


def applies(rule: Rule, domain: Domain, answer: Answer) -> bool:
    """Whether a rule has a say in an answer, however far the decision came."""
    facts = answer.facts
    if facts.action != "ingest":
        return _about(rule, answer)
    if domain.name != facts.domain or (isinstance(rule, Permit | Forbid | Mask) and "ingest" not in rule.actions):
        return False
    if isinstance(rule, Check | Forbid) and rule.on.data_types in {("result",), ("Fhir",)} and rule.on.types:
        return any(one["resourceType"] in rule.on.types for one in resources(rule, answer))
    return not isinstance(rule, Mask) and covers(rule.on, facts.data_type, facts.type)


def _of_question(rules: RuleSet, answer: Answer) -> Iterator[Rule]:
    about = [rule for domain in rules.domains.values() for rule in all_of(domain) if _about(rule, answer)]
    yield from (rule for rule in about if isinstance(rule, Route))  # of broken glass, however it is decided
    yield from (rule for rule in about if isinstance(rule, Forbid))
    if answer.effect == "deny" and answer.by:
        return
    yield from (rule for rule in about if isinstance(rule, Permit))
    if answer.effect != "deny":
        yield from (rule for rule in about if isinstance(rule, Mask | Check))


def _about(rule: Rule, answer: Answer) -> bool:
    """Whether a rule has a say in a question, or a write."""
    facts = answer.facts
    if isinstance(rule, Check):
        return rule.on.data_types == ("Fhir",) and not facts.resources.keys().isdisjoint(rule.on.types)
    name = answer.resource["resourceType"] if answer.resource is not None else facts.type
    if isinstance(rule, Route):
        return facts.glass and rule.on.data_types == (GLASS,) and (name in rule.on.types or not rule.on.types)
    return facts.action in rule.actions and (name in rule.types or not rule.types)


def resources(rule: Check | Forbid, answer: Answer) -> Iterator[Resource]:
    """The resources that a rule `on result` or `on Fhir TYPE` is asked of."""
    if rule.on.data_types == ("result",):
        found: Iterable[Resource] = answer.made
    else:
        found = (one for sent in answer.facts.resources.values() for _, one in sent)
    return (one for one in found if one["resourceType"] in rule.on.types)


def steps(rule: Rule, answer: Answer) -> Iterator[Step]:
    """The conditions of a rule, each as it was asked."""
    return _STEPS[type(rule)](rule, answer)


def _permit(rule: Permit, answer: Answer) -> Iterator[Step]:
    granted = True
    for step in _when(rule, answer, "fails"):
        granted = granted and step.seen.outcome is True
        yield step
    resource = answer.resource
    rows = rule.rows.get(resource["resourceType"]) if resource is not None else None
    if not granted or rows is None or resource is None:
        return
    if rows.link is None:
        yield from (Step(rule.id, "rows", walk(rows.where, sight, "fails")) for sight in _of(rows.where, answer))
        return
    for linked in (one for found in answer.around.values() for one in found or ()):
        if linked["resourceType"] == rows.link.type:
            yield Step(rule.id, "rows", walk(rows.where, Sight(answer.facts, linked), "fails"))


def _of(test: Test, answer: Answer) -> Iterable[Sight]:
    """What a condition on the resource of an answer is asked of."""
    if answer.resource is None or not reads(test):
        return (Sight(answer.facts),)
    return sights(answer.facts, answer.resource, answer.around)


def _forbid(rule: Forbid | Mask, answer: Answer) -> Iterator[Step]:
    yield from _when(rule, answer, "passes")


def _when(rule: Permit | Forbid | Mask | Route, answer: Answer, absent: Absent) -> Iterator[Step]:
    """The condition of a rule, in its author's order.

    Where it reads patients, and the request alone says that it does not hold, the gateway fetches none: then what reads
    more than the request was never asked.
    """
    if rule.when is None:
        return
    request, resource = split(rule.when)
    if request is not None and resource is not None and reads_patient(resource):
        seen = walk(request, Sight(answer.facts), absent)
        if seen.outcome is not True:
            parts = seen.parts if isinstance(request, Chain) else (seen,)
            rest = parts_of(resource) if isinstance(resource, Chain) else (resource,)
            yield Step(rule.id, "when", replace(seen, test=rule.when, parts=(*parts, *map(_unasked, rest))))
            return
    for sight in _sights(rule, answer):
        yield Step(rule.id, "when", walk(rule.when, sight, absent))


def _unasked(test: Test) -> Seen:
    """What the decision never came to."""
    return Seen(test, None, parts=tuple(_unasked(part) for part in parts_of(test)), asked=False)


def _sights(rule: Permit | Forbid | Mask | Route, answer: Answer) -> Iterable[Sight]:
    """What a condition is asked of; nothing where it reads a resource and there is none."""
    if rule.when is None or not reads(rule.when):
        return (Sight(answer.facts),)
    if answer.resource is not None:
        return sights(answer.facts, answer.resource, answer.around)
    if isinstance(rule, Forbid) and rule.on.types:
        return [Sight(answer.facts, one) for one in resources(rule, answer)]
    return ()


def _check(rule: Check, answer: Answer) -> Iterator[Step]:
    of_resources = rule.on.data_types in {("result",), ("Fhir",)} and rule.on.types
    about = [Sight(answer.facts, one) for one in resources(rule, answer)] if of_resources else [Sight(answer.facts)]
    for sight in about:
        for clause in judge.check(rule, sight, _QUIET, ()).clauses:
            yield Step(rule.id, clause.word, clause.seen)


def _route(rule: Route, answer: Answer) -> Iterator[Step]:
    if rule.on.data_types == (GLASS,):
        yield from _when(rule, answer, "passes")
    elif rule.when is not None:
        yield Step(rule.id, "when", walk(rule.when, Sight(answer.facts), "false"))


_STEPS: Mapping[type, Callable[..., Iterator[Step]]] = {
    Permit: _permit,
    Forbid: _forbid,
    Mask: _forbid,
    Check: _check,
    Route: _route,
}
"""How the conditions of each kind of rule are asked."""
