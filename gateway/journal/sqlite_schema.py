"""The tables of the SQLite journal, brought up to date by whoever opens the file to write."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.journal.model import JournalUnavailable

# One entry for each version of the schema, applied in order and never changed once released; add the next at the end.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # What came, never written again, so that settling a large body costs what settling a small one does.
        """CREATE TABLE submission (
            id INTEGER PRIMARY KEY, receipt TEXT NOT NULL UNIQUE, received TEXT NOT NULL, principal TEXT NOT NULL,
            user TEXT, purpose TEXT, organisation TEXT NOT NULL, domain TEXT NOT NULL, data_type TEXT NOT NULL,
            charset TEXT, type TEXT NOT NULL, control_id TEXT NOT NULL, key TEXT, body_hash TEXT NOT NULL,
            rules TEXT NOT NULL, window INTEGER NOT NULL, body BLOB NOT NULL) STRICT""",
        # A key is provisional for as long as its submission is in hand.
        "CREATE TABLE in_hand (receipt TEXT PRIMARY KEY, submission INTEGER NOT NULL, key TEXT) STRICT, WITHOUT ROWID",
        """CREATE TABLE submission_key (
            key TEXT PRIMARY KEY, receipt TEXT NOT NULL, body_hash TEXT NOT NULL, expires INTEGER NOT NULL)
            STRICT, WITHOUT ROWID""",
        """CREATE TABLE outcome (
            submission INTEGER PRIMARY KEY,
            state TEXT NOT NULL CHECK (state IN ('accepted', 'refused', 'denied', 'failed')),
            status INTEGER, media_type TEXT, answer BLOB, location TEXT) STRICT""",
        # `next_at` is null unless the item is queued and the first of its key: what is due is one look into an index.
        """CREATE TABLE delivery (
            id INTEGER PRIMARY KEY, submission INTEGER NOT NULL, target TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('delivered', 'queued', 'dead', 'rejected')), payload BLOB,
            order_key TEXT, deadline INTEGER, why TEXT, attempts INTEGER NOT NULL, since INTEGER NOT NULL,
            next_at INTEGER, CHECK (next_at IS NULL OR state = 'queued')) STRICT""",
        "CREATE INDEX delivery_of ON delivery (submission)",
        "CREATE INDEX delivery_due ON delivery (next_at) WHERE next_at IS NOT NULL",
        "CREATE INDEX delivery_order ON delivery (target, order_key) WHERE state = 'queued' AND order_key IS NOT NULL",
        """CREATE TABLE token_id (
            issuer TEXT NOT NULL, jti TEXT NOT NULL, expires REAL NOT NULL, PRIMARY KEY (issuer, jti))
            STRICT, WITHOUT ROWID""",
        "CREATE INDEX token_id_expires ON token_id (expires)",
        """CREATE TABLE audit (
            id INTEGER PRIMARY KEY, instant INTEGER NOT NULL, at TEXT NOT NULL, principal TEXT NOT NULL,
            user TEXT, purpose TEXT, action TEXT NOT NULL, what TEXT NOT NULL, rules TEXT NOT NULL,
            outcome TEXT NOT NULL, digest TEXT NOT NULL) STRICT""",
        "CREATE INDEX audit_instant ON audit (instant)",
        "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
        "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
        # INSERT OR REPLACE deletes without firing the trigger above.
        """CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
            WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END""",
        "CREATE TABLE heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL) STRICT",
    ),
    (
        # How far the rows of a file have come; its body is a file of its own, and `submission.body` names it.
        """CREATE TABLE progress (
            receipt TEXT PRIMARY KEY, phase TEXT NOT NULL CHECK (phase IN ('judging', 'delivering', 'done')),
            deferred INTEGER NOT NULL, line INTEGER NOT NULL, rows_read INTEGER NOT NULL, stored INTEGER NOT NULL,
            refused INTEGER NOT NULL, issues BLOB NOT NULL) STRICT, WITHOUT ROWID""",
    ),
    (
        # What a principal was shown on a day, for limits: `name` is a keyed hash of the resource's type and id.
        """CREATE TABLE released (
            principal TEXT NOT NULL, type TEXT NOT NULL, day TEXT NOT NULL, name TEXT NOT NULL,
            PRIMARY KEY (principal, type, day, name)) STRICT, WITHOUT ROWID""",
    ),
    (
        # What people look for. `purged` is when the body was taken out, by the retention of its domain.
        "ALTER TABLE submission ADD COLUMN purged INTEGER",
        "CREATE INDEX submission_received ON submission (received, domain, type)",
        "CREATE INDEX submission_kept ON submission (domain, received) WHERE purged IS NULL",
        "CREATE INDEX submission_control_id ON submission (control_id)",
        "CREATE INDEX submission_purged ON submission (purged) WHERE purged IS NOT NULL",
        # An answer and its key may outlive the body; `key` is null from when they went too.
        "CREATE INDEX submission_answering ON submission (purged) WHERE purged IS NOT NULL AND key IS NOT NULL",
        "CREATE INDEX delivery_dead ON delivery (submission) WHERE state = 'dead'",
        "CREATE INDEX delivery_queued ON delivery (submission) WHERE state = 'queued'",
        # Ids of the rules that decided, as the audit has them.
        "ALTER TABLE outcome ADD COLUMN rules TEXT NOT NULL DEFAULT '[]'",
        """UPDATE outcome SET rules = told.rules
            FROM (SELECT substr(what, -36) AS receipt, rules FROM audit WHERE action = 'ingest') AS told
            JOIN submission ON submission.receipt = told.receipt WHERE submission.id = outcome.submission""",
        # Ids of the keys that payloads are sealed with.
        "CREATE TABLE sealing (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    ),
    (
        # What else an audit row says, and its place in a chain (`audit_chain.py`): rows from before have none.
        "ALTER TABLE audit ADD COLUMN detail TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE audit ADD COLUMN chain TEXT",
        "ALTER TABLE audit ADD COLUMN seq INTEGER",
        "ALTER TABLE audit ADD COLUMN key TEXT",
        "ALTER TABLE audit ADD COLUMN mac BLOB",
    ),
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal's file for writing, making it or bringing its schema up to date.

    Errors: sqlite3.Error, OSError; JournalUnavailable where a newer gateway wrote it.
    Source: https://sqlite.org/pragma.html#pragma_synchronous: with WAL, FULL is durable after each commit.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # it holds patient data; SQLite gives its other files the same mode
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "cache_size=-32000"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        migrate(connection)
        connection.execute("PRAGMA busy_timeout=0")  # from here on whoever waits for the file waits in the event loop
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a connection that can't write to a journal that exists.

    Errors: sqlite3.Error.
    """
    connection = sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only=ON")
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the last version, in one transaction.

    Errors: JournalUnavailable where the file has a later version than this program knows.
    """
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY) STRICT")
    version = schema_version(connection)
    if version > len(MIGRATIONS):
        raise JournalUnavailable(
            f"the journal was written by a later gateway (schema {version}, this one knows {len(MIGRATIONS)}): "
            "start that gateway, or give this one a data folder of its own"
        )
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", (number,))
    connection.execute("COMMIT")


def schema_version(connection: sqlite3.Connection) -> int:
    """Number of the last migration that the file has seen."""
    (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    return int(version)
