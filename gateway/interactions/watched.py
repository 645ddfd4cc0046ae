"""Each request as whoever watches the gateway is told of it: when it ends, by its template, status and outcome.

Source: `http-interface.md` of the design, "Operations"; `gateway/observing.py`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.observing import COUNTS, Counts, Watch

METRICS = "/_metrics"
INGEST, TOKEN = "/$ingest", "/$ingest/auth"
NOWHERE = "none"
_TOLD = ("domain", "type", "outcome")


class Watched:
    """ASGI middleware around all others; it costs nothing where nobody watches."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell how it went."""
        gateway = getattr(scope["app"].state, "gateway", None)
        if scope["type"] != "http" or gateway is None or (gateway.watch.kept is None and gateway.watch.tracer is None):
            await self._app(scope, receive, send)
            return
        await self._watched(gateway.watch, scope, receive, send)

    async def _watched(self, watch: Watch, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = COUNTS.set(watch.counts)
        tracing = nullcontext() if watch.tracer is None else watch.tracer.request(scope["method"], _said(scope))
        try:
            with tracing as traced:
                try:
                    await self._app(scope, receive, noted)
                finally:
                    route = str(getattr(scope.get("route"), "path", None) or NOWHERE)
                    fields: dict[str, Any] = scope.get("state", {}).get("log", {})
                    if traced is not None:
                        traced.ended(route, status, {name: str(fields[name]) for name in _TOLD if name in fields})
                    if route != METRICS:
                        watch.counts.answered(scope["method"], route, status, time.perf_counter() - started)
                        _count(watch.counts, route, fields)
        finally:
            COUNTS.reset(token)


def _said(scope: Scope) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _count(counts: Counts, route: str, fields: Mapping[str, Any]) -> None:
    """What the fields of the log line say of submissions and tokens; all of them are names of the gateway's own."""
    outcome = str(fields.get("outcome", "none"))
    if route == TOKEN:
        counts.issued(outcome)
    elif route == INGEST:
        domain = str(fields.get("domain", "none"))
        for one, number in fields.get("outcomes", {outcome: 1}).items():
            type_ = "batch" if "outcomes" in fields else str(fields.get("type", "none"))
            for _ in range(number):
                counts.submitted(domain, type_, str(one))
