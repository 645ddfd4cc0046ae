"""Chains and `_has`: searches of their own, made as this caller alone could make them.

`Encounter?subject:Patient.family=X` is a search for `Patient?family=X` as this caller, and then one for the visits of
those whom it may see. So nothing takes part that the caller may not see, whatever FHIR server is behind. Every node is
judged before anything is asked.
Source: https://hl7.org/fhir/R4/search.html#chaining, #has; `facade.md` of the design, "Query parsing"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gateway import query
from gateway.interactions.around import referred
from gateway.interactions.call import Call, Resource, served
from gateway.interactions.judging import Judging, Permitted, judged, shown
from gateway.interactions.refused import Refused, error
from gateway.interactions.scopes import check_access
from gateway.specs import SearchParameter
from gateway.upstream import FhirServer

MOST = 200
"""Resources of one type that a chain or `_has` may lead to, of those that the caller may see."""
AT_ONCE = 100
"""Resources whose referrers are looked for in one search."""
ANY_ID = "0"
"""Stands for the ids that a chain leads to, where the rules are asked before they are known."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A search whose every node this caller may ask for.

    Shape: `search` is what was judged: without links, each chain as its reference parameter. `asked` are the query's
    own clauses alone; of what a `_has` leads to, the last of them stands for the references. `named` says that the
    rules permit it for the `_id` that some `_has` gives.
    """

    asked: query.Query
    search: Permitted
    forth: tuple[Forth, ...] = ()
    back: tuple[Back, ...] = ()
    named: bool = False


@dataclass(frozen=True, slots=True)
class Forth:
    """Chains on one reference that one resource has to fit. Shape: `ways` are the types that it may lead to."""

    name: str
    parameter: str
    ways: tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class Back:
    """One `_has`.

    Shape: `way` is the search for what refers to this type, judged with the reference as a parameter too; `alone` the
    same where a view that permits that also permits it without.
    """

    name: str
    link: query.Reverse
    way: Planned
    alone: Permitted | None


# --- who may -------------------------------------------------------------------------------------------------------


def planned(call: Call, asked: query.Query, server: FhirServer, actions: Sequence[str] = ("search",)) -> Planned:
    """A search with its links, each node of which this caller may ask for.

    Errors: Refused: 400 and 403, for the first node that it may not.
    """
    bare = replace(asked, links=(), includes=()) if asked.links or asked.includes else asked
    if not asked.links:
        return Planned(bare, Permitted(bare, server, judged(call, bare, actions)))
    groups = tuple(_grouped(call, asked.type, [link for link in asked.links if isinstance(link, query.Chain)]))
    has = [link for link in asked.links if isinstance(link, query.Reverse)]
    probe = bare
    for group in groups:
        kind, _ = group[0].targets[0]
        probe = _with(call, probe, group[0].name, (f"{kind}/{ANY_ID}",))
    named = False
    try:
        judgings = judged(call, probe, actions)
    except Refused:
        if not has:
            raise
        probe, named = _with(call, probe, "_id", (ANY_ID,)), True
        judgings = judged(call, probe, actions)
    forth = tuple(_forth(call, group) for group in groups)
    back = tuple(_back(call, asked.type, link) for link in has)
    if named and not any(one.alone is not None for one in back):
        # what refers may be asked for only where it is known to whom: here nothing tells that
        words = f"{back[0].name} alone is too little: search {asked.type} by what its rules ask for beside it"
        raise Refused("denied", error("forbidden", words, back[0].name, "HTTP-F14"), rules=_permits(judgings))
    return Planned(bare, Permitted(probe, server, judgings), forth, back, named)


def _grouped(call: Call, kind: str, chains: Sequence[query.Chain]) -> Iterator[list[query.Chain]]:
    """Chains in groups that one and the same resource has to fit: the element that they follow is there once."""
    groups: dict[str, list[query.Chain]] = {}
    for chain in chains:
        if _single(call, kind, chain.parameter):
            groups.setdefault(chain.name, []).append(chain)
        else:
            yield [chain]
    yield from groups.values()


def _single(call: Call, kind: str, parameter: SearchParameter) -> bool:
    """Whether a reference parameter reads one element, which no resource repeats."""
    own = [part for part in map(str.strip, parameter.fhirpath.split("|")) if part.startswith(f"{kind}.")]
    steps = own[0].partition(".where(")[0].split(".") if len(own) == 1 else ["?"]
    if not all(step.isidentifier() for step in steps):
        return False
    found = [call.gateway.elements.resolve(".".join(steps[:end])) for end in range(2, len(steps) + 1)]
    return all(one is not None and one.max == 1 for one in found)


def _forth(call: Call, group: Sequence[query.Chain]) -> Forth:
    """Chains as searches of the types that they lead to; of several types, of those that the caller may search so.

    Errors: Refused where it may search none of them so.
    """
    name = query.full_name(group[0])
    targets = [dict(one.targets) for one in group]
    kinds = [kind for kind in targets[0] if all(kind in own for own in targets)]
    if not kinds:
        words = f"{name} and {query.full_name(group[-1])} speak of one resource, which can not be of two types"
        raise Refused("unreadable", error("invalid", words, name, "HTTP-F14"))
    ways: list[Planned] = []
    refusals: list[Refused] = []
    for kind in kinds:
        try:
            ways.append(_inner(call, _search(kind, [own[kind] for own in targets])))
        except Refused as refusal:
            refusals.append(refusal)
    if not ways:
        raise within(name, min(refusals, key=lambda refusal: refusal.reason != "denied"))
    return Forth(name, group[0].name, tuple(ways))


def _back(call: Call, kind: str, link: query.Reverse) -> Back:
    """What refers to a type, as a search of its own, by that reference too.

    Errors: Refused.
    """
    name = query.full_name(link)
    inner = _search(link.type, [link.criterion])
    try:
        way = _inner(call, _with(call, inner, link.name, (f"{kind}/{ANY_ID}",)))
    except Refused as refusal:
        raise within(name, refusal) from refusal
    return Back(name, link, way, _alone(call, way))


def _alone(call: Call, way: Planned) -> Permitted | None:
    """The search for what refers, without saying to whom, by those views alone that permit to say it as well."""
    search, reference = way.search, way.asked.clauses[-1]
    asked = replace(search.asked, clauses=tuple(one for one in search.asked.clauses if one is not reference))
    try:
        free = judged(call, asked)
    except Refused:
        return None
    views = {view.permit for one in search.judgings for view in one.decision.views}
    judgings = []
    for one, referring in zip(free, search.judgings, strict=True):
        kept = tuple(view for view in one.decision.views if view.permit in views)
        decision = one.decision._replace(views=kept, by=tuple(view.permit for view in kept))
        judgings += [Judging(referring.facts, decision)] if kept else []
    return replace(search, asked=asked, judgings=tuple(judgings)) if judgings else None


def _inner(call: Call, inner: query.Query) -> Planned:
    server = served(call.gateway, inner.type)
    check_access(call.asking.scopes, "search", inner.type)
    return planned(call, inner, server)


def _search(kind: str, found: Sequence[query.Criterion]) -> query.Query:
    """A search of a type by these criteria."""
    clauses = tuple(one for one in found if isinstance(one, query.Clause))
    return query.Query(kind, clauses, links=tuple(one for one in found if not isinstance(one, query.Clause)))


def within(name: str, refusal: Refused) -> Refused:
    """A refusal of a search that another leads to, in words that say so."""
    findings = (replace(one, diagnostics=f"{name}: {one.diagnostics}") for one in refusal.findings)
    return Refused(refusal.reason, *findings, rules=refusal.rules, status=refusal.status)


def _permits(judgings: Iterable[Judging]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rule for one in judgings for rule in one.decision.by))


def _with(call: Call, asked: query.Query, name: str, values: Iterable[str]) -> query.Query:
    return query.narrow(asked, name, values, call.gateway.tables)


# --- what it leads to ----------------------------------------------------------------------------------------------


async def led(call: Call, plan: Planned, by: set[str]) -> Permitted | None:
    """A search whose links were followed, as it goes upstream; None where one leads nowhere.

    Errors: TargetDown; Refused (400) where a link leads to more than can be asked for.
    """
    return await _followed(call, plan, plan.search, plan.asked, by)


async def _followed(call: Call, plan: Planned, search: Permitted, sent: query.Query, by: set[str]) -> Permitted | None:
    """The same of a search that is permitted in another way, or goes upstream otherwise, than it was planned."""
    asked = plan.asked
    for forth in plan.forth:
        values = await _leads_to(call, forth, by)
        if not values:
            return None
        asked, sent = (_with(call, one, forth.parameter, values) for one in (asked, sent))
    for back in plan.back:
        ids = await _referred(call, back, replace(search, asked=sent), by, named=plan.named)
        if not ids:
            return None
        sent = _with(call, sent, "_id", ids)
        asked = _with(call, asked, "_id", ids) if plan.named else asked
    if asked is plan.asked:
        return replace(search, asked=sent)
    try:
        again = judged(call, asked, [one.facts.action for one in search.judgings])
    except Refused as refusal:
        # what the rules permit for a few of them
        name = (plan.forth[0] if plan.forth else plan.back[0]).name
        raise _too_much(name, asked.type, refusal.rules) from refusal
    return replace(search, asked=sent, judgings=again if search is plan.search else search.judgings)


def _too_much(name: str, kind: str, rules: tuple[str, ...] = ()) -> Refused:
    words = f"{name} leads to more than a search of {kind} may name; say more of what it leads to"
    return Refused("unreadable", error("too-costly", words, name, "HTTP-F15"), rules=rules)


async def _leads_to(call: Call, forth: Forth, by: set[str]) -> tuple[str, ...]:
    """What the reference has to be: each resource that fits the rest of the chain."""
    found: list[str] = []
    for way in forth.ways:
        search = await led(call, way, by)
        by.update(_permits(way.search.judgings))
        if search is None:
            continue
        for resource in await _up_to(call, search, forth.name, by):
            found.append(f"{search.asked.type}/{resource['id']}")
            if isinstance(resource.get("url"), str):  # a canonical reference is to that
                found.append(resource["url"])
    return tuple(found)


async def _up_to(call: Call, search: Permitted, name: str, by: set[str]) -> list[Resource]:
    """What the caller may see of a search.

    Errors: Refused (400) for more than `MOST`.
    """
    found: list[Resource] = []
    async for page in shown(call, search, by):
        found += page
        if len(found) > MOST:
            raise _too_much(name, search.asked.type)
    return found


async def _referred(call: Call, back: Back, fitting: Permitted, by: set[str], *, named: bool) -> tuple[str, ...]:
    """Ids of the resources that something refers to.

    Shape: of whatever there is, where that is little enough; else of what `fitting` finds, the rest of the search.
    """
    way, kind = back.way, fitting.asked.type
    by.update(_permits(way.search.judgings))
    bare = replace(way.asked, clauses=way.asked.clauses[:-1])
    if back.alone is not None:
        search = await _followed(call, way, back.alone, bare, by)
        ids = () if search is None else await _named_by(call, search, back, kind, by)
        if ids is not None:
            return ids
    if named:
        raise _too_much(back.name, kind)
    candidates = [str(one["id"]) for one in await _up_to(call, fitting, back.name, by)]
    found: list[str] = []
    for first in range(0, len(candidates), AT_ONCE):
        some = candidates[first : first + AT_ONCE]
        of_these = _with(call, bare, back.link.name, [f"{kind}/{id_}" for id_ in some])
        search = await _followed(call, way, way.search, of_these, by)
        if search is not None:
            found += await _named_by(call, search, back, kind, by, among=some) or ()
    return tuple(found)


async def _named_by(
    call: Call, search: Permitted, back: Back, kind: str, by: set[str], among: Sequence[str] | None = None
) -> tuple[str, ...] | None:
    """Ids of a type that what is found refers to, among these; None for more than `MOST`."""
    found: dict[str, None] = {}
    async for page in shown(call, search, by):
        for resource in page:
            for name in referred(call, back.link.parameter, resource):
                if name.type == kind and (among is None or name.id in among):
                    found[name.id] = None
        if len(found) > MOST:
            return None
        if among is not None and len(found) == len(among):
            break
    return tuple(found)
