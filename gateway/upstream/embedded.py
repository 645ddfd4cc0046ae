"""An httpx transport straight into an ASGI app of this process.

httpx has one of its own, which looks on the disk for an optional package at every request and hands the body over in
two messages; this one costs a third of it, and closes the app with the client.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

App = Callable[..., Awaitable[None]]


class Embedded(httpx.AsyncBaseTransport):
    """Requests to an app; what the app raises reaches the caller.

    Shape: `close` is awaited when the client is closed.
    """

    def __init__(self, app: App, close: Callable[[], Awaitable[None]] | None = None) -> None:
        """Hold the app."""
        self._app = app
        self._close = close

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Run one request through the app."""
        body = await request.aread()
        path, _, query = request.url.raw_path.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port or 80),
            "client": ("127.0.0.1", 0),
        }
        exchange = _Exchange(body)
        await self._app(scope, exchange.receive, exchange.send)
        if not exchange.complete:
            raise httpx.RemoteProtocolError("the app ended without a whole answer", request=request)
        return httpx.Response(exchange.status, headers=exchange.headers, content=b"".join(exchange.parts))

    async def aclose(self) -> None:
        """Close the app."""
        if self._close is not None:
            await self._close()


class _Exchange:
    """One request's body on its way in, and the answer on its way out."""

    __slots__ = ("body", "complete", "headers", "parts", "sent", "status")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.sent = False
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.complete = False

    async def receive(self) -> dict[str, Any]:
        if self.sent:
            return {"type": "http.disconnect"}
        self.sent = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
        else:
            self.parts.append(message.get("body", b""))
            self.complete = not message.get("more_body", False)
