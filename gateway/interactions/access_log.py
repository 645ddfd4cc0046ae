"""One JSON line a request: ids of requests, receipts and rules, sizes, timings, the route's template.

No path, query, header value or body stands in a line, so no patient's data and no patient's id.
Source: `http-interface.md` of the design, "Operations".
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()


class AccessLog:
    """ASGI middleware that writes the line when the answer has left."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and log it; the application adds fields to `request.state.log`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        fields: dict[str, Any] = {"request": str(uuid.uuid4()), "method": scope["method"]}
        scope.setdefault("state", {})["log"] = fields
        started, received, sent, status = time.perf_counter(), 0, 0, 500

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal sent, status
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            elapsed = round((time.perf_counter() - started) * 1000, 2)
            route = getattr(scope.get("route"), "path", None) or "none"
            log.info("request", **fields, route=route, status=status, bytes_in=received, bytes_out=sent, ms=elapsed)
