"""Who can do what under a new rule set that they could not under the old one, and what they no longer can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.rules.account import show
from gateway.rules.account.aspects import ASPECTS, meaning
from gateway.rules.account.change import Change, Kind, alike
from gateway.rules.account.reach import INGEST, Ability, reach
from gateway.rules.account.words import Titles, condition, day, listed, titles
from gateway.rules.decide import RuleSet

Place = tuple[str, str, str, str | None, str]
"""What an ability is about: principal, action, domain (of what is sent), data type, type."""


def gains(old: RuleSet, new: RuleSet) -> tuple[Change, ...]:
    """Who gains or loses what, in words. Shape: principals that one of the two alone declares are among them."""
    names = titles(old.registry, new.registry)
    before, after = _by_place(reach(old)), _by_place(reach(new))
    changes = [
        change
        for place in dict.fromkeys((*before, *after))
        for change in _at(before.get(place, ()), after.get(place, ()), names)
    ]
    return alike(changes)


def _by_place(abilities: Iterable[Ability]) -> dict[Place, list[Ability]]:
    found: dict[Place, list[Ability]] = {}
    for a in abilities:
        domain = a.domain if a.action == INGEST else ""  # any domain's permit may show a type
        found.setdefault((a.principal, a.action, domain, a.data_type, a.type), []).append(a)
    return found


def _at(old: Sequence[Ability], new: Sequence[Ability], names: Titles) -> Iterator[Change]:
    """What is otherwise in one place."""
    kept = {meaning(a) for a in old} & {meaning(a) for a in new}
    gone = [a for a in old if meaning(a) not in kept]
    come = [a for a in new if meaning(a) not in kept]
    for a, b in _pairs(gone, come):
        if b is None and a is not None:
            by = f" by {a.permit}" if new else ""  # what it still can is by another permit
            yield _change(a, "lose", f"can no longer {{what}}{by}{_whole(a, names) if by else ''}")
        elif a is None and b is not None:
            by = f" also by {b.permit}" if old else ""
            yield _change(b, "gain", f"can now {{what}}{by}{_whole(b, names)}")
        elif a is not None and b is not None:
            yield from (_change(b, kind, words) for aspect in ASPECTS for kind, words in aspect(a, b, names))


def _pairs(gone: list[Ability], come: list[Ability]) -> Iterator[tuple[Ability | None, Ability | None]]:
    """What became what: by the permit's id, then one of each that are left."""
    ids = {b.permit: b for b in come}
    same = [(a, ids[a.permit]) for a in gone if a.permit in ids]
    yield from same
    paired = {id(one) for pair in same for one in pair}
    rest_gone = [a for a in gone if id(a) not in paired]
    rest_come = [b for b in come if id(b) not in paired]
    if len(rest_gone) == len(rest_come) == 1:
        yield rest_gone[0], rest_come[0]
        return
    yield from ((a, None) for a in rest_gone)
    yield from ((None, b) for b in rest_come)


_VERBS = {INGEST: "send", "history": "see former versions of"}


def _change(ability: Ability, kind: Kind, words: str) -> Change:
    place = f" to {ability.domain}" if ability.action == INGEST else ""
    action = _VERBS.get(ability.action, ability.action.replace("operation ", "run $"))
    return Change(
        kind, "who", words.replace("{what}", f"{{what}}{place}"), (ability.principal,), (action,), (ability.type,)
    )


def _whole(a: Ability, names: Titles) -> str:
    """All that an ability depends on, in brackets after it."""
    said = [
        f"as {show.organisations(a.organisations, a.but)}" if a.organisations else "",
        f"when {condition(a.when, names)}" if a.when is not None else "",
        f"rows: {show.rows(a, names)}" if a.rows is not None else "",
        f"a search must give {show.asking(a.asking)}" if a.asking else "",
        f"without {listed(a.hide)}" if a.hide else "",
        f"until {day(a.agreement.last)} by {a.agreement.id}" if a.agreement is not None else "",
    ]
    found = "; ".join(filter(None, said))
    return f" ({found})" if found else ""
