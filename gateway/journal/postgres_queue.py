"""The queue on PostgreSQL: what waits, what is due, how an attempt went; and turns, which gateways take of each other.

What is queued under one order key is changed by one gateway at a time (an advisory lock until the commit), so that
exactly the first of it is due.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from gateway.journal.model import FURTHEST, Attempt, NotInHand, Queued, TargetState, instant, shown
from gateway.journal.postgres_schema import Connection
from gateway.journal.postgres_texts import key_of, plain

_LOCK = "SELECT pg_advisory_xact_lock(place) FROM unnest($1::bigint[]) AS place"
_ENTER = """INSERT INTO delivery
        (submission, target, state, payload, order_key, deadline, why, attempts, since, next_at)
    SELECT submission, target, state, payload, order_key, deadline, why, attempts, since,
        CASE WHEN first AND NOT EXISTS (
            SELECT FROM delivery AS earlier WHERE earlier.target = asked.target AND earlier.order_key = asked.order_key
                AND earlier.state = 'queued') THEN since END
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bigint[], $7::text[], $8::bigint[],
        $9::bigint[], $10::boolean[]) WITH ORDINALITY
        AS asked (submission, target, state, payload, order_key, deadline, why, attempts, since, first, n) ORDER BY n"""
_WAITING = """SELECT DISTINCT target, order_key FROM delivery
    JOIN unnest($1::text[], $2::text[]) AS asked (target, order_key) USING (target, order_key)
    WHERE state = 'queued'"""
_TAKE = """WITH first AS (
        SELECT id FROM delivery
        WHERE next_at {when} $1 AND (holder IS NULL OR holder = $2) AND target <> ALL ($3::text[])
        ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED),
    taken AS (
        UPDATE delivery SET holder = $2 FROM first WHERE delivery.id = first.id
        RETURNING delivery.id, submission, target, payload, order_key, attempts, deadline)
    SELECT taken.id, receipt, target, coalesce(payload, body), order_key, attempts, deadline
    FROM taken JOIN submission ON submission.id = taken.submission"""
_DUE, _DUE_BY_ANOTHER_CLOCK = _TAKE.format(when="<="), _TAKE.format(when=">")
_PLACE = "SELECT target, order_key FROM delivery WHERE id = $1"
_ATTEMPTED = """SELECT deadline FROM delivery
    WHERE id = $1 AND next_at IS NOT NULL AND (holder IS NULL OR holder = $2) FOR UPDATE"""
_DELIVERED = """UPDATE delivery SET state = 'delivered', attempts = attempts + 1, why = NULL, payload = NULL,
    next_at = NULL, holder = NULL WHERE id = $1"""
_DEAD = """UPDATE delivery SET state = 'dead', attempts = attempts + 1, why = $2, next_at = NULL, holder = NULL
    WHERE id = $1"""
_AGAIN = "UPDATE delivery SET attempts = attempts + 1, why = $2, next_at = $3, holder = NULL WHERE id = $1"
_PROMOTE = """UPDATE delivery SET next_at = since WHERE id =
    (SELECT min(id) FROM delivery WHERE target = $1 AND order_key = $2 AND state = 'queued')"""
_TAKE_TURN = (
    "SELECT pg_try_advisory_lock(place) FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (place, n) ORDER BY n"
)
_GIVE_TURN_BACK = "SELECT pg_advisory_unlock(place) FROM unnest($1::bigint[]) AS place"

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of a submission at one target. Units: `since` as `instant` has it."""

    submission: int
    target: TargetState
    since: int


@dataclass(frozen=True, slots=True)
class Attempted:
    """An item of the queue, the gateway that tried it, and how that went."""

    holder: UUID
    item: int
    went: Attempt


def lock_of(what: str, place: Place) -> int:
    """Number of the advisory lock of a place. Shape: 64 bits with a sign; `what` keeps different uses apart."""
    named = f"{what}\0{place[0]}\0{place[1]}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), signed=True)


