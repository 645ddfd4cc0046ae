"""What was deleted: told to those alone who could see it before; to all others it looks like what never was.

Source: https://hl7.org/fhir/R4/http.html#delete, #read
"""

from __future__ import annotations

from gateway.interactions.access import loaded
from gateway.interactions.around import gather
from gateway.interactions.call import Call, Resource
from gateway.interactions.judge_write import View
from gateway.interactions.scopes import bounds
from gateway.upstream import FhirServer

FOUND, GONE = 200, 410


async def last_seen(
    call: Call, server: FhirServer, view: View, resource_type: str, resource_id: str
) -> Resource | None:
    """What stood under an id until it was deleted, where the caller could see that.

    Errors: TargetDown.
    """
    answer = await server.history(resource_type, resource_id)
    versions = loaded(server, answer).get("entry", ()) if answer.status == FOUND else ()
    last = next((entry["resource"] for entry in versions if isinstance(entry.get("resource"), dict)), None)
    if last is None:
        return None
    await gather(call, server, [(view.facts, view.decision)], [last])
    seen = view.release(call, last).released and bounds(call.asking.scopes, "read", resource_type) is None
    return last if seen else None
