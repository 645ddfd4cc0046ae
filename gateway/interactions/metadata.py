"""`GET /metadata`: the CapabilityStatement, generated from the rules.

Source: https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.interactions import respond
from gateway.interactions.access import check_format
from gateway.interactions.gateway import of


async def metadata(request: Request) -> Response:
    """Answer with what the rules let anybody do here; no token is needed."""
    gateway = of(request)
    check_format(request)
    return respond.resource(gateway.documents.capability)
