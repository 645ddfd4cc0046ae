"""Submissions on PostgreSQL: taken in hand, settled, recorded, taken up again; each for many at once.

Several gateways do this at the same time. A key is taken by one `INSERT ... ON CONFLICT DO NOTHING`; what is in hand
bears its holder, and whoever settles has to be that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from gateway.journal.asking import COLUMNS, rule_ids, submissions_of
from gateway.journal.audit import AuditRow, stored
from gateway.journal.audit_chain import Chaining
from gateway.journal.model import (
    Answer,
    Claim,
    Conflict,
    Fresh,
    Held,
    NotInHand,
    Outcome,
    ReceiptTaken,
    Repeat,
    Submission,
    instant,
)
from gateway.journal.postgres_queue import Entry, enter
from gateway.journal.postgres_schema import Connection
from gateway.journal.postgres_texts import key_of, plain

_ARRAYS = """unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bytea[], $15::text[], $16::bigint[]"""
# `ours` says that the key was taken over before; `expires` is when its window ends.
_CLAIM = f"""WITH asked AS (
        SELECT * FROM {_ARRAYS}, $17::bigint[], $18::boolean[], $19::text[]) WITH ORDINALITY
            AS asked ({COLUMNS}, expires, ours, home, n)),
    won AS (
        INSERT INTO submission_key (key, receipt, body_hash, expires)
        SELECT key, receipt, body_hash, expires FROM asked WHERE key IS NOT NULL AND NOT ours ORDER BY key
        ON CONFLICT (key) DO NOTHING RETURNING receipt),
    kept AS (
        INSERT INTO submission ({COLUMNS})
        SELECT {COLUMNS} FROM asked
        WHERE key IS NULL OR ours OR receipt IN (SELECT receipt FROM won) ORDER BY n
        ON CONFLICT (receipt) DO NOTHING RETURNING id, receipt),
    held AS (
        INSERT INTO in_hand (receipt, submission, key, holder, home)
        SELECT receipt, kept.id, key, $20, home FROM kept JOIN asked USING (receipt))
    SELECT won.receipt IS NOT NULL, kept.receipt IS NOT NULL
    FROM asked LEFT JOIN won USING (receipt) LEFT JOIN kept USING (receipt) ORDER BY n"""  # noqa: S608 - of constants alone
_HOLDERS = """SELECT submission_key.key, submission_key.receipt, submission_key.body_hash, expires,
        in_hand.receipt IS NOT NULL, given_up IS NOT NULL,
        status, media_type, answer, location
    FROM submission_key LEFT JOIN in_hand ON in_hand.receipt = submission_key.receipt
        LEFT JOIN submission ON submission.receipt = submission_key.receipt AND in_hand.receipt IS NULL
        LEFT JOIN outcome ON outcome.submission = submission.id
    WHERE submission_key.key = ANY ($1::text[])"""
_LET_GO = """DELETE FROM in_hand WHERE receipt = $1 AND (given_up IS NOT NULL OR (holder = $2 AND receipt = $3))
    RETURNING submission"""
_GIVEN_UP = "INSERT INTO outcome (submission, state) VALUES ($1, 'failed')"
_TAKE_OVER = """UPDATE submission_key SET receipt = $3, body_hash = $4, expires = $5 WHERE key = $1 AND receipt = $2
    RETURNING true"""
_FREE_KEYS = """DELETE FROM submission_key USING unnest($1::text[], $2::text[]) AS gone (key, receipt)
    WHERE submission_key.key = gone.key AND submission_key.receipt = gone.receipt"""
_SETTLE = """WITH asked AS (
        SELECT * FROM unnest($1::text[], $2::boolean[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::text[],
            $8::text[]) AS asked (receipt, accepted, state, status, media_type, answer, location, rules)),
    gone AS (
        DELETE FROM in_hand USING asked WHERE in_hand.receipt = asked.receipt AND holder = $9 AND given_up IS NULL
        RETURNING in_hand.receipt, in_hand.submission, in_hand.key),
    freed AS (
        DELETE FROM submission_key USING gone JOIN asked USING (receipt)
        WHERE NOT accepted AND submission_key.key = gone.key AND submission_key.receipt = gone.receipt),
    ended AS (
        INSERT INTO outcome (submission, state, status, media_type, answer, location, rules)
        SELECT gone.submission, state, status, media_type, answer, location, rules FROM gone JOIN asked USING (receipt))
    SELECT receipt, submission FROM gone"""
_RECORD = f"""WITH asked AS (
        SELECT * FROM {_ARRAYS}, $17::text[], $18::bigint[], $19::text[], $20::bytea[], $21::text[], $22::text[])
            WITH ORDINALITY
            AS asked ({COLUMNS}, state, status, media_type, answer, location, decided, n)),
    kept AS (
        INSERT INTO submission ({COLUMNS}) SELECT {COLUMNS} FROM asked ORDER BY n
        ON CONFLICT (receipt) DO NOTHING RETURNING id, receipt),
    ended AS (
        INSERT INTO outcome (submission, state, status, media_type, answer, location, rules)
        SELECT kept.id, state, status, media_type, answer, location, decided FROM kept JOIN asked USING (receipt))
    SELECT receipt, id FROM kept"""  # noqa: S608 - of constants alone
_APPEND_AUDIT = """INSERT INTO audit
        (chain, seq, key, mac, instant, at, principal, "user", purpose, action, what, rules, outcome, digest, detail)
    SELECT chain, seq, key, mac, instant, at, principal, "user", purpose, action, what, rules, outcome, digest, detail
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]) WITH ORDINALITY
        AS row (chain, seq, key, mac, instant, at, principal, "user", purpose, action, what, rules, outcome, digest,
            detail, n) ORDER BY n"""
_AUDIT_HEAD = "SELECT seq, mac FROM audit WHERE chain = $1 ORDER BY seq DESC LIMIT 1"
_GIVE_UP = """UPDATE in_hand SET given_up = clock_timestamp()
    WHERE receipt = ANY ($1::text[]) AND holder = $2 AND given_up IS NULL"""
_HELD = "SELECT receipt FROM in_hand WHERE holder = $1 AND given_up IS NULL"
# Some of them at a time, so that several gateways share what one left.
_TAKE_UP = f"""WITH left_over AS (
        SELECT receipt FROM in_hand
        WHERE (holder IS NULL OR given_up <= clock_timestamp() - $3::interval)
            AND (home IS NULL OR home = ANY ($2::text[]))
        ORDER BY submission LIMIT 100 FOR UPDATE SKIP LOCKED),
    taken AS (
        UPDATE in_hand SET holder = $1, given_up = NULL FROM left_over WHERE in_hand.receipt = left_over.receipt
        RETURNING in_hand.submission)
    SELECT {COLUMNS} FROM taken JOIN submission ON submission.id = taken.submission ORDER BY id"""  # noqa: S608 - of constants alone

_ROUNDS = 8
Result: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Me:
    """The gateway that asks.

    Shape: `id` of this start, `home` of its data folder, `beside` those whose files it has too; `own_store` says that
    it keeps resources in its own store.
    """

    id: UUID
    home: str
    own_store: bool = False
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One claim. Shape: `supersedes` is the receipt of a submission that this process gave up: its key is taken."""

    me: Me
    submission: Submission
    supersedes: str | None
    here: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """One settling."""

    me: Me
    receipt: str
    outcome: Outcome


