"""The OpenAPI document, the Swagger page and the rules' page, generated from the rules; no other host's assets.

With a token the OpenAPI document is that of its caller: what it may do, and nothing else.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from gateway import documents
from gateway.interactions.gateway import LONDON, Gateway, of
from gateway.interactions.identify import identify
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import NO_STORE
from gateway.interactions.scopes import INGEST, covers

PER_CALLER = {**NO_STORE, "Vary": "Authorization, purpose-of-use"}


async def openapi(request: Request) -> Response:
    """Answer with the OpenAPI 3.1 document.

    Errors: Refused where a token is sent that is not valid.
    """
    gateway = of(request)
    viewer = await viewing(request, gateway)
    body = await asyncio.to_thread(gateway.documents.openapi, viewer)
    return Response(body, media_type="application/json", headers=PER_CALLER)


async def viewing(request: Request, gateway: Gateway) -> documents.Viewer | None:
    """Whose view of the documents is asked for; nobody's without a token.

    Errors: Refused, as any request with that token.
    """
    if "authorization" not in request.headers:
        return None
    asking = await identify(request, gateway)
    purposes = frozenset({asking.purpose}) if asking.purpose else frozenset({None, *asking.caller.may_assert})
    scopes = asking.scopes

    def covered(action: str, resource_type: str) -> bool:
        if action == INGEST:
            return not scopes.names or INGEST in scopes.names
        return covers(scopes, action, resource_type)

    today = gateway.clock().astimezone(LONDON).date()
    return documents.Viewer(asking.caller.name, purposes, today, scopes.key, covered)


async def rules(request: Request) -> Response:
    """Answer with the rules as a page."""
    found = of(request).documents
    body = await asyncio.to_thread(lambda: found.rules_page)
    return Response(body, media_type="text/html; charset=utf-8", headers=dict(documents.RULES_HEADERS))


async def page(request: Request) -> Response:
    """Answer with a file of the Swagger page.

    Errors: Refused (404) for a name that is none of its files.
    """
    asset = documents.assets().get(request.path_params["name"])
    if asset is None:
        raise Refused("unreadable", error("not-found", "there is no such page; see /swagger/index.html"), status=404)
    return FileResponse(asset.path, media_type=asset.media_type, headers=dict(documents.PAGE_HEADERS))
