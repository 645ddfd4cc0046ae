"""One page of what a caller may see: asked of the upstream page by page, until it is full.

A page that rules judged resource by resource is filled up from the pages behind it, and says that there is a next one
only where something more would be released, so that it tells nothing of what is not.
Source: `facade.md` of the design, "Narrow, then check again".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway import fhir, query
from gateway.interactions.paging import START, Place
from gateway.interactions.refused import Refused, error
from gateway.upstream import Answer, FhirServer, TargetDown

MOST_FETCHES = 20
Resource = dict[str, Any]
Release = Callable[[Resource], Resource | None]


@dataclass(frozen=True, slots=True)
class Page:
    """What goes to the caller.

    Shape: `following` is where the next page begins, None where there is none; `total` is what the caller may see on
    all pages, None where that is not known.
    """

    resources: tuple[Resource, ...] = ()
    following: Place | None = None
    total: int | None = 0


async def filled(server: FhirServer, asked: query.Query, place: Place, release: Release, *, judged: bool) -> Page:
    """Fill a page.

    Shape: `asked` carries the page's size; `judged` says that `release` may hold resources back.
    Errors: TargetDown; Refused (400) where the upstream doesn't take the search.
    """
    wanted = asked.count or 0
    found: list[Resource] = []
    following, total = None, None
    at = place
    for _ in range(MOST_FETCHES):
        bundle = await _fetched(server, asked, at)
        total = bundle.get("total")
        shown = [seen for resource in _resources(bundle) if (seen := release(resource)) is not None][at.skip :]
        room = wanted - len(found)
        found += shown[:room]
        behind = _next(bundle)
        if len(shown) > room:
            following = Place(at.address, at.skip + room)
            break
        following = None if behind is None else Place(behind)
        if behind is None or (len(found) == wanted and not judged):
            break
        at = Place(behind)
    if following is None and place == START:
        total = len(found)
    elif judged:
        total = None
    return Page(tuple(found), following, total)


async def _fetched(server: FhirServer, asked: query.Query, at: Place) -> dict[str, Any]:
    answer = await (server.search(asked.type, query.render(asked)) if at.address is None else server.page(at.address))
    if answer.status >= 400:  # noqa: PLR2004 - HTTP's first client error
        raise Refused("failed", error("processing", "the FHIR server did not take this search"), status=400)
    return loaded(server, answer)


def loaded(server: FhirServer, answer: Answer) -> dict[str, Any]:
    """Resource of an answer.

    Errors: TargetDown for what is no FHIR resource.
    """
    try:
        return fhir.load(answer.body)
    except fhir.JsonError as fault:
        raise TargetDown(server.name, "its answer is no FHIR resource") from fault


def _resources(bundle: dict[str, Any]) -> list[Resource]:
    entries = (entry.get("resource") for entry in bundle.get("entry", ()))
    return [resource for resource in entries if resource is not None]


def _next(bundle: dict[str, Any]) -> str | None:
    return next((str(link["url"]) for link in bundle.get("link", ()) if link.get("relation") == "next"), None)
