"""`/.well-known/oauth-authorization-server` and `/.well-known/smart-configuration`: the issuer's metadata.

Source: RFC 8414 section 3; SMART App Launch 2.2, "Using Well-Known".
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.identity import Endpoints, authorization_server, smart_configuration
from gateway.interactions.gateway import of


async def oauth(request: Request) -> Response:
    """Answer with what an OAuth 2.0 client needs to know."""
    return JSONResponse(authorization_server(_endpoints(request)))


async def smart(request: Request) -> Response:
    """Answer with what a SMART client needs to know."""
    return JSONResponse(smart_configuration(_endpoints(request)))


def _endpoints(request: Request) -> Endpoints:
    settings = of(request).settings
    return Endpoints(settings.public_url, settings.mtls_url, settings.mtls is not None, settings.client_secrets)
