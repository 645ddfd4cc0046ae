"""Running an application under uvicorn: one process, JSON log lines on standard output.

Source: `http-interface.md` of the design, "Operations"; `facts.md`, "Servers".
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, cast

import orjson
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from gateway.guard import Guarded, Handshakes, Limits, sweep
from gateway.interactions.faults import trace
from gateway.listeners import Listener, ListenerError, seeing_peers
from gateway.stated import Stated

GRACE = 20
_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
SPARE = 256
"""Files that are open beside connections: journal, store, targets, what is loaded."""
SWITCH = 0.0001  # seconds
COLLECT = (20_000, 20, 100)  # a message makes thousands of short-lived objects and hardly a cycle


class _Lifespan(LifespanOn):
    """The application's life, whose start may fail for a reason that is told plainly.

    Shape: `stated` is that reason. Starlette tells a traceback with all its words, which may be a patient's.
    """

    stated: Stated | None = None

    async def send(self, message: LifespanSendMessage) -> None:
        """Hear how it went."""
        fault = sys.exc_info()[1]  # the fault that Starlette tells of
        if message["type"] == "lifespan.startup.failed" and fault is not None:
            self.stated = fault if isinstance(fault, Stated) else None
            words = "" if self.stated else orjson.dumps(trace(fault)).decode()
            message = {"type": "lifespan.startup.failed", "message": words}
        await super().send(message)


class _Server(uvicorn.Server):
    """Server that says when it answers, and when SIGHUP reaches it."""

    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        hangup: Callable[[], None] | None,
        beside: Sequence[Listener],
        guard: type[Guarded],
    ) -> None:
        super().__init__(config)
        self._told = started
        self._hangup = hangup
        self._beside = beside
        self._guard = guard
        self._handshakes = Handshakes(guard.limits, guard.refused)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            if isinstance(self.lifespan, _Lifespan) and self.lifespan.stated is not None:
                raise self.lifespan.stated from None
            raise
        if self.started:
            # They share connections, limits and the end with the common port: one server, several listeners.
            try:
                for one in self._beside:
                    listening = await one.listen(self._protocol, self.config.backlog, self._handshakes)
                    self.servers.append(cast("asyncio.Server", listening))  # a door has what uvicorn asks of one
            except ListenerError:
                await self.shutdown(sockets)
                raise
            # Rules, maps and tables stay for good: without this each full collection walks through all of them. What
            # loading made and left is a hundredth of it, not worth looking for: that would take a fifth of the start.
            gc.freeze()
            gc.set_threshold(*COLLECT)
            gc.enable()
            # SQLite gives the interpreter up at every statement: with the default of 5 ms each would wait as long.
            sys.setswitchinterval(SWITCH)
            if self._hangup is not None:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hangup)
            self._told()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and leave nothing behind: uvicorn sends itself the signal that it got as soon as it has stopped."""
        await super().shutdown(sockets)
        self._guard.warn.rest()
        _close(self._beside)

    def _protocol(self) -> asyncio.Protocol:
        kind = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]  # as uvicorn's own

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: the times of a tenth of all connections are looked at."""
        sweep(self.server_state.connections, asyncio.get_running_loop().time(), counter)
        return await super().on_tick(counter)


class _WithoutValues(logging.Formatter):
    """Lines that tell of an exception its kind and where, and not its text, which may be a patient's.

    Starlette raises each fault of the program again once it is answered, and uvicorn logs it.
    """

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # what another formatter kept
        return super().format(record)

    def formatException(self, ei: _Raised) -> str:  # noqa: N802 - logging's name
        fault = ei[1]
        if fault is None:
            return ""
        return orjson.dumps(trace(fault)).decode()


def log_as_json(worker: int | None = None) -> None:
    """Log lines as JSON on standard output, the libraries' warnings too.

    Shape: `worker` says which of several processes this is, in each line.
    """

    def named(_logger: object, _method: str, words: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return words if worker is None else {**words, "worker": worker}

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            named,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutValues("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def room_for(limits: Limits) -> Limits:
    """Take as many open files as the limits need, where the machine gives them; else fewer connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections * 3 // 2 + SPARE  # with those that end, and those in their handshake
    if soft < wanted:
        soft = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return replace(limits, connections=max(1, min(limits.connections, (soft - SPARE) * 2 // 3)))


def load_without_pauses() -> None:
    """Keep the collector out of the way while what stays for good is loaded; `run` starts it again."""
    gc.disable()


def run(
    app: ASGIApp,
    host: str,
    port: int | None,
    started: Callable[[], None],
    *,
    hangup: Callable[[], None] | None = None,
    guard: type[Guarded] = Guarded,
    beside: Sequence[Listener] = (),
) -> bool:
    """Serve until a signal ends it.

    Shape: whether it ever served; `started` is called once it answers, `hangup` at each SIGHUP from then on. At a
    terminal SIGHUP ends the server, as it ends all that was started there: the terminal was closed. `guard` is
    what clients are held to; `beside` are listeners beside the common port, which is none where `port` is None.
    Errors: Stated where what the application is to be made of can't be used, or a listener is taken.
    Units: a stopping server gives requests in hand 20 s.
    """
    config = uvicorn.Config(
        app, host=host, port=port or 0, http=seeing_peers(guard), loop="uvloop", lifespan="on",
        access_log=False, log_config=None, server_header=False, proxy_headers=False, timeout_graceful_shutdown=GRACE,
        backlog=2048, ws="none",
        timeout_keep_alive=guard.limits.idle_within,  # type: ignore[arg-type]  # it takes parts of a second as well
    )  # fmt: skip
    if sys.stdin is not None and sys.stdin.isatty():
        hangup = None
    if hangup is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes while it starts has nothing to read again
    config.load()
    config.lifespan_class = _Lifespan
    server = _Server(config, started, hangup, beside, guard)
    try:
        server.run([] if port is None else None)
    finally:
        _close(beside)  # where it never began to serve
    return server.started


def _close(beside: Sequence[Listener]) -> None:
    for one in beside:
        one.close()
