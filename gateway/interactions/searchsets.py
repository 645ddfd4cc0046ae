"""What a FHIR server finds, page by page: whoever searches goes through its pages here.

A server's answer is believed as far as it is what it should be; else the server counts as down.
Source: https://hl7.org/fhir/R4/http.html#search, #paging
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.interactions.access import loaded
from gateway.interactions.call import Resource
from gateway.upstream import FhirServer, TargetDown

CLIENT_ERROR = 400
OUTCOME = "OperationOutcome"


class NotTaken(Exception):  # noqa: N818 - a server's answer, passed on
    """A server answered a search, or one of its pages, with 4xx."""


@dataclass(frozen=True, slots=True)
class Searchset:
    """One page.

    Shape: `address` is the server's, None for the first page; `behind` that of the next one, None for the last; `total`
    as the server says it.
    """

    address: str | None
    resources: tuple[Resource, ...]
    behind: str | None
    total: int | None


async def searchsets(
    server: FhirServer, resource_type: str, pairs: Sequence[tuple[str, str]], at: str | None = None
) -> AsyncIterator[Searchset]:
    """The pages of a search, from its first or from the one at an address.

    Errors: NotTaken; TargetDown, also for a page that is none.
    """
    while True:
        page = await searchset(server, resource_type, pairs, at)
        yield page
        if page.behind is None:
            return
        at = page.behind


async def searchset(
    server: FhirServer, resource_type: str, pairs: Sequence[tuple[str, str]], at: str | None = None
) -> Searchset:
    """One page of a search: its first, or the one at an address.

    Errors: NotTaken; TargetDown, also for a page that is none.
    """
    answer = await (server.search(resource_type, pairs) if at is None else server.page(at))
    if answer.status >= CLIENT_ERROR:
        raise NotTaken
    return _page(server, loaded(server, answer), at)


def behind(server: FhirServer, bundle: dict[str, Any], at: str | None) -> str | None:
    """Address of the page behind the one at an address, None behind the last.

    Errors: TargetDown for one that is none, and for the page itself: there would be no end.
    """
    for link in bundle.get("link", ()):
        if link.get("relation") == "next":
            url = link.get("url")
            if isinstance(url, str) and url != at:
                return url
            raise TargetDown(server.name, "the next page of its answer is none, or the page itself")
    return None


def _page(server: FhirServer, bundle: dict[str, Any], at: str | None) -> Searchset:
    """A searchset of resources that say what they are. Errors: TargetDown."""
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "searchset":
        raise TargetDown(server.name, "its answer to a search is no searchset")
    resources: list[Resource] = []
    for entry in bundle.get("entry", ()):
        one = entry.get("resource")
        if one is None:
            continue
        if not isinstance(one, dict) or not isinstance(one.get("resourceType"), str):
            raise TargetDown(server.name, "its answer to a search holds what is no resource")
        if one["resourceType"] == OUTCOME:
            continue
        if not isinstance(one.get("id"), str):
            raise TargetDown(server.name, "its answer to a search holds a resource without id")
        resources.append(one)
    total = bundle.get("total")
    return Searchset(at, tuple(resources), behind(server, bundle, at), total if isinstance(total, int) else None)
