"""What a principal may be shown in a day, kept in the journal so that a restart forgets nothing.

A patient counts as shown with whatever is shown of theirs, so a limit on Patient is one on whose records are seen.
Source: `rules-language.md` of the design, meaning 13; RFC 9110 section 10.2.3
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from gateway import fhir
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
        day = gateway.clock().astimezone(LONDON).date().isoformat()
        if shown and not await gateway.journal.count_released(name, kind, day, shown, limit):
            raise _too_many(call, kind, limit)


@dataclass(slots=True)
class Tally:
    """What is to be shown in one go, gathered so that it counts once it is known whether it may be shown whole.

    Shape: `names` are keyed hashes, of each type that is limited no more than the limit.
    """

    call: Call
    names: dict[str, dict[str, None]] = field(default_factory=dict)

    @property
    def limited(self) -> bool:
        """Whether anything is limited for this caller."""
        return bool(self._limits)

    @property
    def _limits(self) -> dict[str, int]:
        return dict(self.call.gateway.rules.registry.principals[self.call.asking.caller.name].per_day)

    def add(self, resources: Sequence[Resource]) -> None:
        """Gather. Errors: Refused (429) where it is more than a whole day's."""
        for kind, limit in self._limits.items():
            own = self.names.setdefault(kind, {})
            own.update(dict.fromkeys(_names(self.call.gateway, kind, resources)))
            if len(own) > limit:
                raise _too_many(self.call, kind, limit)

    async def count(self) -> None:
        """Count all of it. Errors: Refused (429) where it would be more than the principal may see today."""
        gateway, name = self.call.gateway, self.call.asking.caller.name
        day = gateway.clock().astimezone(LONDON).date().isoformat()
        for kind, limit in self._limits.items():
            shown = list(self.names.get(kind, ()))
            if shown and not await gateway.journal.count_released(name, kind, day, shown, limit):
                raise _too_many(self.call, kind, limit)


def _too_many(call: Call, kind: str, limit: int) -> Refused:
    """A refusal (429) with the time of the next count."""
    now = call.gateway.clock()
    anew = datetime.combine(now.astimezone(LONDON).date() + timedelta(days=1), time(), LONDON)
    words = f"principal {call.asking.caller.name} may see {limit} {kind} a day, and this would be more; "
    words += f"the next count begins at {anew.isoformat()}"
    seconds = math.ceil((anew.astimezone(UTC) - now.astimezone(UTC)).total_seconds())
    return Refused(
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
    for resource in fhir.with_carried(resources):
        about = gateway.rules.subjects.get(resource["resourceType"]) if kind == PATIENT else None
        if resource["resourceType"] == kind:
            found.add(f"{kind}/{resource.get('id')}")
        elif about is not None:
            # one of whom nothing tells who it is counts as somebody
            own = f"{resource['resourceType']}/{resource.get('id')}"
            found.update(own if name is None else f"{kind}/{name.id}" for name in about(resource))
    return [keyed_hash(gateway, name) for name in sorted(found)]
