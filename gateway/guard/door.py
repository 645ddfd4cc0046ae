"""The door before TLS: connections in their handshake, how many and how long, before anything of HTTP was said.

Whoever has most of them loses the oldest of its own: a handshake that is meant takes milliseconds, one that holds room
does not. Source: `http-interface.md` of the design, "Limits and hostile clients"; RFC 8446 section 4.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.guard import faults
from gateway.guard.limits import Limits
from gateway.guard.protocol import Refusals
from gateway.guard.room import whose
from gateway.guard.sparingly import Sparingly, mention

PART = 4
"""Handshakes may take a part of so many of the connections that are allowed, beside those."""
EACH = 2
"""One address may have a part of so many of that."""
SHUTDOWN_WITHIN = 2.0
"""Units: seconds that the other side gets to end TLS as it should."""
AT_ONCE = 100
"""Connections that are taken before anything else gets its turn."""
REST = 0.5
"""Units: seconds until connections are taken again, where the machine has no room for another."""
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
log = structlog.get_logger()
Made = Callable[[], asyncio.Protocol]


@dataclass(slots=True, eq=False)
class Handshakes:
    """All handshakes of one server's listeners. Shape: those of each party, the oldest first."""

    limits: Limits
    refused: Refusals | None = None
    _number: int = 0
    _by: dict[str, dict[asyncio.Task[None], None]] = field(default_factory=dict)
    _crowded: set[asyncio.Task[None]] = field(default_factory=set)
    _warn: Sparingly = field(default_factory=Sparingly)
    _mention: Sparingly = field(default_factory=lambda: Sparingly(mention))

    def __len__(self) -> int:
        """How many are in hand."""
        return self._number

    def begin(self, accepted: socket.socket, address: str, protocol: Made, tls: ssl.SSLContext) -> None:
        """Begin to agree TLS on a connection; where there are too many, another ends for it."""
        party = whose(address)
        task = asyncio.ensure_future(self._agree(accepted, protocol, tls))
        self._by.setdefault(party, {})[task] = None
        self._number += 1
        task.add_done_callback(lambda done: self._leave(party, done))
        most = max(1, self.limits.connections // PART)
        if len(self._by[party]) > max(1, most // EACH):
            self._end_oldest(party)
        elif self._number > most:
            self._end_oldest(max(self._by, key=lambda each: len(self._by[each])))

    def close(self) -> None:
        """End all that are in hand."""
        for held in self._by.values():
            for one in held:
                one.cancel()
        self._warn.rest()
        self._mention.rest()

    async def _agree(self, accepted: socket.socket, protocol: Made, tls: ssl.SSLContext) -> None:
        """Agree TLS on one connection in time, and hand it to its protocol."""
        own = asyncio.current_task()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol, accepted, ssl=tls, ssl_handshake_timeout=self.limits.handshake_within,
                ssl_shutdown_timeout=SHUTDOWN_WITHIN,
            )  # fmt: skip
        except ConnectionAbortedError:  # asyncio's where the time is over
            self._say(faults.SLOW_HANDSHAKE)
        except ssl.SSLError as error:
            self._warn("handshake failed", why=getattr(error, "verify_message", None) or error.reason)
        except OSError as error:
            self._mention("handshake broken off", why=error.strerror or type(error).__name__)
        except asyncio.CancelledError:
            if own not in self._crowded:
                raise
            self._say(faults.CROWDED_HANDSHAKE)

    def _end_oldest(self, party: str) -> None:
        oldest = next(iter(self._by[party]))
        self._crowded.add(oldest)
        self._leave(party, oldest)
        oldest.cancel()

    def _leave(self, party: str, one: asyncio.Task[None]) -> None:
        """Count one no more."""
        if one.done():
            self._crowded.discard(one)
        held = self._by.get(party, {})
        if one in held:
            del held[one]
            self._number -= 1
            if not held:
                del self._by[party]

    def _say(self, rule: str) -> None:
        """Tell operators; nothing of HTTP was spoken yet, so the client hears nothing."""
        if self.refused is not None:
            self.refused(rule)
        self._warn("handshake refused", rule=rule)


@dataclass(slots=True, eq=False)
class Door:
    """A bound socket whose connections agree TLS before they are anybody's.

    Shape: what uvicorn asks of a server, `close` and `wait_closed`.
    """

    bound: socket.socket
    tls: ssl.SSLContext
    protocol: Made
    handshakes: Handshakes
    _later: asyncio.TimerHandle | None = None

    def listen(self, backlog: int) -> None:
        """Take connections from now on."""
        self.bound.settimeout(0)
        self.bound.listen(backlog)
        self._take()

    def close(self) -> None:
        """Take no more."""
        if self._later is not None:
            self._later.cancel()
        asyncio.get_running_loop().remove_reader(self.bound)
        self.bound.close()
        self.handshakes.close()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""

    def _take(self) -> None:
        self._later = None
        asyncio.get_running_loop().add_reader(self.bound, self._accept)

    def _accept(self) -> None:
        """Take who waits, some at a time."""
        loop = asyncio.get_running_loop()
        for _ in range(AT_ONCE):
            try:
                accepted, peer = self.bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                log.error("no room for another connection", why=error.strerror)
                loop.remove_reader(self.bound)
                self._later = loop.call_later(REST, self._take)
                return
            accepted.settimeout(0)
            self.handshakes.begin(accepted, str(peer[0]), self.protocol, self.tls)
