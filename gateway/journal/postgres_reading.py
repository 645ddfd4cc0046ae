"""What is asked of the journal on PostgreSQL, and the small writes beside submissions and the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.journal.audit import AuditRow, restored
from gateway.journal.model import Answer, Delivery, Progress, Receipt, Submission, shown
from gateway.journal.postgres_queue import alone, lock_of
from gateway.journal.postgres_schema import Connection
from gateway.journal.postgres_submissions import COLUMNS, submission_of
from gateway.journal.postgres_texts import plain
from gateway.journal.steps import T, Work, numbered

_RECEIPT = """SELECT id, receipt, received, principal, organisation, domain, data_type, type, control_id,
        coalesce(state, 'received'), purged, status, media_type, answer, location
    FROM submission LEFT JOIN outcome ON outcome.submission = id WHERE receipt = $1"""
_DELIVERIES = """SELECT target, state, attempts, why, next_at, deadline FROM delivery
    WHERE submission = $1 ORDER BY id"""
_SUBMISSION = f"SELECT {COLUMNS} FROM submission WHERE receipt = $1"  # noqa: S608 - of constants alone
_PROGRESS = """INSERT INTO progress (receipt, phase, deferred, line, rows_read, stored, refused, issues)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (receipt) DO UPDATE SET phase = excluded.phase,
    deferred = excluded.deferred, line = excluded.line, rows_read = excluded.rows_read, stored = excluded.stored,
    refused = excluded.refused, issues = excluded.issues"""
_ADVANCED = "UPDATE progress SET line = $2, stored = $3, refused = $4 WHERE receipt = $1"
_FIND_PROGRESS = """SELECT phase, deferred, line, rows_read, stored, refused, issues FROM progress
    WHERE receipt = $1"""
_AUDIT_SINCE = """SELECT at, principal, "user", purpose, action, what, rules, outcome, digest, detail FROM audit
    WHERE instant >= $1 ORDER BY id"""
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


async def find(connection: Connection, receipt: str) -> Receipt | None:
    """What is known of a submission."""
    row = await connection.fetchrow(_RECEIPT, plain(receipt))
    if row is None:
        return None
    identity, *head, purged, status, media_type, body, location = row
    answer = None if status is None else Answer(status, media_type, body, location)
    targets = tuple(
        Delivery(target, state, attempts, why, _shown(next_at), _shown(deadline))
        for target, state, attempts, why, next_at, deadline in await connection.fetch(_DELIVERIES, identity)
    )
    return Receipt(*[*head, answer, targets, _shown(purged)])


def _shown(microseconds: int | None) -> str | None:
    return None if microseconds is None else shown(microseconds)


async def submission(connection: Connection, receipt: str) -> Submission | None:
    """What came under a receipt."""
    row = await connection.fetchrow(_SUBMISSION, plain(receipt))
    return None if row is None else submission_of(tuple(row))


async def progress(connection: Connection, told: Sequence[tuple[str, Progress]]) -> list[None]:
    """Store how far the rows of files have come."""
    for receipt, one in told:
        values = one.phase, int(one.deferred), one.line, one.read, one.stored, one.refused, one.issues
        await connection.execute(_PROGRESS, receipt, *values)
    return [None] * len(told)


async def advanced(connection: Connection, told: Sequence[tuple[str, int, int, int]]) -> list[None]:
    """Store that files have come as far as a line."""
    for values in told:
        await connection.execute(_ADVANCED, *values)
    return [None] * len(told)


async def find_progress(connection: Connection, receipt: str) -> Progress | None:
    """How far the rows of a file have come, or nothing for what is no file."""
    row = await connection.fetchrow(_FIND_PROGRESS, plain(receipt))
    if row is None:
        return None
    phase, deferred, *rest = row
    return Progress(phase, bool(deferred), *rest)


async def audit_rows(connection: Connection, since: int) -> tuple[AuditRow, ...]:
    """Audit rows of an instant and after it, in the order in which they were appended."""
    return tuple(restored(tuple(row)) for row in await connection.fetch(_AUDIT_SINCE, since))


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
