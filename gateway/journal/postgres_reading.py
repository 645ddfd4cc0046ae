"""What is asked of the journal on PostgreSQL, and the small writes beside submissions and the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.journal import asking
from gateway.journal.model import Progress
from gateway.journal.postgres_queue import alone, lock_of
from gateway.journal.postgres_schema import Connection
from gateway.journal.postgres_texts import plain
from gateway.journal.steps import T, Work, numbered

_PROGRESS, _ADVANCED = numbered(asking.PROGRESS), numbered(asking.ADVANCED)
_CLAIM_IDS = """INSERT INTO token_id (issuer, jti, expires)
    SELECT issuer, jti, expires FROM unnest($1::text[], $2::text[], $3::double precision[])
        WITH ORDINALITY AS asked (issuer, jti, expires, n) ORDER BY issuer, jti, n
    ON CONFLICT DO NOTHING RETURNING issuer, jti"""
_LOCK = "SELECT pg_advisory_xact_lock($1)"
_OVER = "DELETE FROM released WHERE principal = $1 AND type = $2 AND day < $3"
_KNOWN = "SELECT name FROM released WHERE principal = $1 AND type = $2 AND day = $3 AND name = ANY ($4::text[])"
_COUNTED = "SELECT count(*) FROM released WHERE principal = $1 AND type = $2 AND day = $3"
_RELEASE = "INSERT INTO released (principal, type, day, name) SELECT $1, $2, $3, unnest($4::text[])"


@dataclass(frozen=True, slots=True)
class Released:
    """What is about to be shown of a type to a principal on a day, and how much may be."""

    principal: str
    type_: str
    day: str
    names: tuple[str, ...]
    limit: int


async def progress(connection: Connection, told: Sequence[tuple[str, Progress]]) -> list[None]:
    """Store how far the rows of files have come."""
    for receipt, one in told:
        values = one.phase, int(one.deferred), one.line, one.read, one.stored, one.refused, one.issues
        await connection.execute(_PROGRESS, receipt, *values)
    return [None] * len(told)


async def advanced(connection: Connection, told: Sequence[tuple[str, int, int, int]]) -> list[None]:
    """Store that files have come as far as a line."""
    for receipt, line, stored, refused in told:
        await connection.execute(_ADVANCED, line, stored, refused, receipt)
    return [None] * len(told)


async def claim_token_ids(connection: Connection, asked: Sequence[tuple[str, str, float]]) -> list[bool]:
    """Whether each token's id was new; of the same one twice, the first."""
    rows = [(plain(issuer), plain(jti), expires) for issuer, jti, expires in asked]
    found = await connection.fetch(_CLAIM_IDS, *(list(column) for column in zip(*rows, strict=True)))
    new = {(row[0], row[1]) for row in found}
    results = []
    for issuer, jti, _ in rows:
        results.append((issuer, jti) in new)
        new.discard((issuer, jti))
    return results


async def count_released(connection: Connection, asked: Sequence[Released]) -> list[bool]:
    """Put down what principals are shown, each where it is not more than the limit: whether it is not."""
    # each counts alone until the commit; in one order, so that no two gateways wait for each other
    for number in sorted({lock_of("released", (one.principal, one.type_)) for one in asked}):
        await connection.execute(_LOCK, number)
    return [await _count_released(connection, one) for one in asked]


async def _count_released(connection: Connection, one: Released) -> bool:
    place = one.principal, one.type_, one.day
    await connection.execute(_OVER, *place)
    known = {row[0] for row in await connection.fetch(_KNOWN, *place, list(one.names))}
    new = [name for name in dict.fromkeys(one.names) if name not in known]
    if await connection.fetchval(_COUNTED, *place) + len(new) > one.limit:
        return False
    await connection.execute(_RELEASE, *place, new)
    return True


async def work_off(connection: Connection, asked: Sequence[Work[Any]]) -> list[Any]:
    """What each work comes to, in the transaction that is open."""
    return [await on_postgres(connection, work) for work in asked]


async def on_postgres(connection: Connection, work: Work[T]) -> T:
    """What work comes to on a connection, in whatever transaction is open there.

    Errors: asyncpg.PostgresError; what the work raises.
    """
    steps = work()
    try:
        asked = next(steps)
        while True:
            if asked.alone is not None:
                await alone(connection, [asked.alone])
            rows = await connection.fetch(numbered(asked.sql), *asked.values)
            asked = steps.send([tuple(row) for row in rows])
    except StopIteration as done:
        answer: T = done.value
        return answer
