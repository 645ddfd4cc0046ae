"""Histories of a type and of the whole store, page by page, each page as of the moment of the first.

Source: https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import GONE
from gateway.upstream.store.search import PAGE, PAGE_LIMIT
from gateway.upstream.store.values import microseconds
from gateway.upstream.store.versions import Version, history

_STANDING = """SELECT type, id, version, updated, body, key FROM resource
    WHERE type = ? AND since <= ? AND updated >= ? AND (updated, key, version) < (?, ?, ?)
    ORDER BY updated DESC, key DESC LIMIT ?"""
_PAST = """SELECT r.type, r.id, p.version, p.updated, p.body, p.resource
    FROM past p JOIN resource r ON r.key = p.resource
    WHERE p.since <= ? AND p.updated >= ? AND (p.updated, p.resource, p.version) < (?, ?, ?) AND (? OR r.type IN (?, ?))
    ORDER BY p.updated DESC, p.resource DESC, p.version DESC LIMIT ?"""
_NEXT_TYPE = "SELECT min(type) FROM resource WHERE type > ?"
_LAST = 2**62
_FIRST_PAGE = (_LAST, _LAST, _LAST)
_PARTS = 4
_DIGITS = 18

_Place = tuple[int, int, int]
"""Where a version stands in the order: updated, the resource's number, its version."""


@dataclass(frozen=True, slots=True)
class AskedHistory:
    """A request for a history.

    Shape: without `type` of the whole store, without `id` of the whole type; `moment` is None for a first page.
    Units: `since` in microseconds since 1970.
    """

    type: str | None
    id: str | None
    count: int
    since: int
    moment: int | None
    behind: _Place
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions, newest first; `total` where all of them were looked at; `next` is the token of the next page."""

    versions: tuple[Version, ...]
    total: int | None
    next: str | None


def asked_history(type_: str | None, id_: str | None, text: str) -> AskedHistory:
    """What the parameters of a history ask for.

    Errors: Refusal for one that the store does not know, twice the same, or a value that can't be read.
    """
    pairs = parse_qsl(text, keep_blank_values=True)
    given = dict(pairs)
    if len(given) < len(pairs) or (unknown := given.keys() - {"_count", "_since", "_page", "_format"}):
        named = ", ".join(sorted(unknown)) if len(given) == len(pairs) else "one of them twice"
        words = f"a history takes _count and _since here, each once, not {named}"
        raise Refusal(400, "not-supported", words, "_history")
    if given.pop("_format", "json") not in {"json", "application/json", "application/fhir+json"}:
        raise Refusal(406, "not-supported", "the store speaks JSON alone", "_format")
    moment, behind = _position(given["_page"]) if "_page" in given else (None, _FIRST_PAGE)
    rest = tuple((name, value) for name, value in pairs if name in {"_count", "_since"})
    return AskedHistory(type_, id_, _count(given), _since(given), moment, behind, rest)


def read_history(connection: sqlite3.Connection, asked: AskedHistory) -> HistoryPage:
    """One page of a history, all of it read at one moment."""
    connection.execute("BEGIN")
    try:
        if asked.type is not None and asked.id is not None:
            return _of_resource(connection, asked.type, asked.id, asked)
        newest: int = connection.execute("SELECT moment FROM state").fetchone()[0]
        moment = newest if asked.moment is None else min(asked.moment, newest)
        found = sorted(_versions(connection, asked, moment), key=lambda one: one[0], reverse=True)
    finally:
        connection.execute("ROLLBACK")
    shown = found[: asked.count]
    more = _token(moment, shown[-1][0]) if len(found) > len(shown) and shown else None
    return HistoryPage(tuple(version for _, version in shown), None, more)


def _of_resource(connection: sqlite3.Connection, type_: str, id_: str, asked: AskedHistory) -> HistoryPage:
    own = history(connection, type_, id_)
    if not own:
        raise Refusal(404, "not-found", "there is no such resource", f"{type_}/{id_}")
    every = [version for version in own if version.updated >= asked.since]
    rest = [version for version in every if version.version < asked.behind[2]]
    shown = rest[: asked.count]
    more = _token(0, (0, 0, shown[-1].version)) if len(rest) > len(shown) and shown else None
    return HistoryPage(tuple(shown), len(every), more)


def _versions(connection: sqlite3.Connection, asked: AskedHistory, moment: int) -> Iterator[tuple[_Place, Version]]:
    """At least the versions of a page and one more, in no order."""
    window = (moment, asked.since, *asked.behind)
    types = _types(connection) if asked.type is None else iter((asked.type, GONE + asked.type))
    for type_ in types:
        yield from map(_version, connection.execute(_STANDING, (type_, *window, asked.count + 1)))
    of = (asked.type is None, asked.type, f"{GONE}{asked.type}")
    yield from map(_version, connection.execute(_PAST, (*window, *of, asked.count + 1)))


def _version(row: tuple[str, str, int, int, bytes, int]) -> tuple[_Place, Version]:
    type_, id_, number, updated, body, key = row
    return (updated, key, number), Version(type_.removeprefix(GONE), id_, number, updated, body)


def _types(connection: sqlite3.Connection) -> Iterator[str]:
    """The types that there are, deleted ones marked; a `DISTINCT` would walk through every resource."""
    last = ""
    while (found := connection.execute(_NEXT_TYPE, (last,)).fetchone()[0]) is not None:
        last = found
        yield last


def _count(given: Mapping[str, str]) -> int:
    text = given.get("_count", str(PAGE))
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise Refusal(400, "value", "_count is a number of entries", "_count")
    return min(int(text), PAGE_LIMIT)


def _since(given: Mapping[str, str]) -> int:
    if (text := given.get("_since")) is None:
        return 0
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        if moment.tzinfo is not None:
            return microseconds(moment)
    except (ValueError, OverflowError):
        pass
    raise Refusal(400, "value", "_since is an instant, such as 2024-02-13T14:49:32Z", "_since")


def _token(moment: int, place: _Place) -> str:
    return base64.urlsafe_b64encode(".".join(map(str, (moment, *place))).encode()).decode().rstrip("=")


def _position(token: str) -> tuple[int, _Place]:
    try:
        parts = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii").split(".")
    except (ValueError, binascii.Error):
        parts = []
    if len(parts) == _PARTS and all(part.isdigit() and len(part) <= _DIGITS for part in parts):
        moment, updated, key, version = map(int, parts)
        return moment, (updated, key, version)
    raise Refusal(400, "value", "_page is not a token that this store gave out", "_page")
