"""The rows of a file that was judged, delivered in batches; the journal knows after each how far they have come.

What was delivered and not yet journalled is delivered again after a crash: the same rows make the same resources under
the same ids, which changes nothing. Source: `http-interface.md` of the design.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from gateway import fhir, tabular
from gateway.fhir import Draft
from gateway.fhir.provenance import Submitted, by_digest, provenance, submitted_as
from gateway.finding import Finding
from gateway.interactions.csv_submission import File, Judged, judged, some
from gateway.interactions.csv_tally import Tally
from gateway.interactions.deliver import LATE, MayStand, Parcel, TargetRefused, hand_over, target_of
from gateway.interactions.gateway import Gateway
from gateway.interactions.refused import Reason, Refused, error
from gateway.interactions.submission import audit_row
from gateway.journal import AuditRow, TargetState
from gateway.rules import Routing
from gateway.specs import Systems
from gateway.upstream import TargetDown

ROWS = 50
"""Rows of a batch: so many share a transaction, and as long the event loop is kept from others."""

WITHIN = 15.0
LONGEST_PAUSE = 60.0
log = structlog.get_logger()


class Late(Exception):  # noqa: N818 - the sender's time is over, the work goes on
    """A file whose delivery takes longer than its sender waits."""


@dataclass(slots=True)
class Batch:
    """Rows that travel together.

    Shape: every draft once, since a transaction names a resource once; a row that tells anything else of one of them
    begins the next batch.
    """

    rows: list[Judged] = field(default_factory=list)
    drafts: dict[tuple[str, str], Draft] = field(default_factory=dict)

    def takes(self, row: Judged) -> bool:
        """Whether a row can travel with the others."""
        if len(self.rows) >= ROWS or (self.rows and _ways(self.rows[0]) != _ways(row)):
            return False
        return all(
            draft.only_new or (standing := self.drafts.get(_name(draft))) is None or standing == draft
            for draft in row.drafts
        )

    def add(self, row: Judged) -> None:
        """Take a row."""
        self.rows.append(row)
        for draft in row.drafts:
            standing = self.drafts.get(_name(draft))
            if standing is None or standing.only_new:
                self.drafts[_name(draft)] = draft


def _of(rows: Iterable[Judged]) -> Batch:
    """Some rows of a batch as one of their own."""
    batch = Batch()
    for row in rows:
        batch.add(row)
    return batch


def _ways(row: Judged) -> tuple[Routing, ...]:
    """The routes of a row without what keeps it in order: rows of one batch keep it anyway."""
    return tuple(routing._replace(order_key=None) for routing in row.routes)


def _name(draft: Draft) -> tuple[str, str]:
    return draft.resource["resourceType"], draft.resource["id"]


async def deliver_rows(gateway: Gateway, file: File, tally: Tally, until: float | None) -> tuple[TargetState, ...]:
    """Deliver every good row behind the last one that was, in batches, each journalled.

    Shape: the state of each target at the end. Units: `until` on the event loop's clock, None where nobody waits.
    Errors: Late where that is over; Refused where nothing was delivered and a target refuses or is down; OSError.
    """
    rows, reached = judged(gateway, file, tally.line), dict[str, Routing]()
    waiting: list[Judged] = []
    batch = Batch()
    while True:
        if not waiting:
            waiting = await asyncio.to_thread(some, rows, ROWS)
            if not waiting:
                break
        row = waiting.pop(0)
        if not row.drafts:
            continue
        if not batch.takes(row):
            await _hand_over(gateway, file, tally, batch, until)
            batch = Batch()
        batch.add(row)
        reached.update((routing.target, routing) for routing in row.routes)
    if batch.rows:
        await _hand_over(gateway, file, tally, batch, until)
    return _delivered(reached)


def _delivered(names: Iterable[str]) -> tuple[TargetState, ...]:
    return tuple(TargetState(name, "delivered", None, None, None, None) for name in names)


@dataclass(slots=True)
class _Reached:
    """What is known, after any number of attempts, of the targets that a batch goes to.

    Shape: `took` names those that have rows of it; `unsure` says that one may have some, or has some of its file.
    """

    unsure: bool
    took: dict[str, None] = field(default_factory=dict)

    def refusal(self, batch: Batch, reason: Reason, findings: Iterable[Finding], rules: tuple[str, ...]) -> Refused:
        """The refusal of a file at a batch: it tells of whom that is, and what was stored all the same."""
        refusal = Refused(reason, *findings, rules=rules, states=_delivered(self.took), unsure=self.unsure)
        refusal.about = tuple(draft.resource for draft in batch.drafts.values())
        return refusal


async def _hand_over(gateway: Gateway, file: File, tally: Tally, batch: Batch, until: float | None) -> None:
    """Deliver a batch, again for as long as its targets are down and its route waits; then journal it."""
    attempts, done, reached = 0, _Done(), _Reached(unsure=tally.stored > 0)
    keys = {(routing.target, routing.order_key) for row in batch.rows for routing in row.routes}
    while True:
        if until is not None and asyncio.get_running_loop().time() >= until:
            raise Late
        try:
            async with gateway.order.turns(keys, until):
                async with asyncio.timeout_at(until):
                    done = await _once(gateway, file, batch, keys, reached, first=not tally.stored)
            break
        except Refused as refusal:
            if refusal.reason == "busy":
                raise Late from refusal
            raise
        except (TargetDown, TimeoutError) as fault:
            why = fault.why if isinstance(fault, TargetDown) else LATE
            reached.unsure |= isinstance(fault, MayStand | TimeoutError)
            _give_up(gateway, file, tally, batch, reached, why)
        attempts += 1
        pause = min(2.0 ** min(attempts, 8), LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        log.info("file waits", receipt=file.submission.receipt, line=tally.line, why=why)
        if until is not None:
            raise Late
        await asyncio.sleep(pause)
    tally.line = batch.rows[-1].line
    tally.stored += done.stored
    tally.refused += done.refused
    tally.tell(done.findings)
    # of what came this far, though a crash right here would have it delivered, and told, again
    audit = gateway.journal.audit(_row(gateway, file, batch, "stored" if done.stored else "refused"))
    if done.refused:
        progress = tally.progress("delivering", deferred=until is None)
        await asyncio.gather(audit, gateway.journal.progress(file.submission.receipt, progress))
        return
    await asyncio.gather(
        audit, gateway.journal.advanced(file.submission.receipt, tally.line, tally.stored, tally.refused)
    )


def _row(gateway: Gateway, file: File, batch: Batch, outcome: str) -> AuditRow:
    """What the audit keeps of a batch: whom its rows are about, and which rules led them."""
    rules = tuple(dict.fromkeys(routing.rule for row in batch.rows for routing in row.routes))
    about = (draft.resource for draft in batch.drafts.values())
    return audit_row(gateway, file.submission, file.submission.type, rules, outcome, about)


def _give_up(gateway: Gateway, file: File, tally: Tally, batch: Batch, reached: _Reached, why: str) -> None:
    """Refuse a file whose target is down, unless its route waits or some of it is delivered already.

    Errors: Refused.
    """
    received = datetime.fromisoformat(file.submission.received)
    for routing in batch.rows[0].routes:
        wait = routing.hold if routing.hold is not None else file.domain.window if tally.stored else None
        if wait is None or gateway.clock() > received + wait:
            words = f"target {routing.target} is down: {why}; send the file again later"
            told = error("transient", words, rule=routing.rule)
            raise reached.refusal(batch, "down", (told,), (routing.rule,))


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of the rows of a batch. Shape: `findings` are those of the rows that a target refused."""

    stored: int = 0
    refused: int = 0
    findings: tuple[Finding, ...] = ()


