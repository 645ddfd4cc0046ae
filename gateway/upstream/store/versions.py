"""Versions of resources: what stands, what was, and how a new one is written.

Everything here runs on a connection that the caller holds: `Versions` on the writer's, the functions on any.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.specs import FhirTables
from gateway.upstream import wire
from gateway.upstream.store import splice
from gateway.upstream.store.extraction import Extractor, Rows, compile_type
from gateway.upstream.store.schema import COLUMNS, GONE, parameters
from gateway.upstream.store.values import Row, microseconds

_STANDING = "SELECT key, id, version, updated, body FROM resource WHERE type IN (?, ?) AND id = ?"
_CREATE = "INSERT INTO resource (key, type, id, version, since, updated, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
_AT_ONCE = 500
_MOST_KEPT = 20_000
"""So many index rows are kept at the end of a work: a group of large ones must not take all memory."""
_MANY = " FROM wanted CROSS JOIN resource ON resource.type = wanted.type AND resource.id = wanted.id"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a resource as it is stored.

    Shape: a deletion is a version without a body.
    Units: `updated` in microseconds since 1970, whole milliseconds.
    """

    type: str
    id: str
    version: int
    updated: int
    body: bytes

    @property
    def etag(self) -> str:
        """Weak entity tag. Source: https://hl7.org/fhir/R4/http.html#versioning."""
        return f'W/"{self.version}"'

    @property
    def deleted(self) -> bool:
        """Whether this version is that the resource is no more."""
        return not self.body


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource that is to be written, with all that can be made ready before the database is taken.

    Shape: `content` is the text without the server's own part, as `splice.content` gives it; `rough` says that decimals
    of `resource` are floats, good for the index alone (`wire.roughly`).
    """

    type: str
    resource: Mapping[str, Any]
    content: bytes
    rough: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a change.

    Shape: `status` 201 created, 200 updated or the same as before, 204 deleted; no version where nothing was there to
    delete. `changed` says whether it is a new version.
    """

    status: int
    version: Version | None
    changed: bool = True


