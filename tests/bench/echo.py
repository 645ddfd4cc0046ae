"""A bare Starlette application, for scale: what a request costs that does nothing."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    """Answer with the body."""
    return Response(await request.body(), media_type="text/plain")


app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
