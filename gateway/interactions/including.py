"""`_include` and `_revinclude`: what the matches refer to, and what refers to them, as this caller may see it.

The gateway fetches it, not the upstream. What matches refer to is read as the caller could read it; what refers to them
is searched for as the caller could search for it. A reference that is hidden brings nothing.
Source: https://hl7.org/fhir/R4/search.html#include; `facade.md` of the design, "Query parsing"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gateway import query
from gateway.interactions.access import released
from gateway.interactions.around import gather, referred
from gateway.interactions.call import Call, Resource, readable
from gateway.interactions.chains import ANY_ID, AT_ONCE, within
from gateway.interactions.judging import Judging, Permitted, own, shown
from gateway.interactions.refused import Refused, error
from gateway.rules.around import Reading
from gateway.specs import SearchParameter

MOST = 1000
"""Resources that come with a page."""
ROUNDS = 10
"""So often `:iterate` goes on from what came last."""
ANY = "*"
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Referrers:
    """What refers to a type by one parameter. Shape: `search` stands for any one reference."""

    parameter: SearchParameter
    search: Permitted


@dataclass(frozen=True, slots=True)
class Coming:
    """One include that this caller may ask for.

    Shape: `referrers` are those of a `_revinclude` by the type that is referred to, None for an `_include`.
    """

    include: query.Include
    referrers: dict[str, tuple[Referrers, ...]] | None


# --- who may -------------------------------------------------------------------------------------------------------


def coming(call: Call, asked: query.Query, judgings: Sequence[Judging]) -> tuple[Coming, ...]:
    """The includes of a search, each of which this caller may ask for.

    Errors: Refused: 400 where nobody may, 403 where this caller may not, for the first of them.
    """
    if asked.includes and asked.summary == "text":
        words = "_include and _revinclude can not go with _summary=text"
        raise Refused("unreadable", error("invalid", words, "_summary", "HTTP-F08"))
    found: list[Coming] = []
    reached = {asked.type}
    for include in sorted(asked.includes, key=lambda one: one.iterate):
        if include.reverse:
            found.append(_referring(call, include, reached))
            reached.update(one.search.asked.type for more in (found[-1].referrers or {}).values() for one in more)
        else:
            reached.update(_check_read(call, asked, include, judgings))
            found.append(Coming(include, None))
    return tuple(found)


def _parameters(call: Call, kind: str, name: str) -> Iterator[SearchParameter]:
    """The reference parameters of a type that an include names."""
    for (base, code), parameter in call.gateway.tables.search_parameters.items():
        if base == kind and parameter.type == "reference" and name in {ANY, code} and parameter.fhirpath:
            yield parameter


def _check_read(call: Call, asked: query.Query, include: query.Include, judgings: Sequence[Judging]) -> frozenset[str]:
    """The types that an include may bring: those that it may lead to and that the caller may read.

    Errors: Refused where there is none, and for a reference that is hidden from the caller.
    """
    kinds = [asked.type] if include.source == ANY else [include.source]
    parameters = [one for kind in kinds for one in _parameters(call, kind, include.name)]
    if include.name != ANY and include.source == asked.type:
        _check_shown(call, include, judgings)
    every = call.gateway.rules.served
    aimed = {t for one in parameters for t in (one.targets or tuple(every))} if include.target is None else {
        include.target
    }  # fmt: skip
    found = frozenset(kind for kind in aimed if readable(call, kind) is not None)
    if not found:
        may = any(call.gateway.rules.granted("read", kind) for kind in aimed)
        words = f"it brings {_listed(aimed)}, which you may not read"
        raise _refused(include, words, may=may)
    return found


def _check_shown(call: Call, include: query.Include, judgings: Sequence[Judging]) -> None:
    """Whether the reference is one that the caller sees. Errors: Refused."""
    gateway = call.gateway
    parameter = gateway.tables.search_parameters[include.source, include.name]
    rules = tuple(rule for one in judgings for rule in gateway.rules.hiding(one.facts, one.decision, parameter))
    if rules:
        raise _refused(include, f"{include.name} of {include.source} is hidden from you", may=True, rules=rules)


def _referring(call: Call, include: query.Include, reached: Iterable[str]) -> Coming:
    """What may refer to the types that are reached, by parameters that the caller may search by.

    Errors: Refused where there is none.
    """
    sources = [include.source] if include.source != ANY else sorted(call.gateway.rules.served)
    every = sorted({*reached} | ({*call.gateway.rules.served} if include.iterate else set()))
    aimed = [kind for kind in every if include.target in {None, kind}]
    found: dict[str, tuple[Referrers, ...]] = {}
    refusals: list[Refused] = []
    for kind in aimed:
        more: list[Referrers] = []
        for source in sources:
            for parameter in _parameters(call, source, include.name):
                if parameter.targets and kind not in parameter.targets:
                    continue
                asked = _naming(call, query.Query(source), parameter.code, [f"{kind}/{ANY_ID}"])
                try:
                    more.append(Referrers(parameter, own(call, asked)))
                except Refused as refusal:
                    refusals.append(refusal)
        if more:
            found[kind] = tuple(more)
    if not found:
        if include.name != ANY and refusals:
            nearest = min(refusals, key=lambda one: one.reason != "denied")
            raise within(f"{query.including(include)}={include.raw}", nearest)
        raise _refused(include, "nothing that you may search refers to it", may=bool(refusals))
    return Coming(include, found)


def _naming(call: Call, asked: query.Query, name: str, values: Iterable[str]) -> query.Query:
    return query.narrow(asked, name, values, call.gateway.tables)


def _refused(include: query.Include, words: str, *, may: bool, rules: tuple[str, ...] = ()) -> Refused:
    """A refusal of an include. Shape: `may` says that somebody may ask for it."""
    name = query.including(include)
    told = error("forbidden" if may else "not-supported", f"{name}={include.raw}: {words}", name, "HTTP-F16")
    return Refused("denied" if may else "unreadable", told, rules=rules)


def _listed(kinds: Iterable[str]) -> str:
    shown_ones = sorted(kinds)
    return ", ".join(shown_ones) if len(shown_ones) <= ROUNDS else f"any of {len(shown_ones)} types"


# --- what comes ----------------------------------------------------------------------------------------------------


async def included(
    call: Call, asked: Sequence[Coming], matches: Sequence[Resource], by: set[str]
) -> tuple[Resource, ...]:
    """What comes with the matches of a page, none of them twice.

    Errors: TargetDown; Refused (400) where that is more than a page takes.
    """
    seen: set[Name] = {_own(one) for one in matches}
    more: list[Resource] = []
    last: list[Resource] = list(matches)
    for turn in range(ROUNDS + 1):
        now = [one for one in asked if turn == 0 or one.include.iterate]
        if not now or not last:
            return tuple(more)
        if turn == ROUNDS:
            break
        new: dict[Name, Resource] = {}
        wanted = [name for one in now if one.referrers is None for name in _forwards(call, one.include, last)]
        for resource in await _read(call, [name for name in dict.fromkeys(wanted) if name not in seen], by):
            new[_own(resource)] = resource
        for one in now:
            if one.referrers is not None:
                for resource in await _backwards(call, one.include, one.referrers, last, by):
                    new.setdefault(_own(resource), resource)
        last = [new[name] for name in sorted(new) if name not in seen]
        seen.update(new)
        more += last
        if len(more) > MOST:
            break
    words = f"more than {MOST} resources come with this page, or from too far: ask for smaller pages, or include less"
    raise Refused("unreadable", error("too-costly", words, "_include", "HTTP-F17"))


def _own(resource: Resource) -> Name:
    return str(resource["resourceType"]), str(resource["id"])


def _forwards(call: Call, include: query.Include, found: Iterable[Resource]) -> Iterator[Reading]:
    """What resources refer to, as far as the caller sees their references and may read the type."""
    for resource in found:
        kind = str(resource["resourceType"])
        if include.source not in {ANY, kind}:
            continue
        for parameter in _parameters(call, kind, include.name):
            for name in referred(call, parameter, resource):
                if include.target in {None, name.type} and readable(call, name.type) is not None:
                    yield name


async def _read(call: Call, names: Sequence[Reading], by: set[str]) -> list[Resource]:
    """What the caller may read of these."""
    found: list[Resource] = []
    for kind in dict.fromkeys(name.type for name in names):
        right = readable(call, kind)
        if right is None:
            continue
        ids = [name for name in names if name.type == kind]
        for first in range(0, len(ids), AT_ONCE):
            standing = await right.server.read_many(ids[first : first + AT_ONCE])
            resources = [one.resource for one in standing.values()]
            await gather(call, right.server, [(right.facts, right.decision)], resources)
            seen = (released(call, right.facts, right.decision, by, one) for one in resources)
            found += [one for one in seen if one is not None]
    return found


async def _backwards(
    call: Call, include: query.Include, referrers: dict[str, tuple[Referrers, ...]], found: Sequence[Resource],
    by: set[str],
) -> list[Resource]:  # fmt: skip
    """What refers to resources, as far as the caller may see that it does."""
    more: list[Resource] = []
    for kind, several in referrers.items():
        names = [f"{kind}/{one['id']}" for one in found if one["resourceType"] == kind]
        for one in several:
            for first in range(0, len(names), AT_ONCE):
                some = names[first : first + AT_ONCE]
                bare = query.Query(one.search.asked.type)
                search = replace(one.search, asked=_naming(call, bare, one.parameter.code, some))
                async for page in shown(call, search, by):
                    # a mask may hide whom it refers to, and a server may have dropped the parameter
                    more += [each for each in page if _refers(call, one.parameter, each, some)]
                    if len(more) > MOST:
                        words = f"more than {MOST} resources refer to those of this page: ask for smaller pages"
                        raise Refused("unreadable", error("too-costly", words, query.including(include), "HTTP-F17"))
    return more


def _refers(call: Call, parameter: SearchParameter, resource: Resource, names: Sequence[str]) -> bool:
    return any(f"{name.type}/{name.id}" in names for name in referred(call, parameter, resource))
