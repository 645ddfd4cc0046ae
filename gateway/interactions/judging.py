"""A search as the rules permit it: how it was decided, what of that goes upstream, and what it may show.

A search that another one leads to (a chain, `_has`, an include) is judged here too, as this caller's own.
Source: `facade.md` of the design, "Narrow, then check again"
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from gateway import query
from gateway.interactions.access import released
from gateway.interactions.around import gather
from gateway.interactions.call import Call, Resource, permitted, served
from gateway.interactions.filling import Releasing, pages
from gateway.interactions.gateway import Gateway
from gateway.interactions.refused import Refused
from gateway.interactions.scopes import bounds, check_access
from gateway.rules import Decision, Facts
from gateway.upstream import FhirServer


@dataclass(frozen=True, slots=True)
class Judging:
    """A search that is permitted: by which action, and how the rules decided."""

    facts: Facts
    decision: Decision


@dataclass(frozen=True, slots=True)
class Permitted:
    """A search of one type that this caller may make.

    Shape: `asked` is without links and includes; `judgings` are one, or two where it only counts.
    """

    asked: query.Query
    server: FhirServer
    judgings: tuple[Judging, ...]


def judged(call: Call, asked: query.Query, actions: Sequence[str] = ("search",)) -> tuple[Judging, ...]:
    """How the rules permit a search; what only counts may be counted by whoever may see it too.

    Errors: Refused where no action permits it.
    """
    found: list[Judging] = []
    refusals: list[Refused] = []
    for action in actions:
        facts = call.asking.facts(call.gateway, action, type=asked.type, query=asked)
        try:
            found.append(Judging(facts, permitted(call.gateway, facts)))
        except Refused as refusal:
            refusals.append(refusal)
    if not found:
        # a parameter that nobody may use for the one may be what the other takes
        raise min(refusals, key=lambda refusal: refusal.reason != "denied")
    return tuple(found)


def own(call: Call, asked: query.Query) -> Permitted:
    """A search that another one leads to, as this caller may make it alone.

    Errors: Refused: by the scopes of the token, where nobody serves the type, and by the rules.
    """
    server = served(call.gateway, asked.type)
    check_access(call.asking.scopes, "search", asked.type)
    return Permitted(asked, server, judged(call, asked))


def narrowed(gateway: Gateway, judgings: Sequence[Judging], asked: query.Query) -> query.Query | None:
    """Query as it goes upstream: the rows of the view as parameters, the page size within bounds, whole resources.

    Shape: None where the rows leave nothing to ask for.
    """
    narrows = {view.narrow for one in judgings for view in one.decision.views}
    if len(narrows) == 1:
        for name, values in narrows.pop():
            if not values:
                return None
            asked = query.narrow(asked, name, values, gateway.tables)
    count = min(gateway.settings.page_size if asked.count is None else asked.count, gateway.settings.page_limit)
    return replace(asked, count=count, format=None, pretty=None, page=None, summary=None, elements=(), includes=())


def releasing(call: Call, server: FhirServer, judgings: Sequence[Judging], by: set[str]) -> Releasing:
    """How what is found is judged, resource by resource; `by` gathers the rules that decided."""

    def release(resource: Resource) -> Resource | None:
        seen = (released(call, one.facts, one.decision, by, resource) for one in judgings)
        return next((resource for resource in seen if resource is not None), None)

    async def ready(resources: Sequence[Resource]) -> None:
        await gather(call, server, [(one.facts, one.decision) for one in judgings], resources)

    scoped = any(bounds(call.asking.scopes, one.facts.action, one.facts.type or "") is not None for one in judgings)
    return Releasing(ready, release, judged=scoped or any(one.decision.judged for one in judgings))


async def shown(call: Call, search: Permitted, by: set[str]) -> AsyncIterator[list[Resource]]:
    """What this caller may see of a search, page by page.

    Errors: TargetDown; Refused (400) where the upstream doesn't take it, or there is too much to look through.
    """
    sent = narrowed(call.gateway, search.judgings, replace(search.asked, count=call.gateway.settings.page_limit))
    if sent is not None:
        async for page in pages(search.server, sent, releasing(call, search.server, search.judgings, by)):
            yield page
