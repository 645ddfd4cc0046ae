"""Messages at once that tell of the same new resource: those who lose the race are merged again, and all get through.

Source: the gateway's design (conversion, update): a lost race is merged again, three times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx

from gateway import hl7v2, loading
from gateway.interactions.deliver import Parcel, deliver
from gateway.interactions.gateway import Gateway
from gateway.mapping import Context
from gateway.rules import Routing
from gateway.upstream import FhirServer, Name, Standing
from gateway.upstream.answer import Answer
from gateway.upstream.by_httpx import ByHttpx
from tests.running import NOW, message, running
from tests.traffic import nhs_numbers

AT_ONCE = 12


class Slow(FhirServer):
    """A server that keeps versions in memory, and takes a few turns of the loop for each answer."""

    def __init__(self) -> None:
        super().__init__("record", ByHttpx(httpx.AsyncClient()), "http://localhost")
        self.versions: dict[Name, tuple[int, dict[str, Any]]] = {}
        self.lost = 0

    async def read_many(self, names: Iterable[Name], gone: set[Name] | None = None) -> dict[Name, Standing]:  # noqa: ARG002 - nothing is deleted
        found = {n: Standing(str(self.versions[n][0]), self.versions[n][1]) for n in names if n in self.versions}
        for _ in range(5):
            await asyncio.sleep(0)
        return found

    async def write(self, resources: Sequence[tuple[dict[str, Any], str | None]]) -> Answer:
        for _ in range(5):
            await asyncio.sleep(0)
        for resource, etag in resources:
            stands = self.versions.get((resource["resourceType"], resource["id"]))
            if (None if stands is None else str(stands[0])) != etag:
                self.lost += 1
                return Answer(412, {}, b"{}")
        for resource, _ in resources:
            name = resource["resourceType"], resource["id"]
            self.versions[name] = (self.versions.get(name, (0, {}))[0] + 1, resource)
        return Answer(200, {}, b"{}")


def test_all_get_through_who_tell_of_the_same_new_ward(tmp_path: Path, decisions: loading.Decisions) -> None:
    server = Slow()
    routing = Routing("EC-R1", "record", "reject", None, None)

    def parcel(number: int, nhs_number: str) -> Parcel:
        # each tells another version of what all share: nothing is left unchanged
        sent = hl7v2.read(message(control_id=str(number), visit=f"V-{number}", nhs_number=nhs_number))
        context = Context("R0D", "emergency-care", NOW, f"receipt-{number}", decisions.rules.digest)
        made = decisions.maps.convert(sent, context)
        shared = next(draft for draft in made.drafts if draft.resource["resourceType"] == "Location")
        told = replace(shared, resource={**shared.resource, "description": f"told by {number}"})
        drafts = tuple(told if draft is shared else draft for draft in made.drafts)
        return Parcel(f"receipt-{number}", b"", drafts, made.told, "R0D", "emergency-care")

    async def all_at_once(gateway: Gateway) -> None:
        deadline = asyncio.get_running_loop().time() + 30
        parcels = [parcel(n, number) for n, number in zip(range(AT_ONCE), nhs_numbers(), strict=False)]
        states = await asyncio.gather(*(deliver(gateway, [routing], one, deadline) for one in parcels))
        assert {state.state for found, _ in states for state in found} == {"delivered"}

    with running(tmp_path / "data", decisions) as one:
        gateway = cast("Gateway", cast("Any", one.http.app).state.gateway)
        assert one.http.portal is not None
        one.http.portal.call(all_at_once, replace(gateway, targets={"record": server}))
    assert server.lost >= AT_ONCE - 1, "they met"
    assert sum(name[0] == "Encounter" for name in server.versions) == AT_ONCE
