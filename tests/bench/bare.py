"""A bare proxy in Starlette, for scale: it passes a GET on and its answer back, and decides nothing.

`python -m tests.bench.bare --upstream URL --port N --transport aiohttp`: the transport of httpx is the one that the
gateway takes too, or httpx's own.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from httpx_aiohttp import AiohttpTransport
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TRANSPORTS = ("aiohttp", "httpx")
_CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=64)


async def _pass_on(request: Request) -> Response:
    client: httpx.AsyncClient = request.app.state.client
    answer = await client.get(f"{request.url.path}?{request.url.query}")
    return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])


def app(upstream: str, transport: str) -> Starlette:
    """The proxy before a server."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        own = httpx.AsyncHTTPTransport(limits=_CONNECTIONS)
        taken = AiohttpTransport(limits=_CONNECTIONS) if transport == "aiohttp" else own
        async with httpx.AsyncClient(transport=taken, base_url=upstream, trust_env=False) as app.state.client:
            yield

    return Starlette(routes=[Route("/{path:path}", _pass_on)], lifespan=lifespan)


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--transport", choices=TRANSPORTS, required=True)
    options = parser.parse_args()
    served = app(options.upstream, options.transport)
    uvicorn.run(served, port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
