"""A sample of the canaries: each interaction once, with the gateway whose FHIR server fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault import canaries


@pytest.mark.interop  # it starts a process of its own
@pytest.mark.xdist_group("process")
def test_no_canary_is_found_where_it_does_not_belong(tmp_path: Path) -> None:
    counts = canaries.run(tmp_path, len(canaries.INTERACTIONS) + 1, 1, gateways=1)
    assert canaries.SCENARIO.wrong(counts) == ()


def test_a_canary_would_be_found() -> None:
    for text in (
        b'"route":"/Patient/9990000026"',
        b"Kanarieabcdefgh",
        b"name=KANARIEabcd",
        b"id KAN12X",
        b"999 000 0026",
    ):
        assert canaries.found_in(b"x " + text + b" y"), text
    for text in (b"9990000018", b"4bf9990000018d", b"0.9990000018", b"1795373533507690354", b"canary"):
        assert not canaries.found_in(b"x " + text + b" y"), text
