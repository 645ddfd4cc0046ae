"""Running an application under uvicorn: one process, JSON log lines on standard output.

Source: `http-interface.md` of the design, "Operations"; `facts.md`, "Servers".
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

GRACE = 20
_OFFER = re.compile(
    rb"\r\n(?:upgrade:[ \t]*h2c|http2-settings:[^\r]*|connection:[ \t]*upgrade[^\r]*)(?=\r\n|\Z)", re.IGNORECASE
)
SWITCH = 0.0001  # seconds
COLLECT = (20_000, 20, 100)  # a message makes thousands of short-lived objects and hardly a cycle


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 that leaves an offer of h2c alone.

    A Java client offers it in its first request; the parser would stop there for an upgrade that never comes, and the
    body would be lost. Source: RFC 9110 section 7.8: a server may ignore `Upgrade`.
    """

    def data_received(self, data: bytes) -> None:
        """Take what arrived; a request's head begins where no request is under way."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            head, blank, rest = data.partition(b"\r\n\r\n")
            if _OFFER.search(head):
                data = _OFFER.sub(b"", head) + blank + rest
        super().data_received(data)


class _Server(uvicorn.Server):
    """Server that says when it answers, and when SIGHUP reaches it."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], hangup: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._told = started
        self._hangup = hangup

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # Rules, maps and tables stay for good: without this each full collection walks through all of them.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*COLLECT)
            gc.enable()
            # SQLite gives the interpreter up at every statement: with the default of 5 ms each would wait as long.
            sys.setswitchinterval(SWITCH)
            if self._hangup is not None:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hangup)
            self._told()


def log_as_json() -> None:
    """Log lines as JSON on standard output, the libraries' warnings too."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def load_without_pauses() -> None:
    """Keep the collector out of the way while what stays for good is loaded; `run` starts it again."""
    gc.disable()


def run(
    app: ASGIApp,
    host: str,
    port: int,
    started: Callable[[], None],
    *,
    hangup: Callable[[], None] | None = None,
    tls: tuple[Path, Path] | None = None,
) -> bool:
    """Serve until a signal ends it.

    Shape: whether it ever served; `started` is called once it answers, `hangup` at each SIGHUP from then on. At a
    terminal SIGHUP ends the server, as it ends all that was started there: the terminal was closed.
    Units: a stopping server gives requests in hand 20 s.
    """
    certificate, key = tls or (None, None)
    config = uvicorn.Config(
        app, host=host, port=port, http=_Protocol, loop="uvloop", lifespan="on", access_log=False, log_config=None,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=GRACE, backlog=2048, ws="none",
        ssl_certfile=certificate, ssl_keyfile=key,
    )  # fmt: skip
    if sys.stdin is not None and sys.stdin.isatty():
        hangup = None
    if hangup is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes while it starts has nothing to read again
    server = _Server(config, started, hangup)
    server.run()
    return server.started
