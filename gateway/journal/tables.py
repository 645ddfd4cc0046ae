"""Every SQL statement of the SQLite journal, as functions of a connection.

What reads or writes more than one row belongs to one transaction, which `group_commit.py` opens. Instants are stored as
microseconds since 1970 where they are compared, else as the texts that came.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from gateway.journal.audit import AuditRow, restored, stored
from gateway.journal.audit_chain import Chaining
from gateway.journal.model import (
    FURTHEST,
    Answer,
    Claim,
    Conflict,
    Delivery,
    Fresh,
    Held,
    JournalUnavailable,
    NotInHand,
    Outcome,
    Progress,
    Queued,
    Receipt,
    ReceiptTaken,
    Repeat,
    Submission,
    TargetState,
    instant,
    shown,
)

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

_INSERT_SUBMISSION = """INSERT INTO submission (receipt, received, principal, user, purpose, organisation, domain,
    data_type, charset, type, control_id, key, body_hash, body, rules, window)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_UNFINISHED = """SELECT submission.receipt, received, principal, user, purpose, organisation, domain, data_type,
    charset, type, control_id, submission.key, body_hash, body, rules, window
    FROM in_hand JOIN submission ON submission.id = in_hand.submission ORDER BY submission.id"""
_SUBMISSION = """SELECT receipt, received, principal, user, purpose, organisation, domain, data_type, charset, type,
    control_id, key, body_hash, body, rules, window FROM submission WHERE receipt = ?"""
_TAKE_IN_HAND = "INSERT INTO in_hand (receipt, submission, key) VALUES (?, ?, ?)"
_LET_GO = "DELETE FROM in_hand WHERE receipt = ? RETURNING submission, key"
_HOLDER = """SELECT submission_key.receipt, body_hash, expires, in_hand.receipt IS NOT NULL
    FROM submission_key LEFT JOIN in_hand ON in_hand.receipt = submission_key.receipt
    WHERE submission_key.key = ?"""
