"""What rules read beside the resources that came back: their patients, and what they are linked with.

Fetched before the rules are asked, once for a request. What is not found stays None, and the rule that reads it errs.
Source: `rules-language.md` of the design, the fact `patient` and meaning 11
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress

from gateway.fhir import fhirpath
from gateway.identity import Scope
from gateway.interactions.call import Call, Resource, readable
from gateway.interactions.scoped import queries, terms
from gateway.interactions.searchsets import NotTaken, Searchset, searchsets
from gateway.interactions.telling import to_look_up
from gateway.rules import Decision, Facts
from gateway.rules.around import Reading, Referring, reading
from gateway.specs import SearchParameter
from gateway.upstream import FhirServer

AT_ONCE = 100
"""Resources that are read in one exchange."""
MOST_PAGES = 100
"""Pages looked through for what refers to one resource; past them it counts as not found."""
PAGE = "500"
IN_FLIGHT = 8


async def gather(
    call: Call, server: FhirServer, judgings: Iterable[tuple[Facts, Decision]], resources: Sequence[Resource]
) -> None:
    """Fetch what the rules want of these resources into `call.around`, and what their references tell of.

    Errors: TargetDown.
    """
    await _wanted(call, server, judgings, resources)
    for kind, names in to_look_up(call, resources).items():
        right = readable(call, kind)
        if right is None:
            continue
        missing = [name for name in names if name not in call.around]
        for first in range(0, len(missing), AT_ONCE):
            await _read(call, right.server, missing[first : first + AT_ONCE])
        targets = [dict(found[0]) for name in names if (found := call.around.get(name))]
        await _wanted(call, right.server, [(right.facts, right.decision)], targets)


async def _wanted(
    call: Call, server: FhirServer, judgings: Iterable[tuple[Facts, Decision]], resources: Sequence[Resource]
) -> None:
    """Fetch what the rules want, and what the queries of the token's scopes show."""
    rules, judgings = call.gateway.rules, [*judgings]
    asked = queries(
        call.asking, {facts.action for facts, _ in judgings}, {str(one.get("resourceType")) for one in resources}
    )
    judgings += [(call.narrowings[scope].facts, call.narrowings[scope].decision) for scope in asked]
    wanted = {want for facts, decision in judgings for want in rules.wants(facts, decision, resources)}
    missing = sorted(want for want in wanted if want not in call.around)
    reads = [want for want in missing if isinstance(want, Reading)]
    for first in range(0, len(reads), AT_ONCE):
        await _read(call, server, reads[first : first + AT_ONCE])
    turns = asyncio.Semaphore(IN_FLIGHT)
    searches = [
        asyncio.create_task(_search(call, server, want, turns)) for want in missing if isinstance(want, Referring)
    ]
    try:
        await asyncio.gather(*searches)
    finally:
        for search in searches:
            search.cancel()  # where one failed, nobody waits for the others
    for scope in asked:
        await _narrow(call, server, scope, [one for one in resources if one.get("resourceType") == scope.type])


async def _narrow(call: Call, server: FhirServer, scope: Scope, resources: Sequence[Resource]) -> None:
    """Find out which resources the query of a scope shows; what the server does not find, it does not."""
    narrowing = call.narrowings[scope]
    may = {
        str(one["id"])
        for one in resources
        if call.gateway.rules.release(narrowing.facts, narrowing.decision, one, call.around).released
    }
    ids = sorted(may)
    for first in range(0, len(ids), AT_ONCE):
        asked = ids[first : first + AT_ONCE]
        with suppress(NotTaken):  # what the server can't say is not shown
            async for page in _pages(server, scope.type, terms(narrowing, asked)):
                call.inside.update((scope, str(one["id"])) for one in page.resources if one["id"] in asked)


async def _pages(server: FhirServer, kind: str, pairs: Sequence[tuple[str, str]]) -> AsyncIterator[Searchset]:
    """The first pages of a search, to its end or as many as are looked through. Errors: NotTaken, TargetDown."""
    left = MOST_PAGES
    async for page in searchsets(server, kind, pairs):
        yield page
        left -= 1
        if left == 0:
            return


async def _read(call: Call, server: FhirServer, wants: Sequence[Reading]) -> None:
    found = await server.read_many(wants)
    for want in wants:
        standing = found.get(want)
        call.around[want] = None
        if standing is not None:
            try:
                call.around[want] = (standing.resource,)
            except ValueError:
                continue  # what can't be read was not found


def referred(call: Call, parameter: SearchParameter, resource: Resource) -> Iterator[Reading]:
    """The resources of this record that a resource refers to where a reference parameter looks."""
    tables, kind = call.gateway.tables, str(resource["resourceType"])
    for value in fhirpath.compile(parameter.fhirpath, context=kind, tables=tables)(resource):
        reference = value.get("reference") if isinstance(value, dict) else None
        name = reading(reference, (reference.partition("/")[0],)) if isinstance(reference, str) else None
        if name is not None and call.gateway.elements.is_resource(name.type):
            yield name


def _refers(call: Call, want: Referring, found: Resource) -> bool:
    """Whether what was found refers to what is asked for: a server that drops a parameter finds everything."""
    if found.get("resourceType") != want.type:
        return False
    parameter = call.gateway.tables.search_parameters[want.type, want.parameter]
    return any("/".join(name) == want.to for name in referred(call, parameter, found))


async def _search(call: Call, server: FhirServer, want: Referring, turns: asyncio.Semaphore) -> None:
    """All resources that refer to one; None where there are too many, or the server doesn't say."""
    found: list[Resource] = []
    call.around[want] = None
    async with turns:
        with suppress(NotTaken):
            async for page in _pages(server, want.type, [(want.parameter, want.to), ("_count", PAGE)]):
                found += [one for one in page.resources if _refers(call, want, one)]
                if page.behind is None:
                    call.around[want] = tuple(found)
