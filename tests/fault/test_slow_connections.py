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
    monkeypatch.setattr(slow_connections, "LEAVE", 0.1)
    monkeypatch.setenv("GATEWAY_CONNECTIONS", "200")
    monkeypatch.setenv("GATEWAY_HEAD_WITHIN", "1")
    counts = slow_connections.run(tmp_path, 60, 1)
    assert counts["failed"] == 0
    assert counts["answered"] == 120
    assert counts["slow at once"] >= 50
    assert counts["slow refused"] > 0
    assert counts["answers compared"] == 40


@pytest.mark.parametrize(("slower", "told"), [(1.0, 0), (1.99, 0), (2.0, 1), (5.0, 1)])
def test_others_may_not_take_twice_as_long(slower: float, told: int) -> None:
    alone = [0.005 + 0.0001 * (one % 50) for one in range(2000)]
    counts = slow_connections.judged(alone, [one * slower for one in alone])
    assert counts["of it in percent"] == round(100 * slower)
    assert counts["twice as slow or slower"] == told
    assert bool(slow_connections.SCENARIO.wrong({"answered": 1, "slow at once": 1, **counts})) is bool(told)


def test_one_answer_in_a_hundred_is_not_what_is_compared() -> None:
    assert slow_connections.p99([0.01] * 198 + [9.0] * 2) == 0.01
    assert slow_connections.p99([0.01] * 197 + [9.0] * 3) == 9.0
