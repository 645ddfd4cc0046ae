"""Who can send or see what, from the rules alone: every permit for every principal, with what depends on more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from gateway.language import nodes
from gateway.rules.account.residue import ALWAYS, NEVER, SENDING, Known, Residue, residue
from gateway.rules.account.sameness import Key, key
from gateway.rules.compile import Granting
from gateway.rules.decide import RuleSet
from gateway.rules.declared import Accept, Agreement, Domain, Forbid, Link, Mask
from gateway.rules.facts import Caller, Facts
from gateway.rules.flow import covers
from gateway.rules.ground import submitted

ANY = ""
"""An organisation that no rule names and the principal is not registered for: what holds of it holds of any."""

INGEST = "ingest"


@dataclass(frozen=True, slots=True)
class Against:
    """A forbid or a mask that stands against an ability.

    Shape: `when` is what is left of its condition, None for always; `of` the resource type of a submission that it is
    about; `hide` what a mask hides of the type.
    """

    rule: str
    title: str
    when: nodes.Test | None
    of: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing that a principal can do by one permit.

    Shape: `domain` is where it sends to, or whose rule shows it; `organisations` are those that it sends as, `ANY`
    among them for all others but those of `but`; `when` is what is left of the permit's condition, `rows` of its rows
    (read of what `link` leads to), None for always and for all; `asking` and `allowing` are the parameters of searches
    of this type, where the permit lets search; `overlays` are laid over the maps that what is sent is converted with.
    """

    principal: str
    action: str
    domain: str
    data_type: str | None
    type: str
    permit: str
    when: nodes.Test | None = None
    organisations: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    agreement: Agreement | None = None
    review_by: date | None = None
    rows: nodes.Test | None = None
    link: Link | None = None
    asking: tuple[tuple[str, ...], ...] = ()
    allowing: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    forbids: tuple[Against, ...] = ()
    masks: tuple[Against, ...] = ()
    overlays: tuple[str, ...] = ()


def reach(rules: RuleSet) -> tuple[Ability, ...]:
    """Everything that the declared principals can do, in the order of the registry and of the rules."""
    return tuple(ability for name in rules.registry.principals for ability in _of(rules, name))


def reach_of(rules: RuleSet, principal: str) -> tuple[Ability, ...]:
    """What one declared principal can do, in the order of the rules; nothing for one that is not declared."""
    return tuple(_of(rules, principal))


def _of(rules: RuleSet, principal: str) -> Iterator[Ability]:
    caller = rules.caller(principal)
    if caller is None:
        return
    for domain in rules.domains.values():
        for accept in domain.accepts:
            for kind in accept.types:
                yield from _sending(rules, caller, domain, accept, kind)
        for permit in domain.permits:
            for action in permit.actions if permit.types else ():
                for kind in permit.types:
                    yield from _seeing(rules, caller, domain, rules.granting[permit.id], action, kind)


def known(rules: RuleSet, caller: Caller, **more: str | None) -> Known:
    """What is known of a caller's request before there is one; `more` are facts of the request."""
    facts = Facts("", caller, "", NEVER, date.min)
    declared = rules.registry.principals[caller.name]
    settled = SENDING if more.get("action") == INGEST else ALWAYS
    return Known(replace(facts, **more), settled, declared.may_break_glass)  # type: ignore[arg-type] # texts alone


# --- sending -------------------------------------------------------------------------------------------------------


def _sending(rules: RuleSet, caller: Caller, domain: Domain, accept: Accept, kind: str) -> Iterator[Ability]:
    permits = [p for p in domain.permits if INGEST in p.actions and covers(p.on, accept.data_type, kind)]
    for permit in permits:
        found: dict[Key, Ability] = {}
        every = _organisations(rules, caller)
        for organisation in every:
            about = known(
                rules, caller, action=INGEST, domain=domain.name, type=kind, organisation=organisation,
                data_type=accept.data_type,
            )  # fmt: skip
            left = residue(permit.when, about, undecided=False)
            forbids = _against(domain.forbids, about, accept.data_type, kind)
            if left is False or forbids is None:
                continue
            ability = Ability(
                caller.name, INGEST, domain.name, accept.data_type, kind, permit.id, _test(left), (organisation,), (),
                _agreement(rules, rules.granting[permit.id]), permit.review_by, forbids=forbids,
                overlays=accept.overlays,
            )  # fmt: skip
            same = (key(ability.when), tuple((f.rule, key(f.when)) for f in forbids))
            known_one = found.get(same)
            found[same] = (
                ability if known_one is None
                else replace(known_one, organisations=(*known_one.organisations, organisation))
            )  # fmt: skip
        for one in found.values():
            others = () if ANY not in one.organisations else tuple(o for o in every if o not in one.organisations)
            yield replace(one, but=others)


