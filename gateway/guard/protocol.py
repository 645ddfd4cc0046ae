"""A connection of uvicorn's that shows its parser nothing but whole, well-formed heads, one request after the other.

Times are looked at once a second, of a tenth of all connections at a time (`sweep`), so they cost a request nothing.
Source: RFC 9112 sections 9 and 11; `http-interface.md` of the design, "Limits and hostile clients".
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway import fhir
from gateway.finding import Finding
from gateway.guard import faults
from gateway.guard.answering import Answering
from gateway.guard.chunked import Chunks
from gateway.guard.faults import Fault
from gateway.guard.head import read_head, unfinished
from gateway.guard.limits import Limits
from gateway.guard.room import Room, whose
from gateway.guard.sparingly import Sparingly

_EMPTY_LINE = b"\r\n"
_END = b"\r\n\r\n"
Refusals = Callable[[str], None]
TURNS, ENDINGS = 10, 10
"""A tenth of all connections is looked at in a turn, and at most so many are ended in one."""
STANDS_STILL = 1.0
"""Units: seconds after which who takes no answer may have to give way."""
_turns = itertools.cycle(range(TURNS))


class Guarded(HttpToolsProtocol):
    """HTTP/1.1 within the limits of its class; whatever is beyond them is answered once, and the connection ends.

    Shape: a connection is idle, has a head or a body on its way, waits for an answer, or ends. What is sent behind a
    request waits here, bounded, until that one is answered.
    """

    limits = Limits()
    room = Room(limits.connections)
    warn = Sparingly()
    refused: Refusals | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin where nothing has come."""
        super().__init__(*arguments, **named)
        self._held = bytearray()
        self._seen = 0  # of what is held, in search of the end of a head
        self._body: int | Chunks | None = None
        self._requests = 0
        self._came = 0  # bytes of the body in this window
        self._surplus = 0
        self._ending = False
        self.turn = next(_turns)
        self._since = self._window = self.loop.time()
        self._stuck: tuple[float, int] | None = None
        self.whose = ""

    # --- uvicorn's and asyncio's seams ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection, or make room for it."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self.whose = whose(self.client[0]) if self.client else ""
        self.room.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self.room.left(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        if self._ending:
            self._surplus += len(data)
            if self._surplus > self.limits.surplus:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        if not self._held and self._body is None and not self._under_way() and self._requests:
            self._since = self.loop.time()  # the first bytes of another request
        self._held += data
        self._advance()

    def on_headers_complete(self) -> None:
        """Begin to answer a request.

        One is in hand at a time, its target is a path, and what it offered of other protocols was left out.
        """
        version, scope = self.parser.get_http_version(), self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        raw, _, scope["query_string"] = self.url.partition(b"?")
        path = raw.decode("ascii")
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + raw
        self.cycle = Answering(
            scope=scope, transport=self.transport, flow=self.flow, logger=self.logger,
            access_logger=self.access_logger, access_log=False, default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(), expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(), on_response=self.on_response_complete,
        )  # fmt: skip
        self._start_asgi_task(self.cycle, self.app)

    def on_response_complete(self) -> None:
        """Go on with what came behind the request that is answered now."""
        super().on_response_complete()
        self._since = self.loop.time()
        if self._held and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.loop.call_soon(self._advance)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        """Answer what the parser can't read although the guard could."""
        self._refuse(faults.UNREAD)

    # --- requests ------------------------------------------------------------------------------------------------

    def _under_way(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _advance(self) -> None:
        """Pass on what may be passed on."""
        while self._held and not self._ending and not self.transport.is_closing():
            if self._body is not None:
                if not self._take_body(self._body):
                    return
            elif self._under_way():
                if len(self._held) > self.limits.ahead:
                    self.flow.pause_reading()  # until the answer is there
                return
            elif not self._take_head():
                return

    def _take_head(self) -> bool:
        """Pass a head on. Shape: whether it was all there."""
        held = self._held
        # RFC 9112 section 2.2: an empty line before a request is left out; it stays here so that the time runs
        start = len(_EMPTY_LINE) if held.startswith(_EMPTY_LINE) else 0
        end = held.find(_END, max(start, self._seen - len(_END)))
        if end < 0 or end - start > self.limits.head:
            part = held[start:] if end < 0 else held[start : end + len(_EMPTY_LINE)]
            fault = None if part == _EMPTY_LINE[:1] else unfinished(part, self.limits.head, max(0, self._seen - start))
            self._seen = len(held)
            if fault is not None:
                self._refuse(fault)
            return False
        raw, self._seen = bytes(held[start : end + len(_END)]), 0
        del held[: end + len(_END)]
        head = read_head(raw, self.limits.fields)
        if isinstance(head, Fault):
            self._refuse(head)
            return False
        self._requests += 1
        self._came = self._surplus = 0
        self._window = self._since = self.loop.time()
        self._body = Chunks() if head.length is None else (head.length or None)
        super().data_received(head.raw)
        if self._requests >= self.limits.requests and self._under_way():
            self.cycle.keep_alive = False
        return True

    def _take_body(self, body: int | Chunks) -> bool:
        """Pass on what came of a body. Shape: whether it is over."""
        took = min(body, len(self._held)) if isinstance(body, int) else body.take(self._held)
        if isinstance(took, Fault):
            self._refuse(took)
            return False
        piece = bytes(self._held[:took])
        del self._held[:took]
        self._came += took
        if isinstance(body, int):
            self._body = body - took or None
        elif body.done:
            self._body = None
        if not self._under_way():
            self._surplus += took
            if self._surplus > self.limits.surplus:
                self.transport.close()
                return False
        if piece:
            super().data_received(piece)
        if self._body is None and not self._under_way():
            self._since = self.loop.time()
        return self._body is None

    # --- refusals ------------------------------------------------------------------------------------------------

    def _refuse(self, fault: Fault) -> None:
        """Answer a fault, and end the connection once the client could read that."""
        self._ending, self._since, self._surplus = True, self.loop.time(), 0
        self._held.clear()
        self.room.leaves(self)
        if self.refused is not None:
            self.refused(fault.rule)
        self.warn("connection refused", rule=fault.rule, status=fault.status)
        if self._under_way():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.cycle.response_started if self._under_way() else self._body is not None:
            self.transport.close()  # its answer has begun, and another would be taken for a later request's
            return
        self._unset_keepalive_if_required()
        self.transport.write(self._answer(fault))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()  # a client that still writes reads the answer instead of a broken connection

    def _answer(self, fault: Fault) -> bytes:
        """A whole answer over HTTP. Source: RFC 9112 section 4."""
        now = datetime.now(UTC)
        outcome = fhir.operation_outcome(
            (Finding("error", fault.kind, fault.words, None, fault.rule),),
            id=str(uuid.uuid4()), last_updated=now.isoformat(timespec="milliseconds"),
        )  # fmt: skip
        body = fhir.dump(outcome)
        fields = [
            *self.server_state.default_headers,
            (b"content-type", b"application/fhir+json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
            *([(b"allow", b", ".join(faults.METHODS))] if fault.status == HTTPStatus.METHOD_NOT_ALLOWED else []),
            *([(b"retry-after", b"1")] if fault.status == HTTPStatus.SERVICE_UNAVAILABLE else []),
        ]
        line = f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}\r\n".encode()
        return b"".join([line, *(b"%b: %b\r\n" % field for field in fields), b"\r\n", body])

    # --- times and room ------------------------------------------------------------------------------------------

    def waits(self) -> bool:
        """Whether nothing of a request is in hand: the connection is idle, or its head is still on its way."""
        return self._body is None and not self._under_way() and not self._ending and not self.transport.is_closing()

    def check_times(self, now: float) -> bool:
        """End the connection where it takes too long.

        Shape: whether it was ended now, or begins to end. Units: `now` on the event loop's clock.
        """
        ending, closing = self._ending, self.transport.is_closing()
        self._look(now)
        return (self._ending, self.transport.is_closing()) != (ending, closing)

    def _look(self, now: float) -> None:
        limits, flow = self.limits, self.flow
        if self._takes_no_answer(now, flow):
            self.transport.abort()
        elif self._ending:
            if now - self._since > limits.linger:
                self.transport.close()
        elif self.transport.is_closing():
            return
        elif self.waits():
            if (self._held or not self._requests) and now - self._since > limits.head_within:
                self._refuse(faults.SLOW_HEAD)
            elif self._is_idle(now):
                self.transport.close()
        elif self._body is not None:
            self._check_body(now, flow)

    def _is_idle(self, now: float) -> bool:
        """Whether a connection is to end for which uvicorn has no timer: its answer was there before its body."""
        idle = self._requests and not self._held and not self.transport.get_write_buffer_size()
        return bool(idle) and now - self._since > self.limits.idle_within

    def _check_body(self, now: float, flow: FlowControl) -> None:
        if flow.read_paused or (self._under_way() and self.cycle.waiting_for_100_continue):
            self._came, self._window = 0, now  # it is the gateway that takes its time
        elif now - self._window >= self.limits.body_window:
            if self._came < self.limits.body_rate * (now - self._window):
                self._refuse(faults.SLOW_BODY)
            self._came, self._window = 0, now

    def _takes_no_answer(self, now: float, flow: FlowControl) -> bool:
        """Whether the client takes too little of what was written for it."""
        size = self.transport.get_write_buffer_size()
        if not size or not (flow.write_paused or self.transport.is_closing() or self._ending):
            self._stuck = None
            return False
        if self._stuck is None:
            self._stuck = now, size
        since, before = self._stuck
        if now - since < self.limits.write_window:
            return False
        self._stuck = now, size
        return before - size < self.limits.body_rate * (now - since)

    @property
    def standing(self) -> tuple[int, float] | None:
        """Who gives way first; None where it is the gateway that is waited for.

        Shape: 0 for who never sent a whole request, 1 for who is idle, 2 for whose body still comes, 3 for who takes no
        answer; with the time since when.
        """
        if self._ending:
            return None
        if self._stuck is not None and self.loop.time() - self._stuck[0] >= STANDS_STILL:
            return 3, self._stuck[0]
        if self.transport.is_closing():
            return None
        if self._body is not None:
            return 2, self._since
        if self._under_way():
            return None
        return int(bool(self._requests) and not self._held), self._since

    def give_way(self) -> None:
        """End for the sake of others: with words where a request had begun, without where none had."""
        if self._stuck is not None:
            self.transport.abort()  # it would not take these words either
        elif self._held or not self._requests or self._body is not None:
            self._refuse(faults.FULL)
        else:
            self.transport.close()

    def refuse_room(self) -> None:
        """End because all the others are at work."""
        self._refuse(faults.FULL)

    def cut_off(self) -> None:
        """End at once: what was to be said was written."""
        self.transport.abort()


def guarded(limits: Limits, refused: Refusals | None = None) -> type[Guarded]:
    """The protocol of a listener with limits of its own. Shape: `refused` is told the code of each refusal."""
    own = {
        "limits": limits, "room": Room(limits.connections), "warn": Sparingly(),
        "refused": refused and staticmethod(refused),
    }  # fmt: skip
    return type("Guarded", (Guarded,), own)


def sweep(connections: Iterable[object], now: float, turn: int) -> None:
    """Look at the times of some connections, those whose turn it is, so that many that end together stop nobody else.

    Units: `now` on the event loop's clock; each connection has one of `TURNS` turns.
    """
    ended = 0
    for one in list(connections):
        if isinstance(one, Guarded) and one.turn == turn % TURNS:
            ended += one.check_times(now)
            if ended >= ENDINGS:
                return
