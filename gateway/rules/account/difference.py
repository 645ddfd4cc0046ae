"""What a new rule set says otherwise than an old one: from what the two mean, not from how they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.language import nodes
from gateway.rules.account.change import Change
from gateway.rules.account.declaring import declaring
from gateway.rules.account.flowing import checks, routes
from gateway.rules.account.gains import gains
from gateway.rules.account.glass import notices
from gateway.rules.account.sameness import Key, key
from gateway.rules.decide import RuleSet
from gateway.rules.declared import Check, Forbid, Mask, Permit, Route

Rule = Permit | Forbid | Mask | Check | Route


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A rule that means something else. Shape: places are `file:line`; the sources are the rule's."""

    id: str
    old_place: str
    new_place: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Difference:
    """All that is otherwise. Shape: false where there is nothing."""

    changes: tuple[Change, ...]
    rewritten: tuple[Rewritten, ...]

    def __bool__(self) -> bool:
        """Whether anything is otherwise."""
        return bool(self.changes or self.rewritten)


def difference(old: RuleSet, new: RuleSet) -> Difference:
    """What is otherwise in `new`.

    Shape: who gains or loses what comes first, then checks, routes, what domains accept, the registry, and the ids of
    rules that one of the two alone has.
    """
    before, after = _rules(old), _rules(new)
    changes = (
        *gains(old, new), *checks(old, new), *routes(old, new), *notices(old, new), *declaring(old, new),
        *_ids(before, after),
    )  # fmt: skip
    rewritten = tuple(
        Rewritten(id_, old.places[id_], new.places[id_], was.span.text.rstrip(), now.span.text.rstrip())
        for id_, now in after.items()
        if (was := before.get(id_)) is not None and _meaning(was) != _meaning(now)
    )
    return Difference(changes, rewritten)


def _rules(rules: RuleSet) -> dict[str, Rule]:
    found: list[Rule] = []
    for domain in rules.domains.values():
        found += [*domain.permits, *domain.forbids, *domain.masks, *domain.checks, *domain.routes]
    return {rule.id: rule for rule in found}


def _ids(before: dict[str, Rule], after: dict[str, Rule]) -> Iterator[Change]:
    """Rules that one of the two alone has; of checks it is told with what they check."""
    for words, these, those in (("is new", after, before), ("is gone", before, after)):
        for id_, rule in these.items():
            if id_ not in those and not isinstance(rule, Check):
                yield Change("change", "rules", f"this {type(rule).__name__.lower()} {words}: {rule.title}", of=id_)


def _meaning(rule: Rule) -> tuple[Key, ...]:
    """What tells what a rule says from what another says.

    Shape: what checks and routes say beside their conditions is left out; it is told of whoever sends.
    """
    match rule:
        case Permit():
            rows = frozenset((name, key(one.where), one.link) for name, one in rule.rows.items())
            asking = frozenset(frozenset(together) for together in rule.asking)
            allowing = frozenset(rule.allowing).difference(*rule.asking)
            return (*_scope(rule), rows, frozenset(rule.types), rule.on, asking, allowing, frozenset(rule.hide))
        case Forbid():
            return (*_scope(rule), frozenset(rule.types), rule.on)
        case Mask():
            return (*_scope(rule), frozenset(rule.types), frozenset(rule.hide))
        case Check(each=None):
            by_kind = None if rule.judging is None else frozenset(rule.judging.severities.items())
            return (key(rule.when), key(rule.require), by_kind)
        case Check(each=each) if each is not None:
            renamed = {each.variable: "#each"}
            place = (each.segment, each.field)
            return (key(rule.when), place, key(each.where, renamed), key(rule.require, renamed))
        case _:
            return (key(rule.when),)


def _scope(rule: Permit | Forbid | Mask) -> tuple[Key, ...]:
    """Whatever nobody of today's principals may notice, a rule still says of those of tomorrow."""
    agreement = rule.because.agreement if rule.because is not None else None
    return (key(rule.when), frozenset(rule.actions), agreement, rule.review_by)


def tests(rule: Rule) -> Iterator[nodes.Test]:
    """The conditions of a rule, in the order in which it has them."""
    found: list[nodes.Test | None] = [rule.when]
    if isinstance(rule, Permit):
        found += [rows.where for rows in rule.rows.values()]
    if isinstance(rule, Check):
        found += [rule.each.where if rule.each is not None else None, rule.require]
    yield from (test for test in found if test is not None)
