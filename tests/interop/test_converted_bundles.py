"""Bundles made of both corpora, sent to HAPI FHIR: taken whole, and read back as they were sent.

Every twelfth message, all of them with `GATEWAY_WHOLE_CORPUS=1`; `python -m tests.conformance.taken_whole` sends all
and writes the figures. Source: issue 8, "every converted Bundle of both corpora ... is taken whole by ... HAPI".
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gateway import loading
from tests.conformance import corpus, taken_whole
from tests.records import empty

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process"), pytest.mark.timeout(1300)]


@pytest.mark.parametrize("folder", corpus.MESSAGES)
def test_every_converted_bundle_is_taken_whole(
    folder: str, hapi: str, shared: Path, decisions: loading.Decisions
) -> None:
    empty(hapi)
    with httpx.Client(base_url=hapi, trust_env=False, timeout=300) as client:
        found = taken_whole.taken(client, taken_whole.bundles(shared, decisions, folder))
    assert found.bundles > len(corpus.files(shared, folder)) // taken_whole.SHARE // 2
    assert found.refused == ()
