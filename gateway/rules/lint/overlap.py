"""Rules that can never match, that another rule covers, that say the same, or that take each other's effect away."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.language.nodes import Test
from gateway.rules.declared import Applies, Check, Domain, Forbid, Mask, Permit, Route, Rows
from gateway.rules.flow import covers, possible
from gateway.rules.lint import messages
from gateway.rules.lint.logic import Case, Clash, Known, Range, cases, fact, implied, never, shape
from gateway.source import Diagnostic, Span

_SEARCHES = frozenset({"search", "count"})
"""Actions with parameters, for `asking` and `allowing`."""

Rule = Permit | Forbid | Mask | Check | Route


def overlaps(domains: Mapping[str, Domain]) -> Iterator[Diagnostic]:
    """What is wrong with rules beside each other, domain by domain."""
    forbids = [forbid for domain in domains.values() for forbid in domain.forbids]
    for domain in domains.values():
        dead = {rule.id for rule in _rules(domain) if _clash(rule, domain) is not None}
        yield from _unreachable(domain)
        yield from _same_names(domain)
        grants = [_Grant(p, cases(p.when, _known(p, domain))) for p in domain.permits if p.id not in dead]
        told = set[str]()
        for diagnostic, rule in itertools.chain(
            _forbidden(domain, grants, forbids), _covered(grants), _same(domain, dead)
        ):
            if rule not in told:
                # one mistake, one diagnostic: what is forbidden is not shadowed as well
                told.add(rule)
                yield diagnostic
        yield from _unindexed(domain)
        yield from _unsent(domain)


def head(span: Span) -> Span:
    """The first line of a statement, without its comment."""
    line = span.source.line(span.line)
    text = span.text.split("\n", 1)[0].split("  #", 1)[0].rstrip()
    return Span(span.source, span.start, span.start + min(len(line), len(text)))


def _rules(domain: Domain) -> tuple[Rule, ...]:
    return (*domain.permits, *domain.forbids, *domain.masks, *domain.checks, *domain.routes)


# --- conditions that never hold ------------------------------------------------------------------------------------


def _known(rule: Rule, domain: Domain) -> Known:
    """What a rule's own clauses tell of the facts that its conditions may read."""
    ranges = {fact("domain"): Range(frozenset({("domain", domain.name)}), present=True)}
    on = Applies() if isinstance(rule, Mask) else rule.on
    ingest = isinstance(rule, Check | Route) or "ingest" in rule.actions
    if isinstance(rule, Permit | Forbid | Mask):
        ranges[fact("action")] = Range(frozenset(("action", action) for action in rule.actions), present=True)
    if ingest and on.data_types != ("result",):
        taken = (a for a in domain.accepts if not on.data_types or a.data_type in on.data_types)
        types = on.types or tuple(name for accept in taken for name in accept.types)
        if types and on.data_types != ("Fhir",):
            ranges[fact("message.type")] = Range(frozenset(("category", name) for name in types), present=True)
    return Known(ranges)


def _conditions(rule: Rule) -> Iterator[Test]:
    if rule.when is not None:
        yield rule.when
    if isinstance(rule, Permit):
        yield from (rows.where for rows in rule.rows.values())
    if isinstance(rule, Check):
        if rule.each is not None and rule.each.where is not None:
            yield rule.each.where
        yield rule.require


def _clash(rule: Rule, domain: Domain) -> Clash | None:
    known = _known(rule, domain)
    return next((found for test in _conditions(rule) if (found := never(test, known)) is not None), None)


def _unreachable(domain: Domain) -> Iterator[Diagnostic]:
    for rule in _rules(domain):
        found = _clash(rule, domain)
        if found is not None:
            yield _told(found)
    for condition in domain.conditions.values():
        found = never(condition.test, Known())
        if found is not None:
            yield _told(found)


def _told(found: Clash) -> Diagnostic:
    message = messages.NEVER_OPPOSITE if found.opposite else messages.NEVER
    return message.at(found.span, word=found.word)


# --- rules beside each other ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Grant:
    """A permit, and the ways in which its condition holds."""

    permit: Permit
    ways: tuple[Case, ...]


def _forbidden(domain: Domain, grants: Iterable[_Grant], forbids: Iterable[Forbid]) -> Iterator[tuple[Diagnostic, str]]:
    for grant in grants:
        permit = grant.permit
        # what is sent is judged by its own domain, what is asked by all
        judging = domain.forbids if "ingest" in permit.actions else forbids
        forbid = next((f for f in judging if _forbids_all(f, grant)), None)
        if forbid is not None:
            yield messages.NO_EFFECT.at(head(permit.span), word=permit.id, other=forbid.id), permit.id


def _forbids_all(forbid: Forbid, grant: _Grant) -> bool:
    permit = grant.permit
    return (
        set(permit.actions) <= set(forbid.actions)
        and (not forbid.types or set(permit.types) <= set(forbid.types))
        and _wider(forbid.on, permit.on)
        and implied(forbid.when, grant.ways)
    )


