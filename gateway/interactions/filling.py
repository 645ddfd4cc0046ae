"""One page of what a caller may see, asked of the upstream page by page until it is full; and how much there is in all.

A page that rules judged resource by resource is filled up from the pages behind it, and says that there is a next one
only where something more would be released, so that it tells nothing of what is not. A total counts what is released.
Source: `facade.md` of the design, "Narrow, then check again".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from gateway import query
from gateway.interactions.call import Resource
from gateway.interactions.paging import START, Place
from gateway.interactions.refused import Refused, error
from gateway.interactions.searchsets import NotTaken, Searchset, searchset
from gateway.upstream import FhirServer

MOST_LOOKED = 100_000
"""Resources that are looked through for one page, or for one count, in pages of whatever size. The upstream can't tell
what a caller may see, and a page that ends early with more behind it would tell of what is hidden."""


@dataclass(frozen=True, slots=True)
class Releasing:
    """How a page is judged: what the rules read beside it is fetched, then each resource is released or not.

    Shape: `judged` says that resources may be held back.
    """

    gather: Callable[[Sequence[Resource]], Awaitable[None]]
    release: Callable[[Resource], Resource | None]
    judged: bool

    async def shown(self, page: Searchset) -> list[Resource]:
        """What is released of a page. Errors: TargetDown."""
        await self.gather(page.resources)
        return [seen for resource in page.resources if (seen := self.release(resource)) is not None]


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

    Shape: `asked` carries the page's size; `limit` is the size of the pages that a total is counted by.
    Errors: TargetDown; Refused (400) where the upstream doesn't take the search, or too much is looked through.
    """
    wanted, judged = asked.count or 0, releasing.judged
    found: list[Resource] = []
    following, total, skip = None, None, place.skip
    looked = _Pages(server, asked, place.address, uncounted=judged)
    while (page := await looked.next()) is not None:
        total = page.total
        shown = (await releasing.shown(page))[skip:]
        room = wanted - len(found)
        found += shown[:room]
        if len(shown) > room:
            following = Place(page.address, skip + room)
            break
        following, skip = None if page.behind is None else Place(page.behind), 0
        if len(found) == wanted and not judged:
            break
    if asked.total == "none":
        total = None
    elif following is None and place == START:
        total = len(found)
    elif judged:
        total = await counted(server, asked, releasing, limit=limit) if asked.total == "accurate" else None
    if following is not None:
        following = replace(following, asked=len(urlencode(looked.pairs)))
    return Page(tuple(found), following, total)


async def counted(server: FhirServer, asked: query.Query, releasing: Releasing, *, limit: int) -> int | None:
    """How many resources a caller may see of a search.

    Shape: None where the upstream, which alone counts what is not judged, doesn't say.
    Errors: TargetDown; Refused (400) where the upstream doesn't take the search, or there is more than can be counted.
    """
    if not releasing.judged:
        counting = replace(asked, count=None, sort=(), total=None, summary="count")
        page = await _Pages(server, counting).next()
        return None if page is None else page.total
    total = 0
    async for shown in pages(server, replace(asked, count=limit, sort=(), summary=None), releasing):
        total += len(shown)
    return total


async def pages(server: FhirServer, asked: query.Query, releasing: Releasing) -> AsyncIterator[list[Resource]]:
    """What is released of each page of a search, to its end.

    Errors: TargetDown; Refused (400) where the upstream doesn't take the search, or there is too much to look through.
    """
    looked = _Pages(server, asked, uncounted=True)
    while (page := await looked.next()) is not None:
        yield await releasing.shown(page)


class _Pages:
    """The pages of a search, up to `MOST_LOOKED` resources.

    (No asynchronous generator: most searches have one page, and to make one takes longer than all that it does.)
    """

    __slots__ = ("_asked", "_at", "_last", "_looked", "_server", "pairs")

    def __init__(
        self, server: FhirServer, asked: query.Query, at: str | None = None, *, uncounted: bool = False
    ) -> None:
        """Ask for nothing yet.

        Shape: `at` is the address of the first page, None for that of the search; `uncounted` asks for no total,
        whatever the query wants of one. `pairs` is what is sent.
        """
        self._server = server
        self._asked = asked
        self.pairs = query.render(asked)
        if uncounted:
            self.pairs = [*(pair for pair in self.pairs if pair[0] != "_total"), ("_total", "none")]
        self._at = at
        self._last: Searchset | None = None
        self._looked = 0

    async def next(self) -> Searchset | None:
        """The next page, None behind the last.

        Errors: TargetDown; Refused (400).
        """
        last = self._last
        if last is not None:
            if last.behind is None:
                return None
            self._looked += self._asked.count or len(last.resources)
            if self._looked >= MOST_LOOKED:
                words = f"there is too much {self._asked.type} to see what of it you may see; ask for less"
                raise Refused("unreadable", error("too-costly", words, None, "HTTP-F10"))
            self._at = last.behind
        try:
            self._last = await searchset(self._server, self._asked.type, self.pairs, self._at)
        except NotTaken as fault:
            words = "the FHIR server did not take this search"
            raise Refused("failed", error("processing", words), status=400) from fault
        return self._last
