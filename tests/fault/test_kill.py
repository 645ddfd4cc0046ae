"""A bounded sample of `make faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.__main__ import run


@pytest.mark.xdist_group("process")
def test_what_was_acknowledged_survives_kill_9_exactly_once(tmp_path: Path) -> None:
    counts = run(tmp_path, cycles=2, seed=7)
    assert counts["acknowledged"] > 0
    assert (counts["lost"], counts["doubled"], counts["answered otherwise"]) == (0, 0, 0)
