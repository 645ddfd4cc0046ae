"""The store without HTTP: reads, searches, and writes that take effect together or not at all."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from gateway import fhir
from gateway.query import Query
from gateway.specs import FhirTables
from gateway.upstream import wire
from gateway.upstream.asker import ASKER
from gateway.upstream.store import versions
from gateway.upstream.store.histories import AskedHistory, HistoryPage, read_history
from gateway.upstream.store.patching import Edit
from gateway.upstream.store.readers import Readers
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.reindex import reindex
from gateway.upstream.store.schema import open_reader, open_writer, parameters
from gateway.upstream.store.search import Page, Searching, is_long, search
from gateway.upstream.store.values import microseconds
from gateway.upstream.store.versions import Draft, Version, Versions, Written
from gateway.upstream.store.writer import Writer

T = TypeVar("T")

_BUDGET = 50
_STRIDE = 1000
"""A search may take so many times so many steps of SQLite's machine in the event loop, which is a few milliseconds;
then a thread takes over."""
LONGEST = 60.0
"""How long a search may take in all. Units: seconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write of a transaction.

    Shape: `id` is where it goes; else `criteria` finds the one resource it is for (PUT, PATCH, DELETE), or that makes
    it needless (POST); else it is new. `full_url` is what other entries call it. With `only_new` no resource may stand
    there. A DELETE has an empty draft, a PATCH too: `edit` makes the new resource of the one that stands then.
    """

    method: str
    draft: Draft
    id: str | None = None
    criteria: Query | None = None
    if_match: str | None = None
    full_url: str | None = None
    only_new: bool = False
    edit: Edit | None = None


class _Budget:
    """Counts a search's steps; SQLite stops the search when the call says true."""

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0

    def __call__(self) -> bool:
        self.spent += 1
        return self.spent > _BUDGET


