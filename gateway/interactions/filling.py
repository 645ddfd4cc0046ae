"""One page of what a caller may see, asked of the upstream page by page until it is full; and how much there is in all.

A page that rules judged resource by resource is filled up from the pages behind it, and says that there is a next one
only where something more would be released, so that it tells nothing of what is not. A total counts what is released.
Source: `facade.md` of the design, "Narrow, then check again".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from gateway import query
from gateway.interactions.access import Resource, loaded
from gateway.interactions.paging import START, Place
from gateway.interactions.refused import Refused, error
from gateway.upstream import FhirServer, TargetDown

MOST_FETCHES = 200
"""Upstream pages looked through for one page; one that ends early with more behind it tells of what is hidden."""
MOST_COUNTED = 200
"""Upstream pages of one count, or of what a chain leads to: the upstream can't tell what a caller may see."""


@dataclass(frozen=True, slots=True)
class Releasing:
    """How a page is judged: what the rules read beside it is fetched, then each resource is released or not.

    Shape: `judged` says that resources may be held back.
    """

    gather: Callable[[Sequence[Resource]], Awaitable[None]]
    release: Callable[[Resource], Resource | None]
    judged: bool

    async def shown(self, bundle: dict[str, Any]) -> list[Resource]:
        """What is released of a page. Errors: TargetDown."""
        found = _resources(bundle)
        await self.gather(found)
        return [seen for resource in found if (seen := self.release(resource)) is not None]


@dataclass(frozen=True, slots=True)
class Page:
    """What goes to the caller.

    Shape: `following` is where the next page begins, None where there is none; `total` is what the caller may see on
    all pages, None where that is not known, or not wanted.
    """

    resources: tuple[Resource, ...] = ()
    following: Place | None = None
    total: int | None = 0


async def filled(server: FhirServer, asked: query.Query, place: Place, releasing: Releasing, *, limit: int) -> Page:
    """Fill a page.

    Shape: `asked` carries the page's size; `limit` is the size of the upstream's pages where each resource is judged:
    were they the caller's, how far it may look would hang on how much is hidden.
    Errors: TargetDown; Refused (400) where the upstream doesn't take the search, or too much is looked through.
    """
    wanted, judged = asked.count or 0, releasing.judged
    sent = replace(asked, total="none", count=limit) if judged else asked
    found: list[Resource] = []
    following, total = None, None
    at = place
    for _ in range(MOST_FETCHES):
        bundle = await _fetched(server, sent, at)
        total = bundle.get("total")
        shown = (await releasing.shown(bundle))[at.skip :]
        room = wanted - len(found)
        found += shown[:room]
        behind = _next(bundle)
        _check_onwards(server, at, behind)
        if len(shown) > room:
            following = Place(at.address, at.skip + room)
            break
        following = None if behind is None else Place(behind)
        if behind is None or (len(found) == wanted and not judged):
            break
        at = Place(behind)
    else:
        words = "this search looks through too much: ask for less"
        raise Refused("unreadable", error("too-costly", words, None, "HTTP-F10"))
    if asked.total == "none":
        total = None
    elif following is None and place == START:
        total = len(found)
    elif judged:
        total = await counted(server, asked, releasing, limit=limit) if asked.total == "accurate" else None
    if following is not None:
        following = replace(following, asked=len(urlencode(query.render(sent))))
    return Page(tuple(found), following, total)


async def counted(server: FhirServer, asked: query.Query, releasing: Releasing, *, limit: int) -> int | None:
    """How many resources a caller may see of a search.

    Shape: None where the upstream, which alone counts what is not judged, doesn't say.
    Errors: TargetDown; Refused (400) where the upstream doesn't take the search, or there is more than can be counted.
    """
    if not releasing.judged:
        total = (await _fetched(server, replace(asked, count=None, sort=(), total=None, summary="count"), START)).get(
            "total"
        )
        return total if isinstance(total, int) else None
    total = 0
    async for page in pages(server, replace(asked, count=limit, sort=(), summary=None), releasing):
        total += len(page)
    return total


async def pages(server: FhirServer, asked: query.Query, releasing: Releasing) -> AsyncIterator[list[Resource]]:
    """What is released of each page of a search, to its end.

    Errors: TargetDown; Refused (400) where the upstream doesn't take the search, or there is too much to look through.
    """
    sent, at = replace(asked, total="none"), START
    for _ in range(MOST_COUNTED):
        bundle = await _fetched(server, sent, at)
        yield await releasing.shown(bundle)
        behind = _next(bundle)
        if behind is None:
            return
        _check_onwards(server, at, behind)
        at = Place(behind)
    words = f"there is too much {asked.type} to see what of it you may see; ask for less"
    raise Refused("unreadable", error("too-costly", words, None, "HTTP-F10"))


async def _fetched(server: FhirServer, asked: query.Query, at: Place) -> dict[str, Any]:
    answer = await (server.search(asked.type, query.render(asked)) if at.address is None else server.page(at.address))
    if answer.status >= 400:  # noqa: PLR2004 - HTTP's first client error
        raise Refused("failed", error("processing", "the FHIR server did not take this search"), status=400)
    return _page_of(server, loaded(server, answer))


def _check_onwards(server: FhirServer, at: Place, behind: str | None) -> None:
    """Whether the next page is another one. Errors: TargetDown."""
    if behind is not None and behind == at.address:
        raise TargetDown(server.name, "its next page is the page itself")


def _page_of(server: FhirServer, bundle: dict[str, Any]) -> dict[str, Any]:
    """A searchset whose entries are resources with a type and an id.

    Errors: TargetDown.
    """
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "searchset":
        raise TargetDown(server.name, "its answer to a search is no searchset")
    entries, links = bundle.get("entry", []), bundle.get("link", [])
    resources = [one["resource"] for one in entries if one.get("resource") is not None]
    told = all(
        isinstance(one, dict) and isinstance(one.get("resourceType"), str) and isinstance(one.get("id"), str)
        for one in resources
        if not (isinstance(one, dict) and one.get("resourceType") == "OperationOutcome")
    )
    if not told or any(one.get("relation") == "next" and not isinstance(one.get("url"), str) for one in links):
        raise TargetDown(server.name, "its answer to a search has resources without type or id, or no next page")
    return bundle


def _resources(bundle: dict[str, Any]) -> list[Resource]:
    entries = (entry.get("resource") for entry in bundle.get("entry", ()))
    return [resource for resource in entries if resource is not None]


def _next(bundle: dict[str, Any]) -> str | None:
    return next((str(link["url"]) for link in bundle.get("link", ()) if link.get("relation") == "next"), None)
