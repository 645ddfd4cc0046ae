"""The share of one caller in what the rules offer: what it may do, and nothing that it may not.

Which permits open for a caller is settled as `gateway rules show` settles it (`rules/account/reach.py`); what depends
on the message or the resource alone stays, in words. Source: `http-interface.md` of the design, "Documents".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

from gateway.rules import RuleSet
from gateway.rules.account.reach import ANY, INGEST, Ability, reach_of
from gateway.rules.account.residue import ALWAYS, NEVER, Known, residue
from gateway.rules.declared import Agreement
from gateway.rules.facts import Facts

Covers = Callable[[str, str], bool]

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose view of the documents is asked for.

    Shape: `purposes` are those that its requests may be for, None among them where they may be for none; `scopes` are
    its token's, and `covers` tells whether they cover an action on a type, `ingest` on any.
    """

    principal: str
    purposes: frozenset[str | None]
    today: date
    scopes: tuple[str, ...] = ()
    covers: Covers = field(default=lambda _action, _type: True, compare=False)


@dataclass(frozen=True, slots=True)
class Share:
    """What of a rule set is open to a caller.

    Shape: `sends` are data types with message types by domain; `organisations` those that it sends as; `rules` the
    permits and forbids of submissions that are about it; `grants` the actions by type and permit; `against` the forbids
    and masks by type.
    """

    sends: Mapping[str, frozenset[tuple[str, str]]]
    organisations: frozenset[str]
    rules: frozenset[str]
    purposes: frozenset[str]
    grants: Mapping[str, Mapping[str, frozenset[str]]]
    against: Mapping[str, frozenset[str]]
    glass: bool


def share_of(rules: RuleSet, viewer: Viewer) -> Share:
    """The share of a caller; an empty one for a principal that no rule file declares."""
    abilities = [one for one in reach_of(rules, viewer.principal) if _open(rules, viewer, one)]
    sending = [one for one in abilities if one.action == INGEST]
    asking = [one for one in abilities if one.action != INGEST]
    declared = rules.registry.principals.get(viewer.principal)
    return Share(
        sends=_grouped((one.domain, (one.data_type or "", one.type)) for one in sending),
        organisations=_organisations(rules, sending),
        rules=frozenset(rule for one in sending for rule in (one.permit, *(f.rule for f in one.forbids))),
        purposes=frozenset(purpose for purpose in viewer.purposes if purpose is not None),
        grants={
            kind: _grouped((one.permit, one.action) for one in asking if one.type == kind)
            for kind in {one.type for one in asking}
        },
        against=_grouped((one.type, rule.rule) for one in asking for rule in (*one.forbids, *one.masks)),
        glass=declared is not None and declared.may_break_glass,
    )


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, frozenset[V]]:
    found: dict[K, set[V]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}


def _organisations(rules: RuleSet, sending: Iterable[Ability]) -> frozenset[str]:
    every = frozenset(rules.registry.organisations)
    found: set[str] = set()
    for one in sending:
        found |= (every - set(one.but)) if ANY in one.organisations else every & set(one.organisations)
    return frozenset(found)


def _open(rules: RuleSet, viewer: Viewer, ability: Ability) -> bool:
    """Whether some request of this caller may get what the ability says, today and with its token."""
    kind = ability.type if ability.data_type is None else ""
    return viewer.covers(ability.action, kind) and any(
        _runs(ability.agreement, viewer.today, purpose) and _possible(rules, viewer, ability, purpose)
        for purpose in viewer.purposes
    )


def _runs(agreement: Agreement | None, today: date, purpose: str | None) -> bool:
    """Whether an agreement lets a permit match. Source: `rules-language.md` of the design, meaning 12."""
    if agreement is None:
        return True
    return agreement.first <= today <= agreement.last and (not agreement.purposes or purpose in agreement.purposes)


def _possible(rules: RuleSet, viewer: Viewer, ability: Ability, purpose: str | None) -> bool:
    """Whether what is left of the conditions can hold for a purpose."""
    caller = rules.caller(viewer.principal)
    if caller is None:
        return False
    facts = Facts(ability.action, caller, "", NEVER, date.min, purpose=purpose)
    known = Known(replace(facts, type=ability.type), ALWAYS | {"purpose"}, caller.may_break_glass)
    return residue(ability.when, known, undecided=False) is not False and not any(
        residue(forbid.when, known, undecided=True) is True and not forbid.of for forbid in ability.forbids
    )
