"""`/_metrics`: what Prometheus reads, on the listener for operators alone.

Source: `http-interface.md` of the design, "Operations".
"""

from __future__ import annotations

from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.interactions.gateway import Gateway, of
from gateway.interactions.respond import NO_STORE
from gateway.interactions.watched import METRICS
from gateway.journal import JournalUnavailable
from gateway.journal.backlog import backlog
from gateway.journal.model import shown
from gateway.observing import Now

OPERATORS = frozenset({METRICS, "/_health/live", "/_health/ready"})


class Apart:
    """ASGI middleware that keeps what is for operators on their listener, and everything else off it.

    The listener is told by the port that the connection came to, never by what the request says.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to where it belongs; elsewhere there is no such address."""
        if scope["type"] == "http":
            gateway, server = getattr(scope["app"].state, "gateway", None), scope.get("server")
            port = None if gateway is None else gateway.settings.metrics_port
            within = port is not None and server is not None and server[1] == port
            if (scope["path"] not in OPERATORS) if within else scope["path"] == METRICS:
                scope = {**scope, "path": "/_nowhere", "raw_path": b"/_nowhere"}
        await self._app(scope, receive, send)


async def metrics(request: Request) -> Response:
    """Answer with all metrics.

    Errors: HTTPException (404) where none are kept.
    """
    gateway = of(request)
    kept = gateway.watch.kept
    if kept is None:
        raise HTTPException(404)
    queues, written = await _queues(gateway)
    now = Now(
        ready=written and not request.app.state.worker.done(),
        digest=gateway.rules.digest,
        current=request.app.state.reload.kept is None,
        queues=queues,
        breakers=[(name, target.breaker_state) for name, target in sorted(gateway.targets.items())],
    )
    return Response(kept.exposition(now), 200, {**NO_STORE, "Content-Type": kept.media_type})


async def _queues(gateway: Gateway) -> tuple[list[tuple[str, str, int, float]], bool]:
    """What waits by target and state, with ages, and whether the journal could be asked and written."""
    try:
        found = await gateway.journal.read(backlog)
    except JournalUnavailable:
        return [], False
    now = gateway.clock()
    waits = [
        (target, state, count, max(0.0, (now - datetime.fromisoformat(shown(oldest))).total_seconds()))
        for target, state, count, oldest in found
    ]
    return waits, await gateway.journal.writable()
