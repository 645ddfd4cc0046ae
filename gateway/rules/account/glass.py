"""Which uses of broken glass a new rule set tells otherwise than the old one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.rules.account.change import Change
from gateway.rules.account.sameness import Key, key
from gateway.rules.account.words import Titles, condition, listed, titles
from gateway.rules.decide import RuleSet
from gateway.rules.declared import Route, RouteTarget

Legs = Mapping[str, Mapping[Key, str]]
"""What each target is told, in words by what tells it apart."""


def notices(old: RuleSet, new: RuleSet) -> tuple[Change, ...]:
    """Targets that are told of broken glass and were not, no longer are, or are told otherwise."""
    before, after = _legs(old), _legs(new)
    return tuple(
        Change("change", "routes", words, of=target)
        for target in dict.fromkeys((*before, *after))
        for words in _otherwise(before.get(target, {}), after.get(target, {}))
    )


def _otherwise(was: Mapping[Key, str], now: Mapping[Key, str]) -> Iterator[str]:
    gone = [words for meaning, words in was.items() if meaning not in now]
    come = [words for meaning, words in now.items() if meaning not in was]
    if come and not was:
        yield f"is now told of broken glass: {listed(come)}"
    elif gone and not now:
        yield "is no longer told of broken glass"
    elif gone or come:
        yield f"is told of broken glass: {listed(come) or 'no more'} (before: {listed(gone) or 'not'})"


def _legs(rules: RuleSet) -> dict[str, dict[Key, str]]:
    names = titles(rules.registry)
    found: dict[str, dict[Key, str]] = {}
    for route in (one.route for one in rules.noticing):
        for target in route.targets:
            meaning = (frozenset(route.on.types), target.hold, key(route.when))
            found.setdefault(target.name, {})[meaning] = _words(route, target, names)
    return found


def _words(route: Route, target: RouteTarget, names: Titles) -> str:
    of = listed(route.on.types, "or") if route.on.types else "anything"
    when = "" if route.when is None else f" when {condition(route.when, names)}"
    hours = 0 if target.hold is None else target.hold.total_seconds() / 3600
    return f"of {of}{when}, tried for {hours:g} hour{'' if hours == 1 else 's'}"