async def _once(
    gateway: Gateway, file: File, batch: Batch, keys: set[tuple[str, str | None]], reached: _Reached, *, first: bool
) -> _Done:
    """Deliver a batch to its targets; where one refuses it, find out which row it means.

    Errors: TargetDown, TimeoutError; Refused where nothing of a file that is taken as a whole was delivered before.
    """
    behind = await gateway.journal.waiting(keys)
    if behind:
        raise TargetDown(next(iter(behind))[0], "earlier messages with the same order key are waiting for it")
    rows, parcel = batch.rows, _parcel(gateway, file, batch)
    try:
        for routing in rows[0].routes:
            async with asyncio.timeout(WITHIN):
                await hand_over(gateway, target_of(gateway, routing.target), parcel)
            reached.took[routing.target] = None
    except TargetRefused as fault:
        if file.whole and first:
            told = _told(fault, rows[0].line, rows[-1].line)
            rules = tuple(routing.rule for routing in rows[0].routes)
            raise reached.refusal(batch, "failed", told, rules) from fault
        if len(rows) == 1:
            return _Done(refused=1, findings=_told(fault, rows[0].line, rows[0].line))
        middle = len(rows) // 2
        one = await _once(gateway, file, _of(rows[:middle]), keys, reached, first=False)
        other = await _once(gateway, file, _of(rows[middle:]), keys, reached, first=False)
        return _Done(one.stored + other.stored, one.refused + other.refused, (*one.findings, *other.findings))
    return _Done(stored=len(rows))


def _told(fault: TargetRefused, first: int, last: int) -> tuple[Finding, ...]:
    """A target's issues with the lines that they are about."""
    where = tabular.place(first) if first == last else f"lines {first} to {last}"
    return tuple(
        replace(finding, expression=f"{where}, {finding.expression}" if finding.expression else where)
        for finding in fault.findings
    )


def _parcel(gateway: Gateway, file: File, batch: Batch) -> Parcel:
    submission = file.submission
    organisation = submission.organisation.upper()
    sender = ("Organization", organisation)
    drafts = [*batch.drafts.values()]
    if sender not in batch.drafts:
        identifier = {"system": gateway.tables.systems.ods, "value": organisation}
        own = {"resourceType": "Organization", "id": organisation, "meta": file.told.meta, "identifier": [identifier]}
        drafts.insert(0, Draft(own, only_new=True))
    received = datetime.fromisoformat(submission.received).astimezone(UTC).isoformat(timespec="milliseconds")
    drafts.append(Draft(_provenance(file, batch, received, gateway.tables.systems)))
    return Parcel(submission.receipt, b"", tuple(drafts), received, organisation, submission.domain)


def _provenance(file: File, batch: Batch, received: str, systems: Systems) -> fhir.Resource:
    """Who told what these rows tell, in which file: one for each batch, since a file may have any number of rows."""
    submission = file.submission
    first, last = batch.rows[0].line, batch.rows[-1].line
    identifier = submitted_as(submission.control_id, submission.body_hash, systems)
    derived = {"system": systems.uris, "value": by_digest(file.rows.digest)}
    entities = (
        {"role": "source", "what": {"identifier": identifier, "display": f"CSV file, lines {first} to {last}"}},
        {"role": "derivation", "what": {"identifier": derived, "display": f"layout {file.begun.layout.name}"}},
    )
    submitted = Submitted(
        submission.organisation.upper(), f"{submission.receipt} {first}", received, received, submission.rules,
        meta=file.told.meta,
    )  # fmt: skip
    return provenance(submitted, batch.drafts, entities, systems)
