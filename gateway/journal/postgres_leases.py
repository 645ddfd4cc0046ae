"""Leases on PostgreSQL: which gateways are there, and what those that are gone leave to the others.

A gateway says again and again that it is there. One that has not for as long as a lease is gone: what it has in hand
is nobody's then. Should it come back it finds that out as it settles, for only the holder can. The clock is the
database's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.journal.model import JournalUnavailable
from gateway.journal.postgres_schema import Connection
from gateway.journal.postgres_submissions import Me

LEASE = 10.0
"""So long after its last sign of life a gateway counts as there. Units: seconds."""

_BEAT = """INSERT INTO gateway (id, home, own_store, expires)
    VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
    ON CONFLICT (id) DO UPDATE SET home = excluded.home, expires = excluded.expires"""
# A lease that ends later than one can is of a clock that was set back since.
_GONE = """SELECT id FROM gateway WHERE id <> $1 AND (home = $2 OR ($3 AND (
        expires < clock_timestamp() OR expires > clock_timestamp() + make_interval(secs => 3 * $4))))
    ORDER BY id FOR UPDATE SKIP LOCKED"""
_LEAVE = "UPDATE in_hand SET holder = NULL, given_up = NULL WHERE holder = ANY ($1::uuid[])"
_LEAVE_QUEUE = "UPDATE delivery SET holder = NULL WHERE holder = ANY ($1::uuid[])"
_BURY = "DELETE FROM gateway WHERE id = ANY ($1::uuid[])"
_SAME = """INSERT INTO same (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = same.value
    RETURNING value"""
_STORES = "SELECT count(*) FROM gateway WHERE own_store AND home <> $1 AND expires > clock_timestamp()"
# A token's id is kept this long after it expired, so that clocks may differ.
_FORGET = "DELETE FROM token_id WHERE expires < extract(epoch FROM clock_timestamp()) - 3600"


async def beat(connection: Connection, asked: Sequence[Me]) -> list[None]:
    """Say that a gateway is there for another lease."""
    await connection.execute(_BEAT, asked[0].id, asked[0].home, asked[0].own_store, LEASE)
    return [None] * len(asked)


async def bury(connection: Connection, asked: Sequence[tuple[Me, bool]]) -> list[None]:
    """Let go of what gateways that are gone have in hand: earlier ones on its own data folder.

    Shape: with the flag also those whose leases have ended. (Who could not reach the database itself must not judge
    others by theirs: they had no chance to say that they are there.)
    """
    for me, others in asked:
        gone = [row[0] for row in await connection.fetch(_GONE, me.id, me.home, others, LEASE)]
        if gone:
            await _let_go(connection, gone)
    await connection.execute(_FORGET)
    return [None] * len(asked)


async def leave(connection: Connection, asked: Sequence[Me]) -> list[None]:
    """Be gone."""
    await _let_go(connection, [me.id for me in asked])
    return [None] * len(asked)


async def _let_go(connection: Connection, gone: Sequence[Any]) -> None:
    await connection.execute(_LEAVE, gone)
    await connection.execute(_LEAVE_QUEUE, gone)
    await connection.execute(_BURY, gone)


async def agree(connection: Connection, asked: Sequence[tuple[str, str]]) -> list[JournalUnavailable | None]:
    """Hold that all gateways have the same: the first one's value stands; a failure for a name with another."""
    results: list[JournalUnavailable | None] = []
    for name, value in asked:
        stands = await connection.fetchval(_SAME, name, value)
        words = (
            f"{name} of this gateway is not that of the others that use this journal: give all of them one folder of "
            "secrets (setting `shared`)"
        )
        results.append(None if stands == value else JournalUnavailable(words))
    return results


async def alone_with_its_store(connection: Connection, asked: Sequence[Me]) -> list[JournalUnavailable | None]:
    """Hold that of several gateways none keeps resources where the others don't see them; a failure for one that does.

    Shape: who asks has said that it is there before, so that of two that start together at least one is told.
    """
    results: list[JournalUnavailable | None] = []
    for me in asked:
        others = await connection.fetchval(_STORES, me.home) if me.own_store else 0
        words = (
            "another gateway uses this journal, and each keeps resources in a store of its own, which the other does "
            "not see: give every target that takes Fhir the same address at both (setting `targets`; one without an "
            f"address is such a store), or stop the other (one that was killed counts as there for {LEASE:.0f} s)"
        )
        results.append(JournalUnavailable(words) if others else None)
    return results
