"""Who is at the other end of a request's connection, by certificate."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from gateway.identity import Certificate
from gateway.interactions.gateway import Gateway

PEER: Final = "gateway.peer_certificate"
LOCAL: Final = "gateway.local"
"""Names in the ASGI scope's `extensions`: the peer's certificate in DER, and whether it came over a Unix socket."""
FORWARDED: Final = "client-cert"


def certificate_of(request: Request, gateway: Gateway) -> Certificate | None:
    """The certificate that a request comes with, judged; None where there is none, or none is asked for here.

    Errors: BadCertificate.
    """
    if gateway.certificates is None:
        return None
    known = request.scope.get("extensions") or {}
    return gateway.certificates.of(
        known.get(PEER), local=bool(known.get(LOCAL)), forwarded=request.headers.getlist(FORWARDED)
    )
