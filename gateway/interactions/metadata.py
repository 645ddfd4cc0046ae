"""`GET /metadata`: the CapabilityStatement, generated from the rules.

Source: https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from gateway.interactions import respond
from gateway.interactions.call import check_format
from gateway.interactions.documents import PER_CALLER, viewing
from gateway.interactions.gateway import of


async def metadata(request: Request) -> Response:
    """Answer with what the rules let anybody do here; with a token, what they let its caller do.

    Errors: Refused where a token is sent that is not valid.
    """
    gateway = of(request)
    check_format(request)
    viewer = await viewing(request, gateway)
    return respond.resource(await asyncio.to_thread(gateway.documents.capability, viewer), headers=PER_CALLER)
