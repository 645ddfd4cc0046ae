"""The journal's tables on PostgreSQL, and the connections to them.

They are those of `sqlite_schema.py` with the same names and meanings, so that work written once runs on both. What is
more: who has a submission or a queued item in hand, since several gateways share them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg

from gateway.journal.model import JournalUnavailable

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SCHEMA = "gateway"
ANSWERS_WITHIN = 10.0
"""So long PostgreSQL may take for a statement, and for a connection. Units: seconds."""
_MIGRATING = 0x6A6F75726E616C
"""The advisory lock of whoever brings the schema up to date: "journal"."""

# One entry for each version of the schema, applied in order and never changed once released; add the next at the end.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE submission (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, receipt TEXT NOT NULL UNIQUE,
            received TEXT COLLATE "C" NOT NULL, principal TEXT NOT NULL, "user" TEXT, purpose TEXT,
            organisation TEXT NOT NULL, domain TEXT NOT NULL, data_type TEXT NOT NULL, charset TEXT,
            type TEXT NOT NULL, control_id TEXT NOT NULL, key TEXT, body_hash TEXT NOT NULL, rules TEXT NOT NULL,
            "window" BIGINT NOT NULL, body BYTEA NOT NULL, purged BIGINT)""",
        # what is sealed doesn't get smaller, and what isn't would cost more time than disk
        "ALTER TABLE submission ALTER COLUMN body SET STORAGE EXTERNAL",
        "CREATE INDEX submission_received ON submission (received, domain, type)",
        "CREATE INDEX submission_kept ON submission (domain, received) WHERE purged IS NULL",
        "CREATE INDEX submission_control_id ON submission (control_id)",
        # `holder` is the gateway that has it in hand (null: the one that had is gone), `given_up` since when it does
        # nothing about it, `home` the only one that can take it up, because its content stands in a file there.
        """CREATE TABLE in_hand (
            receipt TEXT PRIMARY KEY, submission BIGINT NOT NULL, key TEXT, holder UUID, home TEXT,
            given_up TIMESTAMPTZ)""",
        "CREATE INDEX in_hand_nobodys ON in_hand (submission) WHERE holder IS NULL OR given_up IS NOT NULL",
        "CREATE INDEX in_hand_holder ON in_hand (holder)",
        """CREATE TABLE submission_key (
            key TEXT PRIMARY KEY, receipt TEXT NOT NULL, body_hash TEXT NOT NULL, expires BIGINT NOT NULL)""",
        """CREATE TABLE outcome (
            submission BIGINT PRIMARY KEY,
            state TEXT NOT NULL CHECK (state IN ('accepted', 'refused', 'denied', 'failed')),
            status BIGINT, media_type TEXT, answer BYTEA, location TEXT, rules TEXT NOT NULL DEFAULT '[]')""",
        "ALTER TABLE outcome ALTER COLUMN answer SET STORAGE EXTERNAL",
        """CREATE TABLE delivery (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, submission BIGINT NOT NULL, target TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('delivered', 'queued', 'dead', 'rejected')), payload BYTEA,
            order_key TEXT, deadline BIGINT, why TEXT, attempts BIGINT NOT NULL, since BIGINT NOT NULL,
            next_at BIGINT, holder UUID, CHECK (next_at IS NULL OR state = 'queued'))""",
        "ALTER TABLE delivery ALTER COLUMN payload SET STORAGE EXTERNAL",
        "CREATE INDEX delivery_of ON delivery (submission)",
        "CREATE INDEX delivery_due ON delivery (next_at, id) WHERE next_at IS NOT NULL",
        "CREATE INDEX delivery_order ON delivery (target, order_key) WHERE state = 'queued' AND order_key IS NOT NULL",
        "CREATE INDEX delivery_holder ON delivery (holder) WHERE holder IS NOT NULL",
        """CREATE TABLE token_id (
            issuer TEXT NOT NULL, jti TEXT NOT NULL, expires DOUBLE PRECISION NOT NULL, PRIMARY KEY (issuer, jti))""",
        "CREATE INDEX token_id_expires ON token_id (expires)",
        """CREATE TABLE audit (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, instant BIGINT NOT NULL, at TEXT NOT NULL,
            principal TEXT NOT NULL, "user" TEXT, purpose TEXT, action TEXT NOT NULL, what TEXT NOT NULL,
            rules TEXT NOT NULL, outcome TEXT NOT NULL, digest TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '{}',
            chain TEXT, seq BIGINT, key TEXT, mac BYTEA)""",
        "CREATE UNIQUE INDEX audit_chain ON audit (chain, seq) WHERE chain IS NOT NULL",
        "CREATE INDEX audit_instant ON audit (instant)",
        """CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'audit is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
        """CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
            FOR EACH STATEMENT EXECUTE FUNCTION audit_stays()""",
        """CREATE TABLE progress (
            receipt TEXT PRIMARY KEY, phase TEXT NOT NULL CHECK (phase IN ('judging', 'delivering', 'done')),
            deferred BIGINT NOT NULL, line BIGINT NOT NULL, rows_read BIGINT NOT NULL, stored BIGINT NOT NULL,
            refused BIGINT NOT NULL, issues BYTEA NOT NULL)""",
        """CREATE TABLE released (
            principal TEXT NOT NULL, type TEXT NOT NULL, day TEXT NOT NULL, name TEXT NOT NULL,
            PRIMARY KEY (principal, type, day, name))""",
        "CREATE TABLE sealing (key TEXT PRIMARY KEY)",
        # The gateways that are there: each says so anew before its lease ends. `home` is that of its data folder, and
        # `own_store` whether it keeps resources in a store of its own.
        """CREATE TABLE gateway (
            id UUID PRIMARY KEY, home TEXT NOT NULL, own_store BOOLEAN NOT NULL, expires TIMESTAMPTZ NOT NULL)""",
        # What has to be the same at all gateways, by name: hashes of their secrets.
        "CREATE TABLE same (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ),
)


@dataclass(frozen=True, slots=True)
class Database:
    """Where the journal's tables are.

    Shape: `address` is a `postgresql://` URL without a password; `password` is None where the environment or nothing
    gives one.
    """

    address: str
    password: str | None = field(default=None, repr=False)


_NO_LONGER = {
    "lock_timeout": "1500",
    "idle_in_transaction_session_timeout": "4000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
"""How long a gateway waits for another's lock before it tries again, and how soon the server lets go of what one holds
that vanished: so that the others need not wait longer than `ANSWERS_WITHIN`. Units: the first two in milliseconds,
then seconds, but for the count."""


async def connect(database: Database) -> Connection:
    """Open a gateway's connection, whose commits are durable and whose locks don't outlive it for long.

    Errors: asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError; JournalUnavailable where the server
    keeps nothing safe.
    Source: https://www.postgresql.org/docs/current/runtime-config-wal.html and runtime-config-client.html there.
    """
    with_all = options(database)
    with_all["server_settings"] = {**with_all["server_settings"], **_NO_LONGER}
    connection: Connection = await asyncpg.connect(**with_all)
    try:
        await harden(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


def options(database: Database) -> dict[str, Any]:
    """What a connection or a pool is opened with."""
    return {
        "dsn": database.address,
        "password": database.password,
        "timeout": ANSWERS_WITHIN,
        "command_timeout": ANSWERS_WITHIN,
        "server_settings": {"search_path": SCHEMA, "application_name": "gateway", "jit": "off"},
    }


async def harden(connection: Connection) -> None:
    """Have a commit wait for the disk, whatever the server's own setting is.

    Errors: JournalUnavailable where the server doesn't write to the disk at all.
    """
    row = await connection.fetchrow("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    fsync, commit = row
    if fsync != "on":
        raise JournalUnavailable(
            "PostgreSQL runs with fsync = off: what it acknowledges is lost with the power; set fsync = on there"
        )
    if commit == "off":
        await connection.execute("SET synchronous_commit = on")


async def migrate(connection: Connection) -> None:
    """Bring the schema to the last version; of several gateways that start at once, one does and the others wait.

    Errors: JournalUnavailable where the tables have a later version than this program knows.
    """
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = 0")  # another's migration may take longer than a commit
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATING)
        if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", SCHEMA):
            await connection.execute(f"CREATE SCHEMA {SCHEMA}")
        await connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")
        version = await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_version")
        if version > len(MIGRATIONS):
            raise JournalUnavailable(
                f"the journal was written by a later gateway (schema {version}, this one knows {len(MIGRATIONS)}): "
                "start that gateway, or give this one a database of its own"
            )
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            for statement in statements:
                await connection.execute(statement)
            await connection.execute("INSERT INTO schema_version (version) VALUES ($1)", number)