@functools.lru_cache(maxsize=1024)
def instant(updated: int) -> str:
    """An instant with milliseconds. Units: microseconds since 1970."""
    moment = datetime.fromtimestamp(updated // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{updated // 1000 % 1000:03d}Z"


def standing(connection: sqlite3.Connection, type_: str, id_: str) -> Version | None:
    """The version that stands, maybe a deletion."""
    row = connection.execute(_STANDING, (type_, GONE + type_, id_)).fetchone()
    return None if row is None else Version(type_, *row[1:])


def standing_many(connection: sqlite3.Connection, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Version]:
    """The versions that stand under many names, by few statements: each costs a turn of the interpreter's lock."""
    rows = _looked_up(connection, "wanted.type, wanted.id, version, updated, body", names)
    return {(row[0], row[1]): Version(*row) for row in rows}


def _looked_up(connection: sqlite3.Connection, columns: str, names: Sequence[tuple[str, str]]) -> Iterator[Any]:
    """Rows of those that are there. Shape: a type is one of a deletion where `GONE` stands before it."""
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        wanted = f"WITH wanted (type, id) AS (VALUES {','.join(['(?,?)'] * len(some))})"
        yield from connection.execute(
            f"{wanted} SELECT {columns}{_MANY}",
            [part for name in some for part in name],
        )


def history(connection: sqlite3.Connection, type_: str, id_: str) -> list[Version]:
    """All versions, newest first."""
    row = connection.execute(_STANDING, (type_, GONE + type_, id_)).fetchone()
    if row is None:
        return []
    past = connection.execute(
        "SELECT version, updated, body FROM past WHERE resource = ? ORDER BY version DESC", row[:1]
    )
    return [Version(type_, *row[1:]), *(Version(type_, id_, *older) for older in past)]


def version(connection: sqlite3.Connection, type_: str, id_: str, number: int) -> Version | None:
    """One version by its number, maybe a deletion."""
    row = connection.execute(_STANDING, (type_, GONE + type_, id_)).fetchone()
    if row is None or row[2] == number:
        return None if row is None else Version(type_, *row[1:])
    past = connection.execute(
        "SELECT version, updated, body FROM past WHERE resource = ? AND version = ?", (row[0], number)
    ).fetchone()
    return None if past is None else Version(type_, id_, *past)


class Names(dict[str, int]):
    """Numbers of systems: read when first asked for, made where there is none yet."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Start empty, but for the empty name, which is 0."""
        super().__init__({"": 0})
        self._connection = connection

    def __missing__(self, text: str) -> int:
        """The number of a name that was not asked for yet."""
        self._connection.execute("INSERT OR IGNORE INTO name (text) VALUES (?)", (text,))
        number: int = self._connection.execute("SELECT id FROM name WHERE text = ?", (text,)).fetchone()[0]
        self[text] = number
        return number


class Versions:
    """Writes versions and their index rows on the writer's connection.

    Shape: a group of works is `begin`, for each work `tick`, any number of `write` and `create`, then `end`; `undone`
    takes back what the last work kept, or all, before a rollback. Whoever searches in between calls `flush` before.
    """

    def __init__(self, connection: sqlite3.Connection, tables: FhirTables, clock: Callable[[], datetime]) -> None:
        """Make the statements that every write uses."""
        self._connection = connection
        self._tables = tables
        self._clock = clock
        self._parameters = parameters(connection)
        self._extractors: dict[str, Extractor] = {}
        self._names = Names(connection)
        self._kept: dict[str, list[Row]] = {table: [] for table in COLUMNS}
        self._created: list[tuple[int, str, str, int, int, int, bytes]] = []
        self._before: dict[str, int] = {}
        self._last = 0
        self._moment = 0
        self._updated = 0
        self._inserts = {table: _insert_of(table, columns) for table, columns in COLUMNS.items()}
        self._ends = {table: _end_of(table, columns) for table, columns in COLUMNS.items()}

    def extractor(self, type_: str) -> Extractor:
        """The compiled search parameters of a type."""
        found = self._extractors.get(type_)
        if found is None:
            found = self._extractors[type_] = compile_type(type_, self._parameters, self._tables)
        return found

    def draft(
        self, type_: str, resource: Mapping[str, Any], raw: bytes, start: int, end: int, *, rough: bool = False
    ) -> Draft:
        """A resource made ready. Shape: `raw[start:end]` is the text that `resource` was read from."""
        own = ("resourceType" in resource) + ("id" in resource) + ("meta" in resource)
        return Draft(type_, resource, splice.content(raw, start, end, own), rough)

    def begin(self) -> None:
        """Take up the moment, the clock and the last number where the last writer, maybe of another process, left them.

        What was kept of a group before is forgotten: it was rolled back.
        """
        state = self._connection.execute("SELECT moment, updated, (SELECT max(key) FROM resource) FROM state")
        self._moment, self._updated, last = state.fetchone()
        self._last = last or 0
        self._created.clear()
        for kept in self._kept.values():
            kept.clear()

    def tick(self) -> None:
        """Begin a work: its writes share a moment and a time."""
        self._before = {table: len(kept) for table, kept in self._kept.items()}
        self._moment += 1
        # a clock that was set back must not make a newer version look older
        self._updated = max(self._updated, microseconds(self._clock()) // 1000 * 1000)

    def end(self) -> None:
        """Write all that is kept, moment and clock too."""
        self.flush()
        self._connection.execute("UPDATE state SET moment = ?, updated = ?", (self._moment, self._updated))

    def undone(self) -> None:
        """Forget what the last work kept, and what a rollback may take back."""
        self._names = Names(self._connection)
        self._last -= len(self._created)
        self._created.clear()
        for table, kept in self._kept.items():
            del kept[self._before[table] :]

    @property
    def connection(self) -> sqlite3.Connection:
        """The writer's connection, for searches that decide what is written."""
        return self._connection

    def standing(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, Version]]:
        """Numbers and standing versions of the resources that there are under some names, deletions too."""
        wanted = [*names, *((GONE + type_, id_) for type_, id_ in names)]
        rows = _looked_up(self._connection, "wanted.type, wanted.id, key, version, updated, body", wanted)
        return {
            (type_.removeprefix(GONE), id_): (key, Version(type_.removeprefix(GONE), id_, *rest))
            for type_, id_, key, *rest in rows
        }

    def write(self, draft: Draft, id_: str, replaced: tuple[int, Version] | None) -> Written:
        """Make a draft the standing version under an id; the same content as before makes no new version."""
        if replaced is None:
            return Written(201, self._create(draft, id_))
        key, old = replaced
        if old.deleted:
            return Written(201, self._update(key, old, {}, draft))
        written = splice.head(draft.type, id_, old.version, instant(old.updated))
        if old.body[len(written) :] == draft.content:
            return Written(200, old, changed=False)
        before = wire.loads(old.body)
        told = wire.loads(written + draft.content) if draft.rough else {**draft.resource, "id": id_}
        if _same(_told(before), _told(told)):
            return Written(200, old, changed=False)
        return Written(200, self._update(key, old, before, draft))

    def delete(self, replaced: tuple[int, Version] | None) -> Written:
        """End what stands; nothing where nothing does. Its index rows hold until now."""
        if replaced is None:
            return Written(204, None, changed=False)
        key, old = replaced
        if old.deleted:
            return Written(204, old, changed=False)
        new = Version(old.type, old.id, old.version + 1, self._updated, b"")
        self._supersede(key, new)
        self._index(key, self.extractor(old.type).rows(wire.loads(old.body)), {})
        return Written(204, new)

    def _create(self, draft: Draft, id_: str) -> Version:
        new = self._version(draft, id_, 1)
        self._last += 1
        self._created.append((self._last, new.type, new.id, new.version, self._moment, new.updated, new.body))
        self._insert(self.extractor(draft.type).rows(draft.resource), self._last)
        return new

    def _update(self, key: int, old: Version, before: Mapping[str, Any], draft: Draft) -> Version:
        new = self._version(draft, old.id, old.version + 1)
        self._supersede(key, new)
        extractor = self.extractor(old.type)
        self._index(key, extractor.rows(before), extractor.rows(draft.resource))
        return new

    def _supersede(self, key: int, new: Version) -> None:
        """Make a version the standing one, what stood a past one."""
        execute = self._connection.execute
        execute(
            "INSERT INTO past (resource, version, since, until, updated, body) "
            "SELECT key, version, since, ?, updated, body FROM resource WHERE key = ?",
            (self._moment, key),
        )
        execute(
            "UPDATE resource SET type = ?, version = ?, since = ?, updated = ?, body = ? WHERE key = ?",
            (GONE + new.type if new.deleted else new.type, new.version, self._moment, new.updated, new.body, key),
        )

    def _index(self, key: int, before: Rows, now: Rows) -> None:
        """End the index rows that hold no more and keep those that hold from now on."""
        none: set[Row] = set()
        for table in before.keys() | now.keys():
            was, is_ = before.get(table, none), now.get(table, none)
            ended = [(self._moment, *row, key) for row in self._numbered(table, was - is_)]
            if ended:
                self.flush()  # they may be of this group
                self._connection.executemany(self._ends[table], ended)
            self._insert({table: is_ - was}, key)

    def _version(self, draft: Draft, id_: str, number: int) -> Version:
        body = splice.head(draft.type, id_, number, instant(self._updated)) + draft.content
        return Version(draft.type, id_, number, self._updated, body)

    def _insert(self, rows: Rows, key: int) -> None:
        """Keep rows until `flush`: one statement for a whole group costs less than one for each resource."""
        moment = self._moment
        for table, found in rows.items():
            self._kept[table].extend([(*row, key, moment) for row in self._numbered(table, found)])

    def create(self) -> None:
        """Write the new resources that are kept, at the end of a work: those after it may write them again."""
        if self._created:
            self._connection.executemany(_CREATE, self._created)
            self._created.clear()
        if sum(map(len, self._kept.values())) > _MOST_KEPT:
            self.flush()

    def flush(self) -> None:
        """Write the index rows that are kept."""
        for table, kept in self._kept.items():
            if kept:
                self._connection.executemany(self._inserts[table], kept)
                kept.clear()

    def _numbered(self, table: str, rows: Iterable[Row]) -> Iterable[Row]:
        return numbered(self._names, table, rows)


def numbered(names: Names, table: str, rows: Iterable[Row]) -> Iterable[Row]:
    """Index rows with the number of their system in place of its name."""
    if table == "token":
        return [(parameter, code, names[system], part) for parameter, code, system, part in rows]
    if table == "quantity":
        return [(p, low, high, names[system], code, unit, part) for p, low, high, system, code, unit, part in rows]
    return rows


def _insert_of(table: str, columns: tuple[str, ...]) -> str:
    return f'INSERT INTO "{table}" VALUES ({", ".join("?" * (len(columns) + 3))}, NULL)'  # noqa: S608 - the schema's names


def _end_of(table: str, columns: tuple[str, ...]) -> str:
    values = " AND ".join(f"{column.split()[0]} = ?" for column in columns)
    place = f"WHERE parameter = ? AND {values} AND resource = ? AND until IS NULL"
    return f'UPDATE "{table}" SET until = ? {place}'  # noqa: S608 - the schema's names


def _told(resource: Mapping[str, Any]) -> dict[str, Any]:
    """A resource without what the server sets."""
    meta = {key: value for key, value in resource.get("meta", {}).items() if key not in {"versionId", "lastUpdated"}}
    return {**resource, "meta": meta}


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values say the same; 72.50 and 72.5 don't: a decimal's precision is part of what it says."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(_same, one, other))
        case _:
            return type(one) is type(other) and str(one) == str(other)
