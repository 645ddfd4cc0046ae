"""One JSON line a request: ids of requests, receipts and rules, sizes, timings, the route's template.

No path, query, header value or body stands in a line, so no patient's data and no patient's id.
Source: `http-interface.md` of the design, "Operations".
"""

from __future__ import annotations

import os
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()


_VERSION, _VARIANT = 0x4000, 0x8000


def _request_id() -> str:
    """A random UUID, as `uuid.uuid4` makes it in eight times as long. Source: RFC 9562 section 5.4."""
    raw = os.urandom(16)
    third = (raw[6] << 8 | raw[7]) & 0x0FFF | _VERSION
    fourth = (raw[8] << 8 | raw[9]) & 0x3FFF | _VARIANT
    return f"{raw[:4].hex()}-{raw[4:6].hex()}-{third:04x}-{fourth:04x}-{raw[10:].hex()}"


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
        fields: dict[str, Any] = {"request": _request_id(), "method": scope["method"]}
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