class Store:
    """One database file. Opened and closed in the event loop that uses it."""

    def __init__(self, path: Path, tables: FhirTables, clock: Callable[[], datetime]) -> None:
        """Open the file.

        Errors: StoreError.
        """
        self.tables = tables
        self._path = path
        self._clock = clock
        connection = open_writer(path, tables)
        reindex(connection, tables)
        self._parameters = parameters(connection)
        self.versions = Versions(connection, tables, clock)
        self._writer = Writer(
            connection, before=self.versions.begin, after=self.versions.end, undone=self.versions.undone
        )
        self._reader = open_reader(path)
        self._readers = Readers(path)

    async def aclose(self) -> None:
        """Finish what is being written and close the file."""
        await self._writer.aclose()
        await self._readers.aclose()
        self._reader.close()

    def standing(self, type_: str, id_: str) -> Version | None:
        """The version of a resource that stands, maybe a deletion."""
        return versions.standing(self._reader, type_, id_)

    def standing_many(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Version]:
        """The versions that stand under many names; those that there aren't are left out."""
        return versions.standing_many(self._reader, names)

    def version(self, type_: str, id_: str, number: int) -> Version | None:
        """One version of a resource, maybe a deletion."""
        return versions.version(self._reader, type_, id_, number)

    async def history(self, asked: AskedHistory) -> HistoryPage:
        """A page of a history.

        Errors: Refusal where there is no such resource.
        """
        if asked.id is not None:
            return read_history(self._reader, asked)
        return await self._aside(lambda connection: read_history(connection, asked))

    async def search(self, query: Query, base: str) -> Page:
        """One page of a search. Shape: `base` is the address that absolute references to this store begin with.

        Errors: Refusal.
        """
        searching = self._searching(base)
        if not is_long(query):
            self._reader.set_progress_handler(_Budget(), _STRIDE)
            try:
                return search(self._reader, searching, query)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise
            finally:
                self._reader.set_progress_handler(None, 0)
        return await self._aside(lambda connection: search(connection, searching, query))

    async def _aside(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read beside the event loop.

        Errors: Refusal, also for what takes too long.
        """
        try:
            async with asyncio.timeout(LONGEST):
                return await self._readers.run(work, ASKER.get())
        except TimeoutError as error:
            raise Refusal(503, "too-costly", "this search takes too long: ask for less") from error

    def _searching(self, base: str) -> Searching:
        return Searching(self.tables, self._parameters, microseconds(self._clock()), base)

    async def write(self, changes: Sequence[Change], base: str) -> list[Written]:
        """Carry out all changes or none; on the disk when it returns.

        Errors: Refusal, Unwritable.
        """
        return await self._writer.submit(lambda: self._apply(changes, base))

    def hand_over(self, changes: Sequence[Change], base: str) -> asyncio.Future[list[Written]]:
        """The same for whoever waits for many at once."""
        return self._writer.hand_over(lambda: self._apply(changes, base))

    def _apply(self, changes: Sequence[Change], base: str) -> list[Written]:
        self.versions.tick()
        placed = [self._placed(change, base) for change in changes]
        where = [(change.draft.type, id_) for change, (id_, _) in zip(changes, placed, strict=True)]
        if len(set(where)) < len(where):
            twice = next(place for place in where if where.count(place) > 1)
            raise Refusal(400, "invalid", "a transaction writes a resource once only", "/".join(twice))
        links = {
            change.full_url: f"{type_}/{id_}"
            for change, (type_, id_) in zip(changes, where, strict=True)
            if change.full_url is not None and change.full_url.startswith("urn:")
        }
        # all that may refuse comes before the first write: what is refused then needs no undoing
        standing = self.versions.standing(where)
        replaced = [_replaced(change, place, standing.get(place)) for change, place in zip(changes, where, strict=True)]
        drafts = [
            change.draft if change.edit is None else self._edited(change.edit, "/".join(place), old)
            for change, place, old in zip(changes, where, replaced, strict=True)
        ]
        written = []
        for change, draft, (id_, found), old in zip(changes, drafts, placed, replaced, strict=True):
            if found is not None:
                written.append(Written(200, found, changed=False))
            elif change.method == "DELETE":
                written.append(self.versions.delete(old))
            else:
                written.append(self.versions.write(self._linked(draft, links) if links else draft, id_, old))
        self.versions.create()
        return written

    def _placed(self, change: Change, base: str) -> tuple[str, Version | None]:
        """The id a change goes to, and the version that makes it needless (`If-None-Exist`)."""
        if change.id is not None:
            return change.id, None
        own = change.draft.resource.get("id") if change.method == "PUT" else None
        if change.criteria is None:
            return str(uuid.uuid4()), None
        self.versions.flush()
        page = search(self.versions.connection, self._searching(base), replace(change.criteria, count=2, total="none"))
        if len(page.found) > 1:
            raise Refusal(412, "multiple-matches", "several resources fit the condition", change.draft.type)
        if not page.found and change.method == "PATCH":
            raise Refusal(404, "not-found", "no resource fits the condition", change.draft.type)
        if not page.found:
            return own or str(uuid.uuid4()), None
        match = page.found[0]
        if change.method == "POST":
            return match.id, match
        if own is not None and own != match.id:
            raise Refusal(400, "invalid", "the resource that fits the condition has another id", f"{match.type}.id")
        return match.id, None

    def _edited(self, edit: Edit, place: str, old: tuple[int, Version] | None) -> Draft:
        """What a PATCH makes of the resource that stands.

        Errors: Refusal, also where none stands.
        """
        if old is None or old[1].deleted:
            raise Refusal(404, "not-found", "there is no such resource", place)
        resource = edit(wire.loads(old[1].body))
        raw = fhir.dump(resource)
        return self.versions.draft(old[1].type, resource, raw, 0, len(raw))

    def _linked(self, draft: Draft, links: Mapping[str, str]) -> Draft:
        """A draft with references to other entries of its transaction in their final form."""
        resource = _with_links(draft.resource, links)
        if resource == draft.resource:
            return draft
        raw = fhir.dump(resource)
        return self.versions.draft(draft.type, resource, raw, 0, len(raw))


def _replaced(change: Change, place: tuple[str, str], old: tuple[int, Version] | None) -> tuple[int, Version] | None:
    """What stands where a change goes: its number and version, maybe a deletion.

    Errors: Refusal where it is not what the change asks for.
    """
    if_match, stands = change.if_match, None if old is None or old[1].deleted else old[1]
    if if_match is not None and (stands is None or if_match != stands.etag):
        held = f"version {stands.version} stands" if stands else "there is no such resource"
        raise Refusal(412, "conflict", f"If-Match asks for {if_match}: {held}", "/".join(place))
    if change.only_new and stands is not None:
        words = f"If-None-Match asks for none: version {stands.version} stands"
        raise Refusal(412, "conflict", words, "/".join(place))
    return old


def _with_links(value: Any, links: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: links.get(item, item) if key == "reference" and isinstance(item, str) else _with_links(item, links)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_links(item, links) for item in value]
    return value
