"""The OpenAPI document and the Swagger page, generated from the rules; assets of our own, no other host."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from gateway import documents
from gateway.interactions.gateway import of
from gateway.interactions.refused import Refused, error


async def openapi(request: Request) -> Response:
    """Answer with the OpenAPI 3.1 document."""
    gateway = of(request)
    return Response(gateway.documents.openapi, media_type="application/json", headers={"Cache-Control": "no-store"})


async def page(request: Request) -> Response:
    """Answer with a file of the Swagger page.

    Errors: Refused (404) for a name that is none of its files.
    """
    asset = documents.assets().get(request.path_params["name"])
    if asset is None:
        raise Refused("unreadable", error("not-found", "there is no such page; see /swagger/index.html"), status=404)
    return FileResponse(asset.path, media_type=asset.media_type, headers=dict(documents.PAGE_HEADERS))
