"""A sample of the slow connections: what they do to others' times is measured by `make faults` alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault import slow_connections


@pytest.mark.interop  # it starts a process of its own, and waits
@pytest.mark.xdist_group("process")
def test_others_are_served_beside_slow_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_connections, "ROUNDS", 1)
    monkeypatch.setattr(slow_connections, "A_ROUND", 40)
    monkeypatch.setattr(slow_connections, "EVERY", 0.5)
    monkeypatch.setattr(slow_connections, "GATHER", 4.0)
    monkeypatch.setenv("GATEWAY_CONNECTIONS", "200")
    monkeypatch.setenv("GATEWAY_HEAD_WITHIN", "1")
    counts = slow_connections.run(tmp_path, 60, 1)
    assert counts["failed"] == 0
    assert counts["answered"] == 120
    assert counts["slow at once"] >= 50
    assert counts["slow refused"] > 0