def _organisations(rules: RuleSet, caller: Caller) -> tuple[str, ...]:
    """Those for which rules may say different things: the principal's own, those that rules name, and any other."""
    conditions = [p.when for d in rules.domains.values() for p in d.permits]
    conditions += [f.when for f in rules.forbids.values()]
    named = {
        str(option.value) for test in conditions for option in _literals(test) if option.type.kind == "organisation"
    }
    return (*sorted(caller.connects_as | caller.sends_as | named), ANY)


def _literals(test: nodes.Test | None) -> Iterator[nodes.Literal]:
    if test is None:
        return
    yield from (o for o in nodes.operands(test) if isinstance(o, nodes.Literal))
    for part in nodes.parts(test):
        yield from _literals(part)


def _against(forbids: tuple[Forbid, ...], about: Known, data_type: str, kind: str) -> tuple[Against, ...] | None:
    """What stands against a submission; None where it is always forbidden."""
    found: list[Against] = []
    for forbid in forbids:
        entries = submitted(forbid.on)
        if INGEST not in forbid.actions or not (data_type == "Fhir" if entries else covers(forbid.on, data_type, kind)):
            continue
        left = residue(forbid.when, about, undecided=True)
        if left is True and not entries:
            return None
        if left is not False:
            found.append(Against(forbid.id, forbid.title, _test(left), entries))
    return tuple(found)


# --- seeing --------------------------------------------------------------------------------------------------------


def _seeing(
    rules: RuleSet, caller: Caller, domain: Domain, granting: Granting, action: str, kind: str
) -> Iterator[Ability]:
    permit = granting.permit
    about = known(rules, caller, action=action, type=kind)
    left = residue(permit.when, about, undecided=False)
    rows = permit.rows.get(kind)
    shown = residue(rows.where, about, undecided=False) if rows is not None else True
    forbids = _forbidden(rules, about, action, kind)
    if left is False or shown is False or forbids is None:
        return
    searching = not {"search", "count"}.isdisjoint(permit.actions)
    asking = granting.asking.get(kind, ()) if searching else ()
    asked = {name for names in asking for name in names}
    yield Ability(
        caller.name, action, domain.name, None, kind, permit.id, _test(left), (), (), _agreement(rules, granting),
        permit.review_by, _test(shown), rows.link if rows is not None and shown is not True else None, asking,
        tuple(sorted(granting.names.get(kind, frozenset()) - asked)) if searching else (),
        tuple(path for path in permit.hide if path.partition(".")[0] == kind), forbids,
        tuple(_masked(rules, about, action, kind)),
    )  # fmt: skip


def _forbidden(rules: RuleSet, about: Known, action: str, kind: str) -> tuple[Against, ...] | None:
    found: list[Against] = []
    for forbid in rules.forbids.values():
        if action in forbid.actions and kind in (forbid.types or (kind,)):
            left = residue(forbid.when, about, undecided=True)
            if left is True:
                return None
            if left is not False:
                found.append(Against(forbid.id, forbid.title, _test(left)))
    return tuple(found)


def _masked(rules: RuleSet, about: Known, action: str, kind: str) -> Iterator[Against]:
    for mask in masks(rules).values():
        hide = tuple(path for path in mask.hide if path.partition(".")[0] in {kind, "resource"})
        if action in mask.actions and kind in (mask.types or (kind,)) and hide:
            left = residue(mask.when, about, undecided=True)
            if left is not False:
                yield Against(mask.id, mask.title, _test(left), hide=hide)


def masks(rules: RuleSet) -> Mapping[str, Mask]:
    """The masks of all domains by id."""
    return {mask.id: mask for domain in rules.domains.values() for mask in domain.masks}


def _test(found: Residue) -> nodes.Test | None:
    return None if isinstance(found, bool) else found


def _agreement(rules: RuleSet, granting: Granting) -> Agreement | None:
    because = granting.permit.because
    cited = because.agreement if because is not None else None
    return None if cited is None else rules.registry.agreements.get(cited)
