"""Answers of the store, put together from the texts that it keeps: no resource is parsed to be sent.

Source: https://hl7.org/fhir/R4/http.html, https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

import functools
import http
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import urlencode

from starlette.responses import Response

from gateway import fhir
from gateway.finding import Finding
from gateway.query import Query, render
from gateway.specs import FhirTables
from gateway.upstream.store.histories import AskedHistory, HistoryPage
from gateway.upstream.store.search import Page
from gateway.upstream.store.versions import Version, Written, instant

MEDIA_TYPE = "application/fhir+json"
_CONTENT_TYPE = (b"content-type", MEDIA_TYPE.encode())
_MICROSECONDS = 1_000_000


def resource(version: Version, base: str, status: int = 200, *, location: bool = False, body: bool = True) -> Response:
    """A version of a resource, with the headers that name it; of a deletion the headers alone."""
    modified = format_datetime(datetime.fromtimestamp(version.updated // _MICROSECONDS, UTC), usegmt=True)
    headers = {"ETag": version.etag, "Last-Modified": modified}
    if location:
        headers["Location"] = f"{base}/{version.type}/{version.id}/_history/{version.version}"
    return Response(version.body if body else b"", status, headers, MEDIA_TYPE)


def unchanged(version: Version, headers: Mapping[str, str]) -> Response | None:
    """The answer to a client that has this version already; None where it has not, or does not say.

    Source: https://hl7.org/fhir/R4/http.html#cread, RFC 9110 13.2.2: a tag goes before a time.
    """
    known, since = headers.get("if-none-match"), headers.get("if-modified-since")
    if known is not None:
        tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        same = "*" in tags or version.etag.removeprefix("W/") in tags
    elif since is not None:
        try:
            same = version.updated // _MICROSECONDS <= parsedate_to_datetime(since).timestamp()
        except (ValueError, OverflowError):  # what can't be read is ignored, as RFC 9110 has it
            same = False
    else:
        same = False
    return resource(version, "", 304, body=False) if same else None


def json_answer(body: bytes, status: int = 200) -> Response:
    """A body made by one of the functions below."""
    return Response(body, status, media_type=MEDIA_TYPE)


def outcome(findings: Sequence[Finding], now: datetime) -> bytes:
    """An OperationOutcome."""
    told = fhir.operation_outcome(findings, id=str(uuid.uuid4()), last_updated=now.isoformat(timespec="milliseconds"))
    return fhir.dump(told)


def searchset(query: Query, page: Page, base: str, tables: FhirTables, now: datetime) -> bytes:
    """A page of search results, and what comes with them, with links to itself and the next one."""
    pairs = render(query)
    links = [("self", pairs)]
    if page.next is not None:
        links.append(("next", [*((name, value) for name, value in pairs if name != "_page"), ("_page", page.next)]))
    elements = _elements(tables)
    entries = [
        b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}'
        % (f"{base}/{version.type}/{version.id}".encode(), part(version, query, elements, mode), mode.encode())
        for mode, versions in (("match", page.found), ("include", page.included))
        for version in versions
    ]
    if not page.whole:
        words = "not all that was to be included is here: ask for smaller pages with _count, or include less"
        left_out = Finding("warning", "too-costly", words, "_include", "STORE-INCLUDE")
        entries.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome((left_out,), now))
    shown = [
        {"relation": relation, "url": f"{base}/{query.type}{'?' if found else ''}{urlencode(found)}"}
        for relation, found in links
    ]
    return _bundle("searchset", entries, {"total": page.total, "link": shown})


def part(version: Version, query: Query, elements: fhir.Elements, mode: str = "match") -> bytes:
    """What a search wants of a resource: its text as it is stored, or `_summary` and `_elements` of it.

    Shape: `_elements` names those of the type that is searched; what is included comes with all of its own.
    """
    match query.summary:
        case "true" | "text" | "data" as kind:
            return fhir.dump(fhir.summary(fhir.load(version.body), kind, elements))
        case _:
            if not query.elements or mode != "match":
                return version.body
            return fhir.dump(fhir.elements_of(fhir.load(version.body), query.elements, elements))


@functools.cache
def _elements(tables: FhirTables) -> fhir.Elements:
    return fhir.Elements(tables)


def history(asked: AskedHistory, page: HistoryPage, base: str) -> bytes:
    """A page of a history, newest first, with links to itself and the next one."""
    path = "/".join(part for part in (base, asked.type, asked.id, "_history") if part is not None)
    links = [("self", asked.pairs)]
    if page.next is not None:
        links.append(("next", (*asked.pairs, ("_page", page.next))))
    shown = [
        {"relation": relation, "url": f"{path}{'?' if pairs else ''}{urlencode(pairs)}"} for relation, pairs in links
    ]
    entries = [_past(version, base) for version in page.versions]
    return _bundle("history", entries, {"total": page.total, "link": shown})


def _past(version: Version, base: str) -> bytes:
    name = f"{version.type}/{version.id}"
    resource_ = b"" if version.deleted else b'"resource":%b,' % version.body
    method, status = (b"DELETE", 204) if version.deleted else (b"PUT", 201 if version.version == 1 else 200)
    return b'{"fullUrl":"%b",%b"request":{"method":"%b","url":"%b"},%b}' % (
        f"{base}/{name}".encode(),
        resource_,
        method,
        name.encode(),
        _response(status, version, located=False),
    )


def responses(kind: str, entries: Sequence[bytes]) -> bytes:
    """The answer to a Bundle. Shape: `kind` is `transaction-response` or `batch-response`."""
    return _bundle(kind, entries, {})


def written(done: Written, *, body: bool) -> bytes:
    """The entry that answers a write."""
    version = done.version
    if version is None:
        return b'{"response":{"status":"%b"}}' % _status(done.status)
    response = _response(done.status, version, located=not version.deleted)
    return b'{"resource":%b,%b}' % (version.body, response) if body and not version.deleted else b"{%b}" % response


def read(version: Version) -> bytes:
    """The entry that answers a read."""
    return b'{"resource":%b,%b}' % (version.body, _response(200, version, located=False))


def found(bundle: bytes) -> bytes:
    """The entry that answers a search or a history."""
    return b'{"resource":%b,"response":{"status":"%b"}}' % (bundle, _status(200))


def refused(status: int, outcome_: bytes) -> bytes:
    """The entry that answers what was refused."""
    return b'{"response":{"status":"%b","outcome":%b}}' % (_status(status), outcome_)


def _response(status: int, version: Version, *, located: bool) -> bytes:
    location = f'"location":"{version.type}/{version.id}/_history/{version.version}",' if located else ""
    return b'"response":{"status":"%b",%b"etag":"W/\\"%d\\"","lastModified":"%b"}' % (
        _status(status),
        location.encode(),
        version.version,
        instant(version.updated).encode(),
    )


def _status(status: int) -> bytes:
    return f"{status} {http.HTTPStatus(status).phrase}".encode()


def _bundle(kind: str, entries: Sequence[bytes], members: dict[str, object]) -> bytes:
    given = {name: value for name, value in members.items() if value is not None}
    start = json.dumps({"resourceType": "Bundle", "type": kind, **given}, separators=(",", ":")).encode()
    # an empty array is not valid in FHIR
    return start if not entries else b'%b,"entry":[%b]}' % (start[:-1], b",".join(entries))
