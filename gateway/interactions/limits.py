"""What a principal may be shown in a day, kept in the journal so that a restart forgets nothing.

A patient counts as shown with whatever is shown of theirs, so a limit on Patient is one on whose records are seen.
Source: `rules-language.md` of the design, meaning 13; RFC 9110 section 10.2.3
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from gateway.interactions.access import record
from gateway.interactions.call import Call, Resource
from gateway.interactions.gateway import LONDON, Gateway, keyed_hash
from gateway.interactions.refused import Refused, error

PATIENT = "Patient"


async def check_day(call: Call, resources: Sequence[Resource]) -> None:
    """Count what is about to be shown.

    Errors: Refused (429) where it would be more than the principal may see today: nothing of it is shown, then.
    """
    gateway, name = call.gateway, call.asking.caller.name
    for kind, limit in gateway.rules.registry.principals[name].per_day.items():
        shown = _names(gateway, kind, resources)
        now = gateway.clock()
        day = now.astimezone(LONDON).date()
        if shown and not await gateway.journal.count_released(name, kind, day.isoformat(), shown, limit):
            anew = datetime.combine(day + timedelta(days=1), time(), LONDON)
            words = f"principal {name} may see {limit} {kind} a day, and this would be more; the next count begins at "
            words += anew.isoformat()
            seconds = math.ceil((anew.astimezone(UTC) - now.astimezone(UTC)).total_seconds())
            raise Refused(
                "too-many", error("throttled", words, None, "HTTP-L02"), headers={"Retry-After": str(max(1, seconds))}
            )


async def limited(call: Call, action: str, what: str, resources: Sequence[Resource], rules: tuple[str, ...]) -> None:
    """Count what is about to be shown, and write the audit row where it is too much.

    Errors: Refused (429), JournalUnavailable.
    """
    try:
        await check_day(call, resources)
    except Refused as refusal:
        call.seen.update(rules=rules, outcome="too-many")
        await record(call, action, what, rules=rules, outcome="too-many")
        raise refusal from None


def _names(gateway: Gateway, kind: str, resources: Sequence[Resource]) -> list[str]:
    """Keyed hashes of the resources of a type; of patients, of whomever the resources are about."""
    found: set[str] = set()
    for resource in resources:
        about = gateway.rules.subjects.get(resource["resourceType"]) if kind == PATIENT else None
        if resource["resourceType"] == kind:
            found.add(f"{kind}/{resource['id']}")
        elif about is not None:
            # one of whom nothing tells who it is counts as somebody
            own = f"{resource['resourceType']}/{resource['id']}"
            found.update(own if name is None else f"{kind}/{name.id}" for name in about(resource))
    return [keyed_hash(gateway, name) for name in sorted(found)]
