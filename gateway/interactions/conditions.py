"""Conditional requests: what a client says that it has, or that must stand.

Source: RFC 9110 section 13; https://hl7.org/fhir/R4/http.html#concurrency, #cond-update, #ccreate
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

from starlette.datastructures import Headers

from gateway.interactions.headers import once
from gateway.interactions.refused import Refused, error

ANY: Final = "*"
_TAGS = re.compile(r'\s*(?:W/)?"(?P<tag>[^"]*)"\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions of one request, None where one was not sent.

    Shape: `if_match` and `if_none_match` are the tags without `W/` and quotes, which are versions' ids, or `*`;
    `if_none_exist` a search; `if_modified_since` an aware moment.
    """

    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] | None = None
    if_none_exist: str | None = None
    if_modified_since: datetime | None = None


NONE = Conditions()


def of_headers(headers: Headers) -> Conditions:
    """Conditions of a request.

    Errors: Refused (400) for a header sent twice, and a tag that is none; a date that is none counts as not sent.
    """
    sent: dict[str, str | None] = {}
    for name in ("if-match", "if-none-match", "if-none-exist", "if-modified-since"):
        sent[name], fault = once(headers, name)
        if fault is not None:
            raise Refused("unreadable", fault)
    return Conditions(
        _tags("If-Match", sent["if-match"]),
        _tags("If-None-Match", sent["if-none-match"]),
        sent["if-none-exist"],
        _date(sent["if-modified-since"]),
    )


def of_entry(request: Mapping[str, Any]) -> Conditions:
    """Conditions of an entry of a Bundle. Errors: Refused (400) as for headers.

    Source: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request
    """
    sent = {name: request.get(name) for name in ("ifMatch", "ifNoneMatch", "ifNoneExist", "ifModifiedSince")}
    for name, value in sent.items():
        if value is not None and not isinstance(value, str):
            raise Refused("unreadable", error("structure", f"{name} is a text", name, "HTTP-W01"))
    since = sent["ifModifiedSince"]
    return Conditions(
        _tags("ifMatch", sent["ifMatch"]),
        _tags("ifNoneMatch", sent["ifNoneMatch"]),
        sent["ifNoneExist"],
        None if since is None else _instant(since),
    )


def _tags(name: str, text: str | None) -> frozenset[str] | None:
    if text is None or (not text.strip() and name in {"If-None-Match", "ifNoneMatch"}):
        return None
    if text.strip() == ANY:
        return frozenset({ANY})
    found: list[str] = []
    at = 0
    while at < len(text) or not found:  # an empty If-Match is a variable that nobody filled, not leave to overwrite
        tag = _TAGS.match(text, at)
        if tag is None or tag["tag"] == ANY:
            words = f'{name} takes the ETag of a version, such as W/"3", or *'
            raise Refused("unreadable", error("value", words, name, "HTTP-W02"))
        found.append(tag["tag"])
        at = tag.end()
    return frozenset(found)


def _date(text: str | None) -> datetime | None:
    """An HTTP date; one that can't be read is left out, as HTTP has it. Source: RFC 9110 section 13.1.3."""
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def http_date(instant: str) -> str | None:
    """A FHIR instant as an HTTP date; None for a text that is none."""
    moment = _instant(instant)
    return None if moment is None else format_datetime(moment.astimezone(UTC), usegmt=True)


def version_of(etag: str) -> str:
    """A tag as it stands in a header, without `W/` and quotes."""
    return etag.removeprefix("W/").strip('"')


def unchanged(conditions: Conditions, headers: Mapping[str, str]) -> bool:
    """Whether the client has the version that these headers of an answer name.

    Shape: `headers` by name in lower case.
    Source: RFC 9110 section 13.2.2: If-None-Match, and without it If-Modified-Since.
    """
    if conditions.if_none_match is not None:
        tag = headers.get("etag")
        return tag is not None and bool(conditions.if_none_match & {version_of(tag), ANY})
    modified = _date(headers.get("last-modified"))
    since = conditions.if_modified_since
    return modified is not None and since is not None and modified <= since