def _wider(wide: Applies, narrow: Applies) -> bool:
    """Whether a statement applies to all that another applies to."""
    types = not wide.data_types or (narrow.data_types and set(narrow.data_types) <= set(wide.data_types))
    return bool(types) and (not wide.types or (bool(narrow.types) and set(narrow.types) <= set(wide.types)))


def _covered(grants: Iterable[_Grant]) -> Iterator[tuple[Diagnostic, str]]:
    for earlier, later in itertools.combinations(grants, 2):
        first, second = earlier.permit, later.permit
        forwards, backwards = _covers(first, later), _covers(second, earlier)
        if forwards and backwards:
            yield messages.SAME_RULE.at(head(second.span), word=second.id, other=first.id), second.id
        elif forwards:
            yield messages.SHADOWED.at(head(second.span), word=second.id, other=first.id), second.id
        elif backwards:
            yield messages.SHADOWED.at(head(first.span), word=first.id, other=second.id), first.id


def _covers(wide: Permit, grant: _Grant) -> bool:
    """Whether a permit grants all that another grants, and shows no less of it."""
    narrow = grant.permit
    return (
        set(narrow.types) <= set(wide.types)
        and set(narrow.actions) <= set(wide.actions)
        # another agreement, or none, ends on another day
        and (wide.because is None or wide.because.agreement is None or narrow.because == wide.because)
        and _wider(wide.on, narrow.on)
        and {path for path in wide.hide if path.partition(".")[0] in narrow.types} <= set(narrow.hide)
        and _asks_less(wide, narrow)
        and all(_shows(wide.rows.get(name), narrow.rows.get(name)) for name in narrow.types)
        and implied(wide.when, grant.ways)
    )


def _asks_less(wide: Permit, narrow: Permit) -> bool:
    """Whether every search that a permit allows is allowed by another."""
    if not _SEARCHES & set(narrow.actions):
        return True
    asked = not wide.asking or (bool(narrow.asking) and all(_asked(one, wide) for one in narrow.asking))
    return asked and _parameters(narrow) <= _parameters(wide)


def _asked(alternative: tuple[str, ...], wide: Permit) -> bool:
    return any(set(one) <= set(alternative) for one in wide.asking)


def _parameters(permit: Permit) -> set[str]:
    return {*permit.allowing, *(name for alternative in permit.asking for name in alternative)}


def _shows(wide: Rows | None, narrow: Rows | None) -> bool:
    if wide is None:
        return True
    if narrow is None or wide.link != narrow.link:
        return False
    return implied(wide.where, cases(narrow.where, Known()))


def _same(domain: Domain, dead: set[str]) -> Iterator[tuple[Diagnostic, str]]:
    """Rules that say the same but for their names and words; permits are compared by what they grant."""
    first: dict[object, str] = {}
    rules: tuple[Rule, ...] = (*domain.forbids, *domain.masks, *domain.checks, *domain.routes)
    for rule in (one for one in rules if one.id not in dead):
        said = type(rule).__name__, *(shape(getattr(rule, name)) for name in _SAID if hasattr(rule, name))
        if said in first:
            yield messages.SAME_RULE.at(head(rule.span), word=rule.id, other=first[said]), rule.id
        first.setdefault(said, rule.id)


_SAID = ("actions", "types", "on", "when", "hide", "each", "require", "severity", "targets", "order")
"""What a rule means; its name, its words and its reasons are not among it."""


def _same_names(domain: Domain) -> Iterator[Diagnostic]:
    meanings: dict[object, str] = {}
    for condition in domain.conditions.values():
        form = condition.data_type, shape(condition.test)
        if form in meanings:
            said = {"kind": "condition", "word": condition.name, "other": meanings[form]}
            yield messages.SAME_NAME.at(head(condition.span), **said)
        meanings.setdefault(form, condition.name)


# --- what is looked at where it can't match, and what nobody may send ----------------------------------------------


def _unindexed(domain: Domain) -> Iterator[Diagnostic]:
    rules: tuple[Permit | Forbid, ...] = (*domain.permits, *domain.forbids)
    for rule in rules:
        if "ingest" not in rule.actions or rule.on.types or rule.when is None:
            continue
        types = [(a.data_type, t) for a in domain.accepts if covers(rule.on, a.data_type, None) for t in a.types]
        wanted = [(kind, name) for kind, name in types if possible(rule.when, name) is not False]
        kinds = sorted({kind for kind, _ in wanted})
        if wanted and len(wanted) < len(types) and len(kinds) == 1:
            shown = ", ".join(name for _, name in wanted)
            yield messages.UNINDEXED.at(head(rule.span), word=rule.id, types=shown, data_type=kinds[0])


def _unsent(domain: Domain) -> Iterator[Diagnostic]:
    permits = [permit for permit in domain.permits if "ingest" in permit.actions]
    for accept in domain.accepts:
        for name in accept.types:
            if not any(covers(permit.on, accept.data_type, name) for permit in permits):
                yield messages.NOBODY_SENDS.at(head(accept.span), domain=domain.name, word=name)
