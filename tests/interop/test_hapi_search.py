"""The searches of `tests/conformance/search/` on HAPI FHIR: where it differs is known, and why.

What the standard leaves open (order without `_sort`, words of refusals) is left open here. Source:
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests import searching
from tests.interop.differences import search_differences
from tests.records import empty

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process"), pytest.mark.timeout(1300)]


async def differing(base: str) -> dict[str, list[str]]:
    """Cases that HAPI answers otherwise, with what it said."""
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
        await searching.fill(client)
        told = {case.name: await searching.differences(client, case, strict=False) for case in searching.cases()}
    return {name: found for name, found in told.items() if found}


def test_it_differs_where_that_is_known(hapi: str) -> None:
    empty(hapi)  # the cases count everything that there is
    known = search_differences("hapi")
    assert known.keys() <= {case.name for case in searching.cases()}
    found = asyncio.run(differing(hapi))
    assert {name: told for name, told in found.items() if name not in known} == {}
    assert sorted(known.keys() - found.keys()) == []
