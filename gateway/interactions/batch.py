"""A batch of HL7 v2 messages: each is a case of its own, answered in its place of a batch of acknowledgements.

The answer leaves as it is made, so nothing of a batch but a few messages is ever in memory. Messages of one order key
are taken one after the other, in their order; others beside each other. What the time of a batch doesn't reach is not
taken at all and says so: the whole batch may be sent again, since what was accepted gets its first answer.

Source: HL7 v2.5.1, chapter 2.10.3; `http-interface.md` of the design.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from dataclasses import replace
from functools import partial
from typing import IO, Any, TypeAlias

import structlog
from starlette.responses import StreamingResponse

from gateway import hl7v2
from gateway.hl7v2 import batch
from gateway.interactions.acknowledge import ACKNOWLEDGEMENT, answer
from gateway.interactions.ahead import Ahead
from gateway.interactions.batch_frame import Frame
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import shown
from gateway.interactions.heavy import worked
from gateway.interactions.identify import Asking
from gateway.interactions.refused import Reason, Refused, error
from gateway.interactions.respond import NO_STORE
from gateway.interactions.submission import Case, Envelope, opened
from gateway.journal import Answer, AuditRow, JournalUnavailable

CHUNK = 64 * 1024
Settle: TypeAlias = Callable[[Gateway, Case, dict[str, Any]], Awaitable[Answer]]
log = structlog.get_logger()


def answered(
    gateway: Gateway, asking: Asking, envelope: Envelope, spool: IO[bytes], settle: Settle, seen: dict[str, Any]
) -> StreamingResponse:
    """Take a batch and answer it: 200, whatever the acknowledgements say.

    Shape: `spool` holds the body and is closed here; `seen` gathers what the request's log line tells.
    Units: the batch's time starts now, when the last byte has come.
    """
    until = asyncio.get_running_loop().time() + gateway.settings.batch_within
    taking = _Taking(gateway, asking, replace(envelope, deadline=until), spool, settle)
    return StreamingResponse(taking.answers(seen), headers={**NO_STORE, "Content-Type": ACKNOWLEDGEMENT})


class _Taking:
    """One batch on its way through the gateway."""

    def __init__(self, gateway: Gateway, asking: Asking, envelope: Envelope, spool: IO[bytes], settle: Settle) -> None:
        self._gateway = gateway
        self._asking = asking
        self._envelope = envelope
        self._spool = spool
        self._settle = settle
        self._outcomes: Counter[str] = Counter()

    async def answers(self, seen: dict[str, Any]) -> AsyncIterator[bytes]:
        """The answer, piece by piece: a header for a header, an acknowledgement for a message."""
        frame, ahead = Frame(self._gateway, self._envelope.sender), Ahead()
        try:
            for part in batch.parts(self._chunks()):
                match part.name:
                    case "FHS" | "BHS" as name:
                        ahead.add(frame.opened(name, self._bytes(part, batch.LONGEST_HEADER)))
                    case "BTS" | "FTS" as name:
                        ahead.add(frame.closed(name, self._bytes(part, batch.LONGEST_HEADER)))
                    case name:
                        while ahead.is_full(part.end - part.start):
                            await ahead.wait()
                            for piece in ahead.made():
                                yield piece
                        ahead.add(frame.acknowledged(is_message=name == "MSH"))
                        await self._begin(part, ahead)
                for piece in ahead.made():
                    yield piece
            ahead.add(frame.ended())
            while ahead:
                await ahead.wait()
                for piece in ahead.made():
                    yield piece
            await self._audit(frame.warnings)
        finally:
            ahead.leave()
            self._spool.close()
            outcomes, domain = dict(self._outcomes), self._envelope.domain.name
            seen.update(outcome="batch", domain=domain, outcomes=outcomes, warnings=len(frame.warnings))

    def _chunks(self) -> Iterator[bytes]:
        """The body from its beginning, whatever else is read of it in between."""
        at = 0
        while True:
            self._spool.seek(at)
            chunk = self._spool.read(CHUNK)
            if not chunk:
                return
            at += len(chunk)
            yield chunk

    def _bytes(self, part: batch.Part, longest: int) -> bytes:
        self._spool.seek(part.start)
        return self._spool.read(min(part.end - part.start, longest))

    async def _begin(self, part: batch.Part, ahead: Ahead) -> None:
        """Begin with one message; what is no message is refused in its place, and kept as any other refusal."""
        size, limit = part.end - part.start, self._gateway.settings.body_limit
        if asyncio.get_running_loop().time() >= self._envelope.deadline:
            await asyncio.sleep(0)  # nothing else here waits, and others want their answers too
            words = (
                "the time of this batch ended before this message was reached, so nothing of it was taken: send it "
                "again, alone or with the whole batch, as what was accepted gets its first answer"
            )
            ahead.add(self._untaken(part, "busy", "timeout", words, "HL7-B01"))
            return
        if size > limit:
            words = f"the message is larger than {limit} bytes"
            ahead.add(self._untaken(part, "too-large", "too-long", words, "HTTP-B01"))
            return
        raw = self._bytes(part, limit)
        case = await worked(size, opened, self._gateway, self._asking, self._envelope, raw)
        keys = await worked(size, self._keys, case)
        ahead.begin(partial(self._settled, case), keys, size)

    def _keys(self, case: Case) -> frozenset[Hashable] | None:
        """What a message may not overtake another under: the order keys of its routes, and its own key.

        Shape: None where that can't be told; then it overtakes nothing.
        """
        try:
            case.content.check_acceptable(self._gateway, case.domain)
            routes = self._gateway.rules.decide(case.facts).routes
        except Refused:
            return frozenset({case.submission.key})
        except Exception:  # noqa: BLE001 - settling meets the same fault, and tells and logs it
            return None
        return frozenset(
            {case.submission.key, *((route.target, route.order_key) for route in routes if route.order_key)}
        )

    async def _settled(self, case: Case) -> bytes:
        told: dict[str, Any] = {}
        reply = await self._settle(self._gateway, case, told)
        self._outcomes[str(told.get("outcome"))] += 1
        return reply.body

    def _untaken(self, part: batch.Part, reason: Reason, code: str, words: str, rule: str) -> bytes:
        """Answer a message that was not taken; its header alone is read."""
        self._outcomes["not reached" if reason == "busy" else reason] += 1
        message = hl7v2.read(self._bytes(part, batch.LONGEST_HEADER), self._envelope.charset)
        sender = replace(self._envelope.sender, message=message)
        return answer(self._gateway, sender, reason, (error(code, words, None, rule),)).body

    async def _audit(self, warnings: tuple[str, ...]) -> None:
        """Say in the audit what the batch was; its messages have rows of their own."""
        sender, outcomes = self._envelope.sender, ", ".join(f"{n} {name}" for name, n in sorted(self._outcomes.items()))
        row = AuditRow(
            at=self._gateway.clock().isoformat(), principal=self._asking.caller.name, user=self._asking.user,
            purpose=self._asking.purpose, action="ingest",
            what=f"{self._envelope.domain.name} {shown(sender.organisation)} batch: {outcomes or 'no message'}",
            rules=(), outcome="batch with warnings" if warnings else "batch", digest=self._gateway.rules.digest,
        )  # fmt: skip
        try:
            await self._gateway.journal.audit(row)
        except JournalUnavailable as fault:
            # The last acknowledgement has left; each of them told what became of its message.
            log.error("journal unavailable", why=str(fault), what=row.what)
