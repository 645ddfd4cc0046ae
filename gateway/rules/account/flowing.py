"""What a new rule set checks and routes otherwise than the old one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.language import nodes
from gateway.rules.account.change import Change, Kind, alike
from gateway.rules.account.residue import Residue, of_type
from gateway.rules.account.sameness import Key, Renamed, key
from gateway.rules.account.words import condition, excepted, listed, operand
from gateway.rules.decide import RuleSet
from gateway.rules.declared import Check, Domain, Each, RouteTarget
from gateway.rules.flow import covers
from gateway.rules.ground import submitted

Covered = frozenset[tuple[str, str]]
"""What a rule is about: data types, each with a type."""


# --- checks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Checking:
    """A check of a domain, and what it covers."""

    domain: str
    check: Check
    covered: Covered

    def meaning(self) -> Key:
        """What tells checks apart, but for their names."""
        renamed = _renamed(self.check.each)
        return (self.domain, self.covered, *(part for _, part in _parts(self.check, renamed)))


def checks(old: RuleSet, new: RuleSet) -> tuple[Change, ...]:
    """Checks that are new, gone, called otherwise or changed, in words."""
    before = {(c.domain, c.check.id): c for c in _checks(old)}
    after = {(c.domain, c.check.id): c for c in _checks(new)}
    gone = [c for place, c in before.items() if place not in after]
    changes: list[Change] = []
    for place, now in after.items():
        was = before.get(place)
        if was is not None:
            changes += _changed(was, now)
            continue
        renamed = next((c for c in gone if c.meaning() == now.meaning()), None)
        if renamed is not None:
            gone.remove(renamed)
            changes.append(_about(now, "change", f"check {renamed.check.id} is now called {now.check.id}"))
        else:
            changes.append(_about(now, "change", f"check {now.check.id} is new: {_whole(now)}"))
    changes += [_about(c, "change", f"check {c.check.id} is gone: {_whole(c)}") for c in gone]
    return tuple(changes)


def _checks(rules: RuleSet) -> Iterator[_Checking]:
    for domain in rules.domains.values():
        yield from (_Checking(domain.name, check, _covered(check, domain)) for check in domain.checks)


def _covered(check: Check, domain: Domain) -> Covered:
    on = check.on
    if on.data_types == ("result",) or submitted(on):
        return frozenset((on.data_types[0], name) for name in on.types)
    taken = [(a.data_type, t) for a in domain.accepts for t in a.types]
    return frozenset((d, t) for d, t in taken if covers(on, d, t) and of_type(check.when, domain.name, t) is not False)


def _renamed(each: Each | None) -> Renamed:
    return {} if each is None else {each.variable: "#each"}


def _parts(check: Check, renamed: Renamed) -> list[tuple[str, Key]]:
    """What a check says by the words for it."""
    each = check.each
    return [
        ("severity", check.severity),
        ("code", check.code),
        ("message", tuple(part if isinstance(part, str) else repr(_read(part, renamed)) for part in check.text)),
        ("condition", key(check.when)),
        ("repetitions", None if each is None else (each.segment, each.field, key(each.where, renamed))),
        ("requirement", key(check.require, renamed)),
        ("exceptions", None if check.judging is None else tuple(sorted(check.judging.severities.items()))),
    ]


def _read(leaf: nodes.Leaf, renamed: Renamed) -> Key:
    return key(nodes.Present(leaf, positive=True, span=leaf.span), renamed)


_EFFECT = {"error": "refuses", "warning": "warns", "information": "informs"}


def _changed(was: _Checking, now: _Checking) -> Iterator[Change]:
    """What is otherwise of one check."""
    id_, old, new = now.check.id, was.check, now.check
    if old.severity != new.severity:
        yield _about(now, "change", f"check {id_} now {_EFFECT[new.severity]} (before: {_EFFECT[old.severity]})")
    if old.code != new.code:
        yield _about(now, "change", f"check {id_} now has the code {new.code} (before: {old.code})")
    more, less = now.covered - was.covered, was.covered - now.covered
    if more:
        yield _about(now, "change", f"check {id_} is now also about {_types(more)}")
    if less:
        yield _about(now, "change", f"check {id_} is no longer about {_types(less)}")
    parts = zip(_parts(old, _renamed(old.each)), _parts(new, _renamed(new.each)), strict=True)
    otherwise = {name for (name, before), (_, after) in parts if before != after}
    if otherwise & {"condition", "repetitions", "requirement"} or _excepted(old) != _excepted(new):
        yield _about(now, "change", f"check {id_} now says: {_demand(new)} (before: {_demand(old)})")
    if "message" in otherwise:
        yield _about(now, "change", f"check {id_} now tells: {_text(new)} (before: {_text(old)})")


def _about(checking: _Checking, kind: Kind, words: str) -> Change:
    return Change(kind, "checks", words, of=checking.domain)


def _whole(checking: _Checking) -> str:
    effect = _EFFECT[checking.check.severity]
    return f"it {effect} {_types(checking.covered) or 'nothing'} unless {_demand(checking.check)}"


def _types(covered: Covered) -> str:
    data_types = sorted({data_type for data_type, _ in covered})
    return listed(f"{d} {', '.join(sorted(t for own, t in covered if own == d))}" for d in data_types)


def _demand(check: Check) -> str:
    """What a check demands, in words."""
    each, demand = check.each, condition(check.require)
    if each is not None:
        which = "" if each.where is None else f" where {condition(each.where)}"
        demand = f"for each {each.variable} in {each.segment}-{each.field}{which}, {demand}"
    demand = "; ".join(filter(None, (demand, excepted(check.judging))))
    return demand if check.when is None else f"{demand}, when {condition(check.when)}"


def _excepted(check: Check) -> Key:
    """What becomes of departures from the standard where the check says so of their kind itself."""
    return frozenset(check.judging.excepted.items()) if check.judging is not None else None


def _text(check: Check) -> str:
    return "".join(part if isinstance(part, str) else f"[{operand(part)}]" for part in check.text)


# --- routes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Leg:
    """One way that a type of submission takes: where, and when."""

    target: RouteTarget
    order: nodes.Leaf | None
    when: Residue

    def meaning(self) -> Key:
        """What tells ways to one target apart."""
        order = None if self.order is None else _read(self.order, {})
        when = True if isinstance(self.when, bool) else key(self.when)
        return (self.target.on_failure, self.target.hold, order, when)

    @property
    def words(self) -> str:
        """How it goes, in words."""
        target = self.target
        failure = f"on failure {target.on_failure}"
        if target.hold is not None:
            hours = target.hold.total_seconds() / 3600
            failure += f" for {hours:g} hour{'' if hours == 1 else 's'}"
        said = [failure]
        if self.order is not None:
            said.append(f"in order of {operand(self.order)}")
        if not isinstance(self.when, bool):
            said.append(f"when {condition(self.when)}")
        return ", ".join(said)


def routes(old: RuleSet, new: RuleSet) -> tuple[Change, ...]:
    """Where submissions go that did not, and no longer go, in words.

    Shape: types that one of the two alone takes are told of elsewhere.
    """
    changes: list[Change] = []
    for name in (n for n in new.domains if n in old.domains):
        before, after = _types_of(old.domains[name]), _types_of(new.domains[name])
        for place in (p for p in after if p in before):
            was, now = (_legs(rules.domains[name], *place) for rules in (old, new))
            changes += [
                Change(kind, "routes", words, types=(place[1],), of=name) for kind, words in _otherwise(was, now)
            ]
    return alike(changes)


def _types_of(domain: Domain) -> list[tuple[str, str]]:
    return [(accept.data_type, kind) for accept in domain.accepts for kind in accept.types]


def _legs(domain: Domain, data_type: str, kind: str) -> list[_Leg]:
    found: list[_Leg] = []
    for route in domain.routes:
        when = of_type(route.when, domain.name, kind) if covers(route.on, data_type, kind) else False
        if when is not False:
            found += [_Leg(target, route.order, when) for target in route.targets]
    return found


def _otherwise(was: Iterable[_Leg], now: Iterable[_Leg]) -> Iterator[tuple[Kind, str]]:
    before, after = _by_target(was), _by_target(now)
    for target in dict.fromkeys((*before, *after)):
        old, new = before.get(target, {}), after.get(target, {})
        gone = [leg.words for meaning, leg in old.items() if meaning not in new]
        come = [leg.words for meaning, leg in new.items() if meaning not in old]
        if not old:
            yield "change", f"{target} now gets {{what}}, {listed(come)}"
        elif not new:
            yield "change", f"{target} no longer gets {{what}}"
        elif gone or come:
            yield "change", f"{target} gets {{what}} {listed(come) or 'no more'} (before: {listed(gone) or 'not'})"


def _by_target(legs: Iterable[_Leg]) -> dict[str, dict[Key, _Leg]]:
    found: dict[str, dict[Key, _Leg]] = {}
    for leg in legs:
        found.setdefault(leg.target.name, {})[leg.meaning()] = leg
    return found
