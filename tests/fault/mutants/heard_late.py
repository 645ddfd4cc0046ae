"""The gateway with a record whose answers to writes come late: no mutant, but what `plain_post.py` is compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway.__main__ import main
from gateway.upstream import FhirServer
from gateway.upstream.answer import Answer

LATE = 0.3
"""Units: seconds."""
_write = FhirServer.write


async def _late(self: FhirServer, resources: Sequence[tuple[dict[str, Any], str | None]]) -> Answer:
    answer = await _write(self, resources)
    await asyncio.sleep(LATE)
    return answer


if __name__ == "__main__":
    FhirServer.write = _late  # type: ignore[method-assign]  # as a slow record would
    main()
