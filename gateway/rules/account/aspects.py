"""What may be otherwise of one thing that a principal can do: each aspect says whether it gains or loses, and what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gateway.language import nodes
from gateway.rules.account import show
from gateway.rules.account.change import Kind
from gateway.rules.account.reach import Ability, Against
from gateway.rules.account.sameness import Key, Relation, key, relation
from gateway.rules.account.words import Titles, condition, day, listed
from gateway.rules.declared import Agreement


def meaning(a: Ability) -> Key:
    """What tells abilities apart that are about the same principal, action and type."""
    return (
        key(a.when), frozenset(a.organisations), frozenset(a.but), terms(a.agreement), a.review_by, key(a.rows), a.link,
        _asked(a), frozenset(a.hide), frozenset(map(against, a.forbids)), frozenset(map(against, a.masks)),
    )  # fmt: skip


def terms(agreement: Agreement | None) -> Key:
    """What an agreement says."""
    return None if agreement is None else (agreement.id, agreement.first, agreement.last, frozenset(agreement.purposes))


def against(one: Against) -> Key:
    """What a forbid or a mask says."""
    return key(one.when), frozenset(one.of), frozenset(one.hide)


def _asked(a: Ability) -> Key:
    if a.action not in {"search", "count"}:
        return None
    return frozenset(frozenset(names) for names in a.asking), frozenset(a.allowing)


Said = Iterable[tuple[Kind, str]]

_WIDER: Mapping[Relation, Kind] = {"wider": "gain", "narrower": "lose", "other": "change", "same": "change"}
_TURNED: Mapping[Kind, Kind] = {"gain": "lose", "lose": "gain", "change": "change"}


def _clause(test: nodes.Test | None, names: Titles, always: str = "always") -> str:
    return always if test is None else condition(test, names)


def _when(a: Ability, b: Ability, names: Titles) -> Said:
    how = relation(a.when, b.when)
    if how != "same":
        yield _WIDER[how], f"can {{what}} when: {_clause(b.when, names)} (before: {_clause(a.when, names)})"


def _rows(a: Ability, b: Ability, names: Titles) -> Said:
    how = relation(a.rows, b.rows)
    if a.link != b.link and a.rows is not None and b.rows is not None:
        how = "other"
    if how != "same":
        yield _WIDER[how], f"can {{what}} with the rows: {show.rows(b, names)} (before: {show.rows(a, names)})"


def _hidden(a: Ability, b: Ability, _: Titles) -> Said:
    more, less = _left(b.hide, a.hide), _left(a.hide, b.hide)
    if more:
        yield "lose", f"can {{what}} now without {listed(more)}"
    if less:
        yield "gain", f"can {{what}} now with {listed(less)}, which {'was' if len(less) == 1 else 'were'} hidden"


def _left(these: Iterable[str], those: Iterable[str]) -> list[str]:
    return sorted(set(these) - set(those))


def _asking(a: Ability, b: Ability, _: Titles) -> Said:
    if b.action not in {"search", "count"}:
        return
    before, after = ({frozenset(names) for names in one.asking} for one in (a, b))
    if before != after:
        kind: Kind = "gain" if _easier(before, after) else "lose" if _easier(after, before) else "change"
        words = [show.asking(one.asking) or "nothing" for one in (b, a)]
        yield kind, f"must ask by {words[0]} to {{what}} (before: {words[1]})"
    more, less = _left(b.allowing, a.allowing), _left(a.allowing, b.allowing)
    if more:
        yield "gain", f"may now also give {listed(more)} to {{what}}"
    if less:
        yield "lose", f"may no longer give {listed(less)} to {{what}}"


def _easier(before: set[frozenset[str]], after: set[frozenset[str]]) -> bool:
    """Whether whatever was enough before still is; without alternatives everything is."""
    return not after or (bool(before) and all(any(b <= a for b in after) for a in before))


def _organisations(a: Ability, b: Ability, _: Titles) -> Said:
    before, after = show.organisations(a.organisations, a.but), show.organisations(b.organisations, b.but)
    if (set(a.organisations), set(a.but)) == (set(b.organisations), set(b.but)):
        return
    more, less = _left(b.organisations, a.organisations), _left(a.organisations, b.organisations)
    kind: Kind = "change" if more and less else "gain" if more else "lose"
    yield kind, f"can {{what}} as {after} (before: as {before})"


def _agreement(a: Ability, b: Ability, _: Titles) -> Said:
    old, new = a.agreement, b.agreement
    if terms(old) == terms(new):
        return
    wider, narrower = _covers(new, old), _covers(old, new)
    kind: Kind = "change" if wider is narrower else "gain" if wider else "lose"
    yield kind, f"can {{what}} {_term(new)} (before: {_term(old)})"


def _covers(one: Agreement | None, other: Agreement | None) -> bool:
    """Whether one agreement covers all days and purposes of the other."""
    if one is None or other is None:
        return one is None
    purposes = not one.purposes or (bool(other.purposes) and set(one.purposes) >= set(other.purposes))
    return one.first <= other.first and other.last <= one.last and purposes


def _term(agreement: Agreement | None) -> str:
    if agreement is None:
        return "without an agreement"
    purposes = f" for {listed(agreement.purposes, 'or')}" if agreement.purposes else ""
    return f"by {agreement.id} from {day(agreement.first)} until {day(agreement.last)}{purposes}"


def _review(a: Ability, b: Ability, _: Titles) -> Said:
    if a.review_by != b.review_by:
        words = [day(one.review_by) if one.review_by is not None else "no day" for one in (b, a)]
        yield "change", f"can {{what}} by {b.permit}, to be reviewed by {words[0]} (before: {words[1]})"


def _forbids(a: Ability, b: Ability, names: Titles) -> Said:
    for old, new in _matched(a.forbids, b.forbids):
        if old is None and new is not None:
            yield "lose", f"can no longer {{what}} where {show.against(new, names, rule=False)} ({new.rule})"
        elif new is None and old is not None:
            yield "gain", f"can now {{what}} even where {show.against(old, names, rule=False)} ({old.rule} was)"
        elif old is not None and new is not None:
            words = [show.against(one, names, rule=False) for one in (new, old)]
            kind = _TURNED[_WIDER[relation(old.when, new.when)]] if old.of == new.of else "change"
            yield kind, f"can not {{what}} where {words[0]} (before: where {words[1]}; {new.rule})"


def _masks(a: Ability, b: Ability, names: Titles) -> Said:
    for old, new in _matched(a.masks, b.masks):
        if old is None and new is not None:
            yield "lose", f"can {{what}} now without {_masked(new, names)}"
        elif new is None and old is not None:
            yield "gain", f"can {{what}} now with {_masked(old, names)}, which was masked"
        elif old is not None and new is not None:
            how: Kind = _TURNED[_WIDER[relation(old.when, new.when)]] if set(old.hide) == set(new.hide) else "change"
            yield how, f"can {{what}} without {_masked(new, names)} (before: without {_masked(old, names)})"


def _masked(one: Against, names: Titles) -> str:
    return f"{listed(one.hide)}{'' if one.when is None else f' when {condition(one.when, names)}'} ({one.rule})"


def _matched(old: Iterable[Against], new: Iterable[Against]) -> Iterable[tuple[Against | None, Against | None]]:
    """Those of which the meaning is not in both, by the rule's id."""
    same = {against(a) for a in old} & {against(b) for b in new}
    before = {a.rule: a for a in old if against(a) not in same}
    after = {b.rule: b for b in new if against(b) not in same}
    return [(before.get(rule), after.get(rule)) for rule in dict.fromkeys((*before, *after))]


ASPECTS: tuple[Callable[[Ability, Ability, Titles], Said], ...] = (
    _organisations,
    _when,
    _agreement,
    _rows,
    _asking,
    _hidden,
    _masks,
    _forbids,
    _review,
)
"""What may be otherwise of one ability, in the order in which it is said."""