def _row(s: Submission) -> tuple[object, ...]:
    return (
        s.receipt, s.received, s.principal, plain(s.user), plain(s.purpose), plain(s.organisation), s.domain,
        s.data_type, plain(s.charset), plain(s.type), plain(s.control_id), key_of(s.key), s.body_hash, s.body, s.rules,
        s.window // timedelta(microseconds=1),
    )  # fmt: skip


async def claim(connection: Connection, asked: Sequence[Asked]) -> list[Result]:
    """Claim submissions: Fresh, or what holds their keys; ReceiptTaken for one that is stored."""
    results: list[Result] = [None] * len(asked)
    left, ours = [*range(len(asked))], set[int]()
    for _ in range(_ROUNDS):
        left = await _insert(connection, asked, left, ours, results)
        left = left and await _meet(connection, asked, left, ours, results)
        if not left:
            return results
    for place in left:  # others take and free this key all the time: whoever asked waits and asks again
        results[place] = Held("", same=False)
    return results


async def _insert(
    connection: Connection, asked: Sequence[Asked], places: Sequence[int], ours: set[int], results: list[Result]
) -> list[int]:
    """Take the keys that are free and store their submissions: the places of those whose keys are not."""
    rows = []
    for place in places:
        one = asked[place]
        submission = one.submission
        expires = instant(submission.received) + submission.window // timedelta(microseconds=1)
        rows.append((*_row(submission), expires, place in ours, one.me.home if one.here else None))
    columns = [list(column) for column in zip(*rows, strict=True)]
    found = await connection.fetch(_CLAIM, *columns, asked[places[0]].me.id)
    left, stray = [], []
    for place, (won, kept) in zip(places, found, strict=True):
        submission = asked[place].submission
        if kept:
            results[place] = Fresh()
        elif won or place in ours or submission.key is None:
            results[place] = ReceiptTaken(submission.receipt)
            stray.append((key_of(submission.key), submission.receipt))
        else:
            left.append(place)
    if stray:
        await connection.execute(_FREE_KEYS, *(list(column) for column in zip(*stray, strict=True)))
    return left


