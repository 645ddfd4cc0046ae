"""The gateway broken on purpose: it creates visits by plain POST, under ids that the record gives.

It hears the record's answers late, so that kills often come between what was written and what was settled. (That alone
breaks nothing: `heard_late.py` is the same gateway with PUT.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway import fhir
from gateway.__main__ import main
from gateway.upstream import FhirServer
from gateway.upstream.answer import Answer
from tests.fault.mutants.heard_late import LATE


async def _write(self: FhirServer, resources: Sequence[tuple[dict[str, Any], str | None]]) -> Answer:
    entries = [
        _posted(resource) if resource["resourceType"] == "Encounter"
        else fhir.entry_put(resource, etag, only_new=etag is None)
        for resource, etag in resources
    ]  # fmt: skip
    answer = await self.transact(fhir.dump(fhir.transaction(entries)))
    await asyncio.sleep(LATE)
    return answer


def _posted(resource: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in resource.items() if name != "id"}
    return {"resource": told, "request": {"method": "POST", "url": "Encounter"}}


if __name__ == "__main__":
    FhirServer.write = _write  # type: ignore[method-assign]  # this is the mutant
    main()
