"""The journal on PostgreSQL, for any number of gateways: what was claimed, and how it ended, is on disk when told.

Three ways to the database: one connection that writes in batches, one that holds turns and looks who waits, and a pool
that reads. Each is opened again after it broke; until then whatever needs it is JournalUnavailable.

Source: "Journal" in `trust.md` and "Keys" in `http-interface.md` of the design; `interface.py` says what each does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from uuid import uuid4

import asyncpg

from gateway.journal import asking
from gateway.journal import postgres_leases as leases
from gateway.journal import postgres_queue as queue
from gateway.journal import postgres_reading as reading
from gateway.journal import postgres_submissions as submissions
from gateway.journal.audit import AuditRow
from gateway.journal.audit_chain import Chaining
from gateway.journal.in_hand import InHand
from gateway.journal.interface import AT_ONCE
from gateway.journal.lock import only_holder
from gateway.journal.model import (
    Attempt,
    Claim,
    Conflict,
    Held,
    JournalUnavailable,
    Outcome,
    Progress,
    Queued,
    Receipt,
    Repeat,
    Submission,
    instant,
    without_claim,
)
from gateway.journal.postgres_batches import FAILURES, Batches, storage_fails, unavailable
from gateway.journal.postgres_schema import Connection, Database, connect, migrate, options
from gateway.journal.postgres_submissions import Asked, Me, Settled
from gateway.journal.postgres_texts import plain
from gateway.journal.postgres_turns import PostgresTurns
from gateway.journal.steps import Work

T = TypeVar("T")
READERS = 4
HOME = "gateway.id"


class PostgresJournal:
    """Journal on PostgreSQL, by one gateway of maybe several.

    Shape: `home` is the gateway's data folder, which one process at a time has; `same` tells, by name, what has to be
    the same at all gateways (hashes of secrets).
    """

    def __init__(
        self,
        database: Database,
        home: Path,
        same: Mapping[str, str] | None = None,
        chaining: Chaining | None = None,
        *,
        own_store: bool = False,
        beside: Sequence[Path] = (),
    ) -> None:
        """Make a journal that is not open yet.

        Shape: `chaining` links its audit rows; None for no chain. `own_store` says that the gateway keeps resources in
        a store of its own, which no second one may then. `beside` are data folders whose files it has too: it takes up
        what was in hand there.
        """
        # each is one kind of operation, of which several are done together
        self._settling = partial(submissions.settle, chaining=chaining)
        self._recording = partial(submissions.record, chaining=chaining)
        self._auditing = partial(submissions.append_audit, chaining=chaining)
        self._database = database
        self._home = home
        self._beside = tuple(beside)
        self._same = dict(same or {})
        self._me = Me(uuid4(), "", own_store)
        self._writer = Batches(partial(connect, database), commits=True)
        self._turns = PostgresTurns(database)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._lock: int | None = None
        self._hand = InHand()
        self._strays: frozenset[str] = frozenset()
        self._beating: asyncio.Task[None] | None = None
        self._well_since: float | None = None

    @property
    def shared(self) -> bool:
        """Whether other gateways may use it at the same time."""
        return True

    async def open(self) -> None:
        """Start, making the tables or bringing them up to date.

        Errors: JournalUnavailable, closed again.
        """
        self._lock = only_holder(self._home / "journal.db")
        try:
            others = tuple(_home(one) for one in self._beside if (one / HOME).exists())
            self._me = replace(self._me, home=_home(self._home), beside=others)
            await self._prepare()
            self._writer.start()
            self._turns.start()
            self._pool = await _heard(asyncpg.create_pool(**options(self._database), min_size=1, max_size=READERS))
            for named in self._same.items():
                await self._writer.submit(leases.agree, named)
            await self._beat()
            await self._writer.submit(leases.alone_with_its_store, self._me)
        except BaseException:
            await self.close()
            raise
        self._beating = asyncio.create_task(self._keep_beating(), name="journal-lease")

    async def _prepare(self) -> None:
        connection = await _heard(connect(self._database))
        try:
            await _heard(migrate(connection))
        finally:
            with contextlib.suppress(*FAILURES):
                await connection.close()

    async def close(self) -> None:
        """Finish what was handed over, and stop; what is still in hand is nobody's from then on."""
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        if self._well_since is not None:
            with contextlib.suppress(JournalUnavailable):  # then its lease ends by itself
                await self._writer.submit(leases.leave, self._me)
        await self._turns.stop()
        await self._writer.stop()
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(1):
                    await pool.close()
            except FAILURES:
                pool.terminate()
        if self._lock is not None:
            os.close(self._lock)  # which gives the lock back
            self._lock = None

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    # --- lease -------------------------------------------------------------------------------------------------------

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(leases.LEASE / 4)
            self._turns.keep()
            with contextlib.suppress(JournalUnavailable):  # whoever needs the journal is told, and so is `writable`
                await self._beat()

    async def _beat(self) -> None:
        """Say that this gateway is there, and see to what those who are gone left."""
        now = asyncio.get_running_loop().time()
        try:
            await self._writer.submit(leases.beat, self._me)
        except JournalUnavailable:
            self._well_since = None
            raise
        if self._well_since is None:
            self._well_since = now
        others = now - self._well_since > leases.LEASE
        await self._writer.submit(leases.bury, (self._me, others))
        for receipt in list(self._hand.given_up):
            await self._writer.submit(submissions.give_up, (self._me, receipt))
            self._hand.given_up.pop(receipt, None)
        await self._give_up_strays()

    async def _give_up_strays(self) -> None:
        """Give up what is this gateway's without its knowing: it was committed, and the answer was lost.

        Shape: what is stray in two beats running; in one, its answer may be on the way.
        """
        held = await self._writer.submit(submissions.held, self._me)
        strays = held - self._hand.futures.keys() - self._hand.given_up.keys()
        for receipt in strays & self._strays:
            self.abandon(receipt)
        self._strays = strays

    # --- submissions -------------------------------------------------------------------------------------------------

    async def claim(self, submission: Submission, patience: float = 20.0, *, here: bool = False) -> Claim:
        """As `Journal.claim`."""

        def ask(supersedes: str | None) -> asyncio.Future[Claim | Held]:
            return self._writer.submit(submissions.claim, Asked(self._me, submission, supersedes, here))

        return await self._hand.claimed(submission, patience, ask, self.abandon)

    async def look(self, submission: Submission) -> Repeat | Conflict | None:
        """As `Journal.look`."""
        return await self._ask(partial(submissions.look, submission=submission))

    def abandon(self, receipt: str) -> None:
        """As `Journal.abandon`."""
        self._hand.give_up(receipt)
        try:
            told = self._writer.submit(submissions.give_up, (self._me, receipt))
        except JournalUnavailable:
            return  # it is closed, and let go of all
        told.add_done_callback(partial(self._given_up, receipt))

    def _given_up(self, receipt: str, told: asyncio.Future[None]) -> None:
        if not told.cancelled() and told.exception() is None:
            self._hand.given_up.pop(receipt, None)  # the next beat tells what could not be told now

    async def settle(self, receipt: str, outcome: Outcome) -> None:
        """As `Journal.settle`."""
        done = self._writer.submit(self._settling, Settled(self._me, receipt, outcome))
        await self._hand.settling(receipt, done, self.abandon)

    async def record(self, submission: Submission, outcome: Outcome) -> None:
        """As `Journal.record`."""
        await self.announce(submission, without_claim(outcome))

    async def announce(self, submission: Submission, outcome: Outcome) -> None:
        """As `Journal.announce`."""
        await self._writer.submit(self._recording, (submission, outcome))

    async def unfinished(self, given_up: timedelta = AT_ONCE) -> tuple[Submission, ...]:
        """As `Journal.unfinished`."""
        taken = await self._writer.submit(submissions.take_up, (self._me, given_up))
        for submission in taken:
            self._hand.take_again(submission.receipt)
        return taken

    async def find(self, receipt: str) -> Receipt | None:
        """As `Journal.find`."""
        return await self.read(partial(asking.find, plain(receipt)))

    async def submission(self, receipt: str) -> Submission | None:
        """As `Journal.submission`."""
        return await self.read(partial(asking.submission, plain(receipt)))

    async def progress(self, receipt: str, told: Progress) -> None:
        """As `Journal.progress`."""
        await self._writer.submit(reading.progress, (receipt, told))

    async def advanced(self, receipt: str, line: int, stored: int, refused: int) -> None:
        """As `Journal.advanced`."""
        await self._writer.submit(reading.advanced, (receipt, line, stored, refused))

    async def find_progress(self, receipt: str) -> Progress | None:
        """As `Journal.find_progress`."""
        return await self.read(partial(asking.find_progress, plain(receipt)))

    # --- queue and order ---------------------------------------------------------------------------------------------

    async def waiting(self, places: Iterable[tuple[str, str | None]]) -> frozenset[tuple[str, str]]:
        """As `Journal.waiting`."""
        asked = [(target, key) for target, key in places if key is not None]
        return await self._turns.submit(queue.waiting, asked) if asked else frozenset()

    async def due(self, now: datetime, without: frozenset[str] = frozenset()) -> Queued | None:
        """As `Journal.due`."""
        return await self._writer.submit(queue.due, (self._me.id, instant(now), sorted(without)))

    async def attempted(
        self,
        item: Queued,
        *,
        delivered: bool = False,
        failed: str | None = None,
        next_at: datetime | None = None,
        dead: str | None = None,
    ) -> None:
        """As `Journal.attempted`."""
        went = Attempt.told(delivered=delivered, failed=failed, next_at=next_at, dead=dead)
        await self._writer.submit(queue.attempted, queue.Attempted(self._me.id, item.id, went))

    async def take_turn(self, place: tuple[str, str]) -> None:
        """As `Journal.take_turn`."""
        await self._turns.take(place)

    def give_turn_back(self, place: tuple[str, str]) -> None:
        """As `Journal.give_turn_back`."""
        self._turns.give_back(place)

    # --- audit, tokens, limits ---------------------------------------------------------------------------------------

    async def audit(self, row: AuditRow) -> None:
        """As `Journal.audit`."""
        await self._writer.submit(self._auditing, row)

    async def audit_rows(self, since: datetime) -> tuple[AuditRow, ...]:
        """As `Journal.audit_rows`."""
        return await self.read(partial(asking.audit_rows, instant(since)))

    async def claim_token_id(self, issuer: str, jti: str, expires: float) -> bool:
        """As `Journal.claim_token_id`."""
        return await self._writer.submit(reading.claim_token_ids, (issuer, jti, expires))

    async def count_released(self, principal: str, type_: str, day: str, names: Sequence[str], limit: int) -> bool:
        """As `Journal.count_released`."""
        asked = reading.Released(principal, type_, day, tuple(names), limit)
        return await self._writer.submit(reading.count_released, asked)

    async def writable(self) -> bool:
        """As `Journal.writable`."""
        try:
            await self._writer.submit(leases.beat, self._me)
        except JournalUnavailable:
            return False
        return True

    # --- work that is written once for both storages -----------------------------------------------------------------

    async def read(self, work: Work[T]) -> T:
        """As `Journal.read`."""
        return await self._ask(partial(reading.on_postgres, work=work))

    async def change(self, work: Work[T]) -> T:
        """As `Journal.change`."""
        done: T = await self._writer.submit(reading.work_off, work)
        return done

    async def _ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """What a connection of the pool answers.

        Errors: JournalUnavailable; whatever else the question raises.
        """
        if self._pool is None:
            raise JournalUnavailable("the journal is not open")
        try:
            async with self._pool.acquire(timeout=5) as connection:
                return await question(connection)  # type: ignore[arg-type]  # a connection behind a proxy
        except FAILURES as error:
            if not storage_fails(error):
                raise
            raise unavailable(error) from error


async def _heard(work: Awaitable[T]) -> T:
    """What work comes to, its failure in the words of the journal."""
    try:
        return await work
    except FAILURES as error:
        raise unavailable(error) from error


def _home(folder: Path) -> str:
    """Name of a data folder, which stays with it: made at the first start.

    Errors: JournalUnavailable.
    """
    path = folder / HOME
    try:
        if not path.exists():
            beside = path.with_suffix(".new")
            beside.touch(mode=0o600)
            beside.write_text(f"{uuid4()}\n", "ascii")
            beside.replace(path)
        name = path.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise JournalUnavailable(f"{path} can't be read or written: {error}") from error
    if not name:
        raise JournalUnavailable(f"{path} is empty: remove it, and this gateway gets a new name")
    return name
