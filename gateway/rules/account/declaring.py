"""What a new rule set declares otherwise than the old one: domains, what they accept, principals, lists, targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from gateway.rules.account.change import Area, Change, Kind
from gateway.rules.account.words import day, days, listed
from gateway.rules.decide import RuleSet
from gateway.rules.declared import KEPT, Domain, PrincipalDeclaration, Registry, Target
from gateway.rules.facts import Caller

T = TypeVar("T")
Said = Iterator[tuple[Kind, str]]
Values = frozenset[str] | frozenset[tuple[str, str]] | None


def declaring(old: RuleSet, new: RuleSet) -> tuple[Change, ...]:
    """What is declared otherwise, in words.

    Shape: roles, agreements, sets and conditions are not told of: what they change is told where they are used.
    """
    return (
        *_named(old.domains, new.domains, "domain", "domains", _domain),
        *_principals(old, new),
        *_named(old.registry.targets, new.registry.targets, "target", "registry", _target),
        *_named(_held(old.registry), _held(new.registry), "list", "registry", _values),
        *_lasting(old.registry, new.registry),
    )


def _named(
    old: Mapping[str, T], new: Mapping[str, T], what: str, area: Area, otherwise: Callable[[T, T], Said]
) -> Iterator[Change]:
    """Changes of things that go by names."""
    for name in dict.fromkeys((*old, *new)):
        if name not in old:
            yield Change("change", area, f"this {what} is new", of=name)
        elif name not in new:
            yield Change("change", area, f"this {what} is gone", of=name)
        else:
            yield from (Change(kind, area, words, of=name) for kind, words in otherwise(old[name], new[name]))


def _domain(old: Domain, new: Domain) -> Said:
    before, after = _accepted(old), _accepted(new)
    for data_type in dict.fromkeys(d for d, _ in (*before, *after)):
        more, less = _left(after, before, data_type), _left(before, after, data_type)
        if more:
            yield "change", f"now accepts {data_type} {listed(more)}"
        if less:
            yield "change", f"no longer accepts {data_type} {listed(less)}"
        kept = [t for d, t in after if d == data_type and (d, t) in before]
        yield from _versions(data_type, kept, before, after)
    for what, was, now in (
        ("acknowledges by", _acknowledges(old), _acknowledges(new)),
        ("treats the same control id by", _same(old), _same(new)),
        ("serves", old.serves or "nothing", new.serves or "nothing"),
        *((f"keeps what was {state} for", days(old.keeps[state]), days(new.keeps[state])) for state in KEPT),
    ):
        if was != now:
            yield "change", f"now {what} {now} (before: {was})"


_Accepted = Mapping[tuple[str, str], tuple[tuple[str, str] | None, frozenset[str], tuple[str, ...]]]


def _accepted(domain: Domain) -> _Accepted:
    return {(a.data_type, t): (a.versions, frozenset(a.holds), a.overlays) for a in domain.accepts for t in a.types}


def _left(these: _Accepted, those: _Accepted, data_type: str) -> list[str]:
    return [t for d, t in these if d == data_type and (d, t) not in those]


def _versions(data_type: str, kept: Sequence[str], before: _Accepted, after: _Accepted) -> Said:
    """What is otherwise of types that both accept, those that are alike at once."""
    alike: dict[str, list[str]] = {}
    for kind in kept:
        (was, held, over), (now, holds, laid) = before[data_type, kind], after[data_type, kind]
        if was != now:
            alike.setdefault(f"of the versions {_range(now)} (before: {_range(was)})", []).append(kind)
        if held != holds:
            words = [listed(sorted(one)) or "nothing more" for one in (holds, held)]
            alike.setdefault(f"holding {words[0]} (before: {words[1]})", []).append(kind)
        if over != laid:
            words = [listed(one) or "no overlay" for one in (laid, over)]
            alike.setdefault(f"converted with {words[0]} (before: {words[1]})", []).append(kind)
    for same, kinds in alike.items():
        yield "change", f"accepts {data_type} {listed(kinds)} {same}"


def _range(versions: tuple[str, str] | None) -> str:
    return "of any kind" if versions is None else f"{versions[0]} to {versions[1]}"


def _acknowledges(domain: Domain) -> str:
    return f"{domain.acknowledge}{' with outcome' if domain.outcome else ''}"


def _same(domain: Domain) -> str:
    return domain.same_control_id if domain.same_control_id == "accept" else f"refusing for {days(domain.window)}"


# --- the registry --------------------------------------------------------------------------------------------------


def _principals(old: RuleSet, new: RuleSet) -> Iterator[Change]:
    before, after = old.registry.principals, new.registry.principals
    for name in dict.fromkeys((*before, *after)):
        if name not in before:
            yield Change("gain", "registry", "is a new principal", (name,))
        elif name not in after:
            yield Change("lose", "registry", "is no longer a principal", (name,))
        else:
            said = (*_callers(old.caller(name), new.caller(name)), *_limits(before[name], after[name]))
            yield from (Change(kind, "registry", words, (name,)) for kind, words in said)


def _callers(old: Caller | None, new: Caller | None) -> Said:
    if old is None or new is None:
        return
    yield from _sets("counts as", old.organisations, new.organisations)
    yield from _sets("may assert the purpose", old.may_assert, new.may_assert)


def _sets(what: str, old: frozenset[str], new: frozenset[str]) -> Said:
    if new - old:
        yield "gain", f"now also {what} {listed(sorted(new - old))}"
    if old - new:
        yield "lose", f"no longer {what} {listed(sorted(old - new))}"


def _limits(old: PrincipalDeclaration, new: PrincipalDeclaration) -> Said:
    if old.may_break_glass != new.may_break_glass:
        kind: Kind = "gain" if new.may_break_glass else "lose"
        yield kind, "may now break the glass" if new.may_break_glass else "may no longer break the glass"
    yield from _limit("requests a second", old.per_second, new.per_second)
    for name in dict.fromkeys((*old.per_day, *new.per_day)):
        yield from _limit(f"{name} a day", old.per_day.get(name), new.per_day.get(name))


def _limit(what: str, old: int | None, new: int | None) -> Said:
    if old == new:
        return
    wider = new is None or (old is not None and new > old)
    words = [f"{'any number of' if one is None else one} {what}" for one in (new, old)]
    yield "gain" if wider else "lose", f"may ask for {words[0]} (before: {words[1]})"


def _target(old: Target, new: Target) -> Said:
    if old.takes != new.takes:
        yield "change", f"now takes {new.takes} (before: {old.takes})"


def _held(registry: Registry) -> dict[str, Values]:
    """Values of lists and codes by name; None where the file can't be used."""
    lists: dict[str, Values] = {name: one.held.values for name, one in registry.lists.items()}
    return lists | {name: one.held.codings for name, one in registry.codes.items()}


def _values(old: Values, new: Values) -> Said:
    """How many values are otherwise; never which: they may be patients'."""
    if old is None or new is None:
        if old is not new:
            yield "change", "its file can now be used" if old is None else "its file can no longer be used"
        return
    for words, count in (("more", len(_less(new, old))), ("fewer", len(_less(old, new)))):
        if count:
            yield "change", f"has {count} value{'' if count == 1 else 's'} {words}"


def _lasting(old: Registry, new: Registry) -> Iterator[Change]:
    """Of what form the values of lists are, and until when they are used: after that day, rules that name one err."""
    for name in sorted(new.lists.keys() & old.lists.keys()):
        was, now = old.lists[name].held, new.lists[name].held
        if was.form != now.form:
            yield Change("change", "registry", f"now holds {now.form} (before: {was.form})", of=name)
        if was.last != now.last:
            words = [f"until {day(one.last)}" if one.last is not None else "without an end" for one in (now, was)]
            yield Change("change", "registry", f"can be used {words[0]} (before: {words[1]})", of=name)


def _less(these: Iterable[object], those: Iterable[object]) -> set[object]:
    return set(these) - set(those)
