"""Bundles that the gateway writes.

Source: https://hl7.org/fhir/R4/bundle.html, https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from gateway.fhir.jsonformat import Resource

Mode = Literal["match", "include", "outcome"]


def searchset(
    entries: Iterable[tuple[str, Resource, Mode]],
    *,
    links: Mapping[str, str],
    total: int | None = None,
    id: str | None = None,  # noqa: A002  the element's name
    last_updated: str | None = None,
) -> Resource:
    """A page of search results.

    Shape: each entry is its full URL, the resource, and why it is there; `links` by relation (`self`, `next`); `total`
    counts the matches on all pages and is left out where it isn't known.
    """
    bundle: Resource = {"resourceType": "Bundle"}
    if id is not None:
        bundle["id"] = id
    if last_updated is not None:
        bundle["meta"] = {"lastUpdated": last_updated}
    bundle["type"] = "searchset"
    if total is not None:
        bundle["total"] = total
    if links:
        bundle["link"] = [{"relation": relation, "url": url} for relation, url in links.items()]
    found = [{"fullUrl": url, "resource": resource, "search": {"mode": mode}} for url, resource, mode in entries]
    if found:
        # an empty list is no valid JSON of FHIR
        bundle["entry"] = found
    return bundle


def transaction(entries: Sequence[Resource]) -> Resource:
    """A transaction Bundle: all entries take effect or none."""
    return _request("transaction", entries)


def batch(entries: Sequence[Resource]) -> Resource:
    """A batch Bundle: each entry stands alone."""
    return _request("batch", entries)


def entry_put(resource: Resource, if_match: str | None = None, *, only_new: bool = False) -> Resource:
    """An entry that writes a resource under its own id.

    Shape: `if_match` is the version id that must stand (`3`, sent as `W/"3"`), None for any or none; with `only_new`
    none may stand (a server that doesn't know `ifNoneMatch` for PUT writes all the same).
    """
    request = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    if if_match is not None:
        request["ifMatch"] = f'W/"{if_match}"'
    if only_new:
        request["ifNoneMatch"] = "*"
    return {"resource": resource, "request": request}


def entry_delete(name: str, if_match: str | None = None) -> Resource:
    """An entry that deletes: `Flag/1`. Shape: `if_match` as in `entry_put`."""
    request = {"method": "DELETE", "url": name}
    if if_match is not None:
        request["ifMatch"] = f'W/"{if_match}"'
    return {"request": request}


def entry_get(url: str) -> Resource:
    """An entry that reads: `Patient/9990000018`."""
    return {"request": {"method": "GET", "url": url}}


def _request(kind: str, entries: Sequence[Resource]) -> Resource:
    bundle: Resource = {"resourceType": "Bundle", "type": kind}
    if entries:
        bundle["entry"] = list(entries)
    return bundle
