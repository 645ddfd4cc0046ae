"""What rules read beside the resources that came back: their patients, and what they are linked with.

Fetched before the rules are asked, once for a request. What is not found stays None, and the rule that reads it errs.
Source: `rules-language.md` of the design, the fact `patient` and meaning 11
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from gateway.fhir import fhirpath
from gateway.interactions.access import Call, Resource, loaded
from gateway.rules import Decision, Facts
from gateway.rules.around import Reading, Referring, reading
from gateway.upstream import FhirServer

AT_ONCE = 100
"""Resources that are read in one exchange."""
MOST_PAGES = 20
"""Pages looked through for what refers to one resource; past them it counts as not found."""
PAGE = "200"
IN_FLIGHT = 8
CLIENT_ERROR = 400


async def gather(
    call: Call, server: FhirServer, judgings: Iterable[tuple[Facts, Decision]], resources: Sequence[Resource]
) -> None:
    """Fetch what the rules want of these resources into `call.around`.

    Errors: TargetDown.
    """
    rules = call.gateway.rules
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


def _refers(call: Call, want: Referring, found: Resource) -> bool:
    """Whether what was found refers to what is asked for: a server that drops a parameter finds everything."""
    if found.get("resourceType") != want.type:
        return False
    tables = call.gateway.tables
    path = tables.search_parameters[want.type, want.parameter].fhirpath
    kind, _, _ = want.to.partition("/")
    for value in fhirpath.compile(path, context=want.type, tables=tables)(found):
        name = reading(value.get("reference"), (kind,)) if isinstance(value, dict) else None
        if name is not None and "/".join(name) == want.to:
            return True
    return False


async def _search(call: Call, server: FhirServer, want: Referring, turns: asyncio.Semaphore) -> None:
    """All resources that refer to one; None where there are too many, or the server doesn't say."""
    found: list[Resource] = []
    call.around[want] = None
    async with turns:
        answer = await server.search(want.type, [(want.parameter, want.to), ("_count", PAGE)])
        for _ in range(MOST_PAGES):
            if answer.status >= CLIENT_ERROR:
                return
            bundle = loaded(server, answer)
            entries = (entry.get("resource") for entry in bundle.get("entry", ()))
            found += [one for one in entries if one is not None and _refers(call, want, one)]
            behind = next((str(one["url"]) for one in bundle.get("link", ()) if one.get("relation") == "next"), None)
            if behind is None:
                call.around[want] = tuple(found)
                return
            answer = await server.page(behind)