async def _meet(
    connection: Connection, asked: Sequence[Asked], places: Sequence[int], ours: set[int], results: list[Result]
) -> list[int]:
    """Tell what holds the keys: the places of those that are free meanwhile, or were taken over (`ours`)."""
    keys = list({key_of(asked[place].submission.key) for place in places})
    rows = await connection.fetch(_HOLDERS, keys)
    holders = {row[0]: row[1:] for row in rows}
    left = []
    for place in places:
        submission = asked[place].submission
        holder = holders.get(key_of(submission.key))
        claim = None if holder is None else _met(submission, holder, asked[place].supersedes)
        if claim is not None:
            results[place] = claim
            continue
        if holder is not None and await _take_over(connection, asked[place], holder[0], in_hand=holder[3]):
            ours.add(place)
        left.append(place)
    return left


def _met(submission: Submission, holder: Sequence[Any], supersedes: str | None) -> Claim | Held | None:
    """What a claim meets at the holder of its key; None where it may take the key over."""
    receipt, body_hash, expires, in_hand, given_up, *answer = holder
    if in_hand:
        free = given_up or receipt == supersedes
        return None if free else Held(receipt, same=body_hash == submission.body_hash)
    if instant(submission.received) >= expires:
        return None
    return Repeat(Answer(*answer), receipt) if body_hash == submission.body_hash else Conflict(receipt)


async def _take_over(connection: Connection, asked: Asked, holder: str, *, in_hand: bool) -> bool:
    """Take a key from a submission that was given up, or whose window is over: whether nobody was quicker."""
    submission = asked.submission
    if in_hand:
        given_up = await connection.fetchval(_LET_GO, holder, asked.me.id, asked.supersedes)
        if given_up is None:
            return False
        await connection.execute(_GIVEN_UP, given_up)
    expires = instant(submission.received) + submission.window // timedelta(microseconds=1)
    taken = await connection.fetchval(
        _TAKE_OVER, key_of(submission.key), holder, submission.receipt, submission.body_hash, expires
    )
    return taken is not None


async def look(connection: Connection, submission: Submission) -> Repeat | Conflict | None:
    """What holds the key of a submission, where it was accepted and its window is not over."""
    row = await connection.fetchrow(_HOLDERS, [key_of(submission.key)])
    met = None if row is None else _met(submission, row[1:], None)
    return met if isinstance(met, Repeat | Conflict) else None


