"""What rules read beside the resources that came back: their patients, and what they are linked with.

Fetched before the rules are asked, once for a request. What is not found stays None, and the rule that reads it errs.
Of what refers to a resource no more is kept than one for each rule that looks for it, however much there is.
Source: `rules-language.md` of the design, the fact `patient` and meaning 11
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress

from gateway import query
from gateway.fhir import fhirpath
from gateway.identity import Scope
from gateway.interactions.call import Call, Resource, readable
from gateway.interactions.scoped import queries, terms
from gateway.interactions.searchsets import NotTaken, Searchset, searchsets
from gateway.interactions.telling import to_look_up
from gateway.language.functions import ERRORS
from gateway.rules import Decision, Facts
from gateway.rules.around import Reading, Referring, Seeking, reading
from gateway.specs import SearchParameter
from gateway.upstream import FhirServer

AT_ONCE = 100
"""Resources that are read in one exchange."""
MOST_PAGES = 100
"""Pages looked through for what the query of a scope shows; past them it shows nothing."""
PAGE = 500
IN_FLIGHT = 8
Narrow = tuple[tuple[str, tuple[str, ...]], ...]


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
    reads = sorted(want for want in wanted if isinstance(want, Reading) and want not in call.around)
    for first in range(0, len(reads), AT_ONCE):
        await _read(call, server, reads[first : first + AT_ONCE])
    await _sought(call, server, [one for pair in judgings for one in rules.seeks(*pair, resources, call.around)])
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


async def _sought(call: Call, server: FhirServer, seekings: Iterable[Seeking]) -> None:
    """Look for what refers to resources: one search for all that look for the same, narrowed alike."""
    alike: dict[tuple[Referring, Narrow], dict[str, Seeking]] = {}
    for one in seekings:
        if (one.want, one.name) not in call.sought:
            alike.setdefault((one.want, one.narrow), {}).setdefault(one.name, one)
    if not alike:
        return
    turns = asyncio.Semaphore(IN_FLIGHT)
    searches = [
        asyncio.create_task(_search(call, server, want, narrow, left, turns)) for (want, narrow), left in alike.items()
    ]
    try:
        await asyncio.gather(*searches)
    finally:
        for search in searches:
            search.cancel()  # where one failed, nobody waits for the others


def _refers(call: Call, want: Referring, found: Resource) -> bool:
    """Whether what was found refers to what is asked for: a server that drops a parameter finds everything."""
    if found.get("resourceType") != want.type:
        return False
    parameter = call.gateway.tables.search_parameters[want.type, want.parameter]
    return any("/".join(name) == want.to for name in referred(call, parameter, found))


async def _search(
    call: Call, server: FhirServer, want: Referring, narrow: Narrow, looked: dict[str, Seeking],
    turns: asyncio.Semaphore,
) -> None:  # fmt: skip
    """One of all that refers to a resource for each who looks for it; None where the server doesn't say it in time.

    Shape: `looked` are those who look for it, by name; who finds one is taken out.
    """
    found: list[Resource] = []
    call.sought.update((want, name) for name in looked)
    call.around.setdefault(want, None)
    async with turns:
        with suppress(NotTaken, TimeoutError):
            async with asyncio.timeout(call.gateway.settings.answer_within):
                async for page in _referring(call, server, want, narrow):
                    for one in page:
                        fitting = [name for name, seeking in looked.items() if _fits(seeking, one)]
                        found += [one] if fitting else []
                        for name in fitting:
                            del looked[name]
                    if not looked:
                        break
            call.around[want] = (*(call.around[want] or ()), *found)


async def _referring(call: Call, server: FhirServer, want: Referring, narrow: Narrow) -> AsyncIterator[list[Resource]]:
    """What refers to a resource and may fit, page by page. Errors: NotTaken, TargetDown."""
    if not all(values for _, values in narrow):
        return
    asked = query.Query(want.type, count=PAGE, total="none")
    for name, values in ((want.parameter, (want.to,)), *narrow):
        asked = query.narrow(asked, name, values, call.gateway.tables)
    async for page in searchsets(server, want.type, query.render(asked)):
        yield [one for one in page.resources if _refers(call, want, one)]


def _fits(seeking: Seeking, one: Resource) -> bool:
    """Whether a resource is one that a rule looks for; where that can't be decided the rule errs once it is asked."""
    try:
        return seeking.fits(one)
    except ERRORS:
        return True