async def alone(connection: Connection, places: Iterable[Place]) -> None:
    """Be the only one who changes what is queued at some places, until the commit."""
    numbers = sorted({lock_of("queue", place) for place in places})
    if numbers:
        await connection.execute(_LOCK, numbers)


async def enter(connection: Connection, entries: Sequence[Entry]) -> None:
    """Store what became of submissions at their targets; what is queued is due where it is the first of its key."""
    if not entries:
        return
    rows, seen = [], set[Place]()
    for entry in entries:
        target = entry.target
        first, key = target.state == "queued", key_of(target.order_key)
        if first and key is not None:
            place = target.target, key
            first = place not in seen
            seen.add(place)
        deadline = None if target.deadline is None else instant(target.deadline)
        rows.append((
            entry.submission, target.target, target.state, target.payload, key, deadline,
            plain(target.why), target.attempts, entry.since, first,
        ))  # fmt: skip
    await alone(connection, seen)
    await connection.execute(_ENTER, *(list(column) for column in zip(*rows, strict=True)))


async def waiting(connection: Connection, asked: Sequence[Sequence[Place]]) -> list[frozenset[Place]]:
    """For each who asks, those of the places at which something is queued."""
    stored = {place: (place[0], key_of(place[1])) for places in asked for place in places}
    names = list(set(stored.values()))
    rows = await connection.fetch(_WAITING, [target for target, _ in names], [key for _, key in names])
    found = {(row[0], row[1]) for row in rows}
    return [frozenset(place for place in places if stored[place] in found) for places in asked]


async def due(connection: Connection, asked: Sequence[tuple[UUID, int, list[str]]]) -> list[Queued | None]:
    """The item that has been due for longest and that nobody else tries; it is the asking gateway's to try.

    Shape: each asks by its id, its clock, and the targets whose items are not asked for.
    """
    results: list[Queued | None] = []
    for holder, now, without in asked:
        row = await connection.fetchrow(_DUE, now, holder, without)
        if row is None:
            furthest = now + FURTHEST // timedelta(microseconds=1)
            row = await connection.fetchrow(_DUE_BY_ANOTHER_CLOCK, furthest, holder, without)
        if row is None:
            results.append(None)
            continue
        *head, deadline = row
        results.append(Queued(*[*head, None if deadline is None else shown(deadline)]))
    return results


async def attempted(connection: Connection, attempts: Sequence[Attempted]) -> list[Any]:
    """Store how attempts went: NotInHand for an item that was finished before, or is another gateway's to try."""
    return [await _attempted(connection, attempt) for attempt in attempts]


async def _attempted(connection: Connection, attempt: Attempted) -> NotInHand | None:
    place = await connection.fetchrow(_PLACE, attempt.item)
    ordered = place is not None and place[1] is not None
    if place is not None and ordered:
        await alone(connection, [(place[0], place[1])])
    row = await connection.fetchrow(_ATTEMPTED, attempt.item, attempt.holder)
    if place is None or row is None:
        return NotInHand(f"queued item {attempt.item} is not in hand")
    went = attempt.went
    becomes = went.becomes(row[0])
    if becomes == "queued":
        await connection.execute(_AGAIN, attempt.item, plain(went.why), went.next_at)
        return None
    if becomes == "dead":
        await connection.execute(_DEAD, attempt.item, plain(went.why))
    else:
        await connection.execute(_DELIVERED, attempt.item)
    if ordered:
        await connection.execute(_PROMOTE, place[0], place[1])
    return None


async def take_turns(connection: Connection, places: Sequence[Place]) -> list[bool]:
    """Whether each turn was free, and is this connection's from now on."""
    rows = await connection.fetch(_TAKE_TURN, [lock_of("turn", place) for place in places])
    return [row[0] for row in rows]


async def keep_turns(connection: Connection, asked: Sequence[None]) -> list[None]:
    """See that the connection is there, and its turns with it."""
    await connection.execute("SELECT")
    return [None] * len(asked)


async def give_turns_back(connection: Connection, places: Sequence[Place]) -> list[None]:
    """Give turns back."""
    await connection.execute(_GIVE_TURN_BACK, [lock_of("turn", place) for place in places])
    return [None] * len(places)