async def settle(
    connection: Connection, settled: Sequence[Settled], *, chaining: Chaining | None = None
) -> list[Result]:
    """Store what became of claimed submissions, with their audit rows: NotInHand for one that is not this gateway's."""
    rows = [(one.receipt, one.outcome.accepted, *_ended(one.outcome)) for one in settled]
    columns = [list(column) for column in zip(*rows, strict=True)]
    found = await connection.fetch(_SETTLE, *columns, settled[0].me.id)
    identities: dict[str, int] = {row[0]: row[1] for row in found}
    results: list[Result] = []
    entries: list[Entry] = []
    audit: list[AuditRow] = []
    for one in settled:
        identity = identities.pop(one.receipt, None)
        if identity is None:
            results.append(NotInHand(f"submission {one.receipt} is not in hand"))
            continue
        results.append(None)
        since = instant(one.outcome.audit.at)
        entries.extend(Entry(identity, target, since) for target in one.outcome.targets)
        audit.append(one.outcome.audit)
    await enter(connection, entries)
    await append_audit(connection, audit, chaining=chaining)
    return results


def _ended(outcome: Outcome) -> tuple[object, ...]:
    answer = outcome.answer
    return (
        outcome.state, answer.status, plain(answer.media_type), answer.body, plain(answer.location), rule_ids(outcome),
    )  # fmt: skip


async def record(
    connection: Connection, recorded: Sequence[tuple[Submission, Outcome]], *, chaining: Chaining | None = None
) -> list[Result]:
    """Store submissions that were judged without a claim: ReceiptTaken for one that is stored."""
    rows = [(*_row(submission), *_ended(outcome)) for submission, outcome in recorded]
    found = await connection.fetch(_RECORD, *(list(column) for column in zip(*rows, strict=True)))
    identities: dict[str, int] = {row[0]: row[1] for row in found}
    results: list[Result] = []
    entries: list[Entry] = []
    audit: list[AuditRow] = []
    for submission, outcome in recorded:
        identity = identities.pop(submission.receipt, None)
        if identity is None:
            results.append(ReceiptTaken(submission.receipt))
            continue
        results.append(None)
        since = instant(outcome.audit.at)
        entries.extend(Entry(identity, target, since) for target in outcome.targets)
        audit.append(outcome.audit)
    await enter(connection, entries)
    await append_audit(connection, audit, chaining=chaining)
    return results


async def append_audit(
    connection: Connection, rows: Sequence[AuditRow], *, chaining: Chaining | None = None
) -> list[Result]:
    """Append rows to the audit in their order, behind the last one of their chain; without a chain, unlinked."""
    if not rows:
        return []
    texts = [(instant(row.at), *(plain(value) for value in stored(row))) for row in rows]
    links: list[tuple[object, ...]] = [(None, None, None, None)] * len(rows)
    if chaining is not None:
        before = await connection.fetchrow(_AUDIT_HEAD, chaining.chain)
        last = None if before is None else (before[0], before[1])
        for number, values in enumerate(texts):
            link = chaining.link(last, values)
            links[number], last = link, (link.seq, link.mac)
    columns = zip(*((*link, *values) for link, values in zip(links, texts, strict=True)), strict=True)
    await connection.execute(_APPEND_AUDIT, *(list(column) for column in columns))
    return [None] * len(rows)


async def give_up(connection: Connection, given_up: Sequence[tuple[Me, str]]) -> list[Result]:
    """Say of submissions in hand that nothing is done about them."""
    await connection.execute(_GIVE_UP, [receipt for _, receipt in given_up], given_up[0][0].id)
    return [None] * len(given_up)


async def held(connection: Connection, asked: Sequence[Me]) -> list[frozenset[str]]:
    """Receipts that each gateway has in hand, as the database has it."""
    return [frozenset(row[0] for row in await connection.fetch(_HELD, me.id)) for me in asked]


async def take_up(connection: Connection, asked: Sequence[tuple[Me, timedelta]]) -> list[tuple[Submission, ...]]:
    """Take in hand what is nobody's, and was given up so long ago: a result for each who asks."""
    results = []
    for me, given_up in asked:
        rows = await connection.fetch(_TAKE_UP, me.id, [me.home, *me.beside], given_up)
        results.append(submissions_of(tuple(row) for row in rows))
    return results