_TAKE_KEY = "INSERT OR REPLACE INTO submission_key (key, receipt, body_hash, expires) VALUES (?, ?, ?, ?)"
_FREE_KEY = "DELETE FROM submission_key WHERE key = ? AND receipt = ?"
_INSERT_OUTCOME = """INSERT INTO outcome (submission, state, status, media_type, answer, location, rules)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_GIVEN_UP = "INSERT INTO outcome (submission, state) VALUES (?, 'failed')"
_ANSWER = """SELECT status, media_type, answer, location FROM submission JOIN outcome ON outcome.submission = id
    WHERE receipt = ?"""
_RECEIPT = """SELECT id, receipt, received, principal, organisation, domain, data_type, type, control_id,
    coalesce(state, 'received'), purged, status, media_type, answer, location
    FROM submission LEFT JOIN outcome ON outcome.submission = id WHERE receipt = ?"""
_DELIVERIES = """SELECT target, state, attempts, why, next_at, deadline FROM delivery
    WHERE submission = ? ORDER BY id"""
_INSERT_DELIVERY = """INSERT INTO delivery
    (submission, target, state, payload, order_key, deadline, why, attempts, since, next_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_WAITING = "SELECT 1 FROM delivery WHERE target = ? AND order_key = ? AND state = 'queued' LIMIT 1"
_ITEM = """SELECT delivery.id, receipt, target, coalesce(payload, body), order_key, attempts, deadline
    FROM delivery JOIN submission ON submission.id = delivery.submission"""
_FIRST = "AND target NOT IN (SELECT value FROM json_each(?)) ORDER BY next_at, delivery.id LIMIT 1"
_DUE = f"{_ITEM} WHERE next_at <= ? {_FIRST}"
_DUE_BY_ANOTHER_CLOCK = f"{_ITEM} WHERE next_at > ? {_FIRST}"
_ATTEMPTED = "SELECT target, order_key, deadline FROM delivery WHERE id = ? AND next_at IS NOT NULL"
_DELIVERED = """UPDATE delivery SET state = 'delivered', attempts = attempts + 1, why = NULL, payload = NULL,
    next_at = NULL WHERE id = ?"""
_DEAD = "UPDATE delivery SET state = 'dead', attempts = attempts + 1, why = ?, next_at = NULL WHERE id = ?"
_AGAIN = "UPDATE delivery SET attempts = attempts + 1, why = ?, next_at = ? WHERE id = ?"
_PROMOTE = """UPDATE delivery SET next_at = since WHERE id =
    (SELECT min(id) FROM delivery WHERE target = ? AND order_key = ? AND state = 'queued')"""
_PROGRESS = """INSERT INTO progress (receipt, phase, deferred, line, rows_read, stored, refused, issues)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (receipt) DO UPDATE SET phase = excluded.phase,
    deferred = excluded.deferred, line = excluded.line, rows_read = excluded.rows_read, stored = excluded.stored,
    refused = excluded.refused, issues = excluded.issues"""
_ADVANCED = "UPDATE progress SET line = ?, stored = ?, refused = ? WHERE receipt = ?"
_FIND_PROGRESS = """SELECT phase, deferred, line, rows_read, stored, refused, issues FROM progress
    WHERE receipt = ?"""
_INSERT_AUDIT = """INSERT INTO audit (chain, seq, key, mac, instant, at, principal, user, purpose, action, what, rules,
    outcome, digest, detail) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"""
# One gateway writes here, so the last row is the last of its chain, or of a chain before it.
_AUDIT_LAST = "SELECT chain, seq, mac FROM audit ORDER BY id DESC LIMIT 1"
_AUDIT_SINCE = """SELECT at, principal, user, purpose, action, what, rules, outcome, digest, detail FROM audit
    WHERE instant >= ? ORDER BY id"""

# A token's id is kept this long after it expired, so that clocks may differ. Seconds.
_SKEW = 3600


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


def claim(connection: sqlite3.Connection, submission: Submission, supersedes: str | None) -> Claim | Held:
    """Store a submission with a provisional key, unless another holds the key.

    Shape: `supersedes` is the receipt of a submission that this process gave up; its provisional key is taken over.
    Errors: ReceiptTaken.
    """
    if submission.key is not None:
        received = instant(submission.received)
        holder = connection.execute(_HOLDER, (submission.key,)).fetchone()
        if holder is not None:
            receipt, body_hash, expires, in_hand = holder
            if in_hand:
                if receipt != supersedes:
                    return Held(receipt, same=body_hash == submission.body_hash)
                (given_up, _) = connection.execute(_LET_GO, (receipt,)).fetchone()
                connection.execute(_GIVEN_UP, (given_up,))
            elif received < expires:
                if body_hash != submission.body_hash:
                    return Conflict(receipt)
                return Repeat(Answer(*connection.execute(_ANSWER, (receipt,)).fetchone()), receipt)
        expires = received + submission.window // timedelta(microseconds=1)
        connection.execute(_TAKE_KEY, (submission.key, submission.receipt, submission.body_hash, expires))
    identity = _insert(connection, submission)
    connection.execute(_TAKE_IN_HAND, (submission.receipt, identity, submission.key))
    return Fresh()


def look(connection: sqlite3.Connection, submission: Submission) -> Repeat | Conflict | None:
    """What holds the key of a submission, where it was accepted and its window is not over."""
    holder = connection.execute(_HOLDER, (submission.key,)).fetchone()
    if holder is None:
        return None
    receipt, body_hash, expires, in_hand = holder
    if in_hand or instant(submission.received) >= expires:
        return None
    if body_hash != submission.body_hash:
        return Conflict(receipt)
    return Repeat(Answer(*connection.execute(_ANSWER, (receipt,)).fetchone()), receipt)


def _insert(connection: sqlite3.Connection, s: Submission) -> int | None:
    row = (
        s.receipt, s.received, s.principal, s.user, s.purpose, s.organisation, s.domain, s.data_type,
        s.charset, s.type, s.control_id, s.key, s.body_hash, s.body, s.rules, s.window // timedelta(microseconds=1),
    )  # fmt: skip
    try:
        return connection.execute(_INSERT_SUBMISSION, row).lastrowid
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        raise ReceiptTaken(s.receipt) from error


def settle(connection: sqlite3.Connection, receipt: str, outcome: Outcome, chaining: Chaining | None = None) -> None:
    """Store what became of a claimed submission, and its audit row.

    Errors: NotInHand for a submission that was never claimed, or was settled or superseded before.
    """
    row = connection.execute(_LET_GO, (receipt,)).fetchone()
    if row is None:
        raise NotInHand(f"submission {receipt} is not in hand")
    identity, key = row
    if key is not None and not outcome.accepted:
        connection.execute(_FREE_KEY, (key, receipt))
    _conclude(connection, identity, outcome, chaining)


def _conclude(
    connection: sqlite3.Connection, identity: int | None, outcome: Outcome, chaining: Chaining | None
) -> None:
    answer = outcome.answer
    connection.execute(_INSERT_OUTCOME, (
        identity, outcome.state, answer.status, answer.media_type, answer.body, answer.location,
        rule_ids(outcome),
    ))  # fmt: skip
    since = instant(outcome.audit.at)
    for target in outcome.targets:
        _enter(connection, identity, target, since)
    append_audit(connection, outcome.audit, chaining)


def rule_ids(outcome: Outcome) -> str:
    """Ids of the rules that decided, as they are looked for: JSON without blanks."""
    return json.dumps(outcome.audit.rules, ensure_ascii=False, separators=(",", ":"))


def _enter(connection: sqlite3.Connection, submission: int | None, target: TargetState, since: int) -> None:
    behind = target.order_key is not None and waiting(connection, [(target.target, target.order_key)])
    first = target.state == "queued" and not behind
    deadline = None if target.deadline is None else instant(target.deadline)
    connection.execute(_INSERT_DELIVERY, (
        submission, target.target, target.state, target.payload, target.order_key, deadline, target.why,
        target.attempts, since, since if first else None,
    ))  # fmt: skip


def record(
    connection: sqlite3.Connection, submission: Submission, outcome: Outcome, chaining: Chaining | None = None
) -> None:
    """Store a submission that was judged without a claim, with its outcome and audit row.

    Errors: ReceiptTaken.
    """
    _conclude(connection, _insert(connection, submission), outcome, chaining)


def append_audit(connection: sqlite3.Connection, row: AuditRow, chaining: Chaining | None = None) -> None:
    """Append a row to the audit, behind the last one of its chain; without a chain it has no link."""
    values = (instant(row.at), *stored(row))
    if chaining is None:
        connection.execute(_INSERT_AUDIT, (None, None, None, None, *values))
        return
    last = connection.execute(_AUDIT_LAST).fetchone()
    before = last[1:] if last is not None and last[0] == chaining.chain else None
    connection.execute(_INSERT_AUDIT, (*chaining.link(before, values), *values))


def audit_rows(connection: sqlite3.Connection, since: int) -> tuple[AuditRow, ...]:
    """Audit rows of an instant and after it, in the order in which they were appended."""
    return tuple(restored(row) for row in connection.execute(_AUDIT_SINCE, (since,)))


def find(connection: sqlite3.Connection, receipt: str) -> Receipt | None:
    """What is known of a submission."""
    row = connection.execute(_RECEIPT, (receipt,)).fetchone()
    if row is None:
        return None
    identity, *head, purged, status, media_type, body, location = row
    answer = None if status is None else Answer(status, media_type, body, location)
    targets = tuple(
        Delivery(target, state, attempts, why, _shown(next_at), _shown(deadline))
        for target, state, attempts, why, next_at, deadline in connection.execute(_DELIVERIES, (identity,))
    )
    return Receipt(*[*head, answer, targets, _shown(purged)])


def _shown(microseconds: int | None) -> str | None:
    return None if microseconds is None else shown(microseconds)


def unfinished(connection: sqlite3.Connection) -> tuple[Submission, ...]:
    """Submissions that were claimed and not settled, in the order of their claims."""
    return tuple(
        Submission(*[*head, timedelta(microseconds=window)]) for *head, window in connection.execute(_UNFINISHED)
    )


def submission(connection: sqlite3.Connection, receipt: str) -> Submission | None:
    """What came under a receipt, whatever became of it."""
    row = connection.execute(_SUBMISSION, (receipt,)).fetchone()
    if row is None:
        return None
    *head, window = row
    return Submission(*[*head, timedelta(microseconds=window)])


def waiting(connection: sqlite3.Connection, places: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Those of the targets, each with an order key, for which something with that key is queued."""
    return frozenset(place for place in places if connection.execute(_WAITING, place).fetchone() is not None)


def due(connection: sqlite3.Connection, now: int, without: Iterable[str] = ()) -> Queued | None:
    """The item that has been due for longest, among the first of each target's keys and those without a key.

    Shape: `without` are targets whose items are not asked for.
    """
    others, furthest = json.dumps(sorted(without)), now + FURTHEST // timedelta(microseconds=1)
    row = connection.execute(_DUE, (now, others)).fetchone()
    if row is None:
        row = connection.execute(_DUE_BY_ANOTHER_CLOCK, (furthest, others)).fetchone()
    if row is None:
        return None
    *head, deadline = row
    return Queued(*[*head, _shown(deadline)])


def attempted(connection: sqlite3.Connection, item: int, *, dead: bool, why: str | None, next_at: int | None) -> None:
    """Store how an attempt went: delivered (nothing given), dead, or again at `next_at` where the deadline allows it.

    Errors: NotInHand for an item that was finished before, or is not the first of its key.
    """
    row = connection.execute(_ATTEMPTED, (item,)).fetchone()
    if row is None:
        raise NotInHand(f"queued item {item} is not in hand")
    target, order_key, deadline = row
    if next_at is not None and (deadline is None or next_at <= deadline):
        connection.execute(_AGAIN, (why, next_at, item))
        return
    if dead or next_at is not None:
        connection.execute(_DEAD, (why, item))
    else:
        connection.execute(_DELIVERED, (item,))
    if order_key is not None:
        connection.execute(_PROMOTE, (target, order_key))


def progress(connection: sqlite3.Connection, receipt: str, told: Progress) -> None:
    """Store how far the rows of a file have come."""
    connection.execute(_PROGRESS, (
        receipt, told.phase, told.deferred, told.line, told.read, told.stored, told.refused, told.issues,
    ))  # fmt: skip


def advanced(connection: sqlite3.Connection, receipt: str, line: int, stored: int, refused: int) -> None:
    """Store that a file has come as far as a line."""
    connection.execute(_ADVANCED, (line, stored, refused, receipt))


def find_progress(connection: sqlite3.Connection, receipt: str) -> Progress | None:
    """How far the rows of a file have come, or nothing for what is no file."""
    row = connection.execute(_FIND_PROGRESS, (receipt,)).fetchone()
    if row is None:
        return None
    phase, deferred, *rest = row
    return Progress(phase, bool(deferred), *rest)


def claim_token_id(connection: sqlite3.Connection, issuer: str, jti: str, expires: float) -> bool:
    """Store a token's id unless it is there: whether it was new. Long expired ones are dropped.

    Units: `expires` in seconds since 1970, as the claim `exp` is.
    """
    connection.execute("DELETE FROM token_id WHERE expires < ?", (time.time() - _SKEW,))
    inserted = connection.execute("INSERT OR IGNORE INTO token_id VALUES (?, ?, ?)", (issuer, jti, expires))
    return inserted.rowcount == 1


def count_released(
    connection: sqlite3.Connection, principal: str, type_: str, day: str, names: Sequence[str], limit: int
) -> bool:
    """Put down what a principal is shown of a type on a day, unless it would be more than the limit: whether it is not.

    What was shown before counts once. Days that are over are dropped.
    """
    connection.execute("DELETE FROM released WHERE principal = ? AND type = ? AND day < ?", (principal, type_, day))
    place = (principal, type_, day)
    known = "SELECT name FROM released WHERE principal = ? AND type = ? AND day = ? AND name = ?"
    new = [name for name in dict.fromkeys(names) if connection.execute(known, (*place, name)).fetchone() is None]
    counted = "SELECT count(*) FROM released WHERE principal = ? AND type = ? AND day = ?"
    if connection.execute(counted, place).fetchone()[0] + len(new) > limit:
        return False
    connection.executemany("INSERT INTO released VALUES (?, ?, ?, ?)", [(*place, name) for name in new])
    return True


def beat(connection: sqlite3.Connection) -> None:
    """Write something, to learn whether writing works."""
    connection.execute("INSERT OR REPLACE INTO heartbeat VALUES (1, ?)", (time.time(),))
