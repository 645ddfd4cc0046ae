"""Bounded samples of `make faults`: what needs SQLite alone is in `make test`, the rest in `make interop`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.scenarios import SCENARIOS
from tests.peers import NotHere, missing

LONG = 600
"""For runs that start many processes, on a busy machine. Units: seconds."""


def ran(name: str, folder: Path, times: int) -> None:
    """Run a scenario, and hold that it found what it has to."""
    scenario = SCENARIOS[name]
    try:
        counts = scenario.run(folder, times, 7)
    except NotHere as fault:
        missing(str(fault))
    assert scenario.wrong(counts) == (), counts


@pytest.mark.interop
@pytest.mark.timeout(LONG)
@pytest.mark.xdist_group("process")
def test_long_forms_find_the_same_in_forks(tmp_path: Path) -> None:
    for name in ("kill-starts-sqlite", "mutant-early"):
        scenario = SCENARIOS[name]
        (folder := tmp_path / name).mkdir()
        counts = scenario.run(folder, 6, 7, forked=True)
        assert scenario.wrong(counts) == (), (name, counts)


@pytest.mark.timeout(LONG)
@pytest.mark.xdist_group("process")
def test_what_was_acknowledged_survives_kill_9_exactly_once(tmp_path: Path) -> None:
    ran("kill-sqlite", tmp_path, 1)


@pytest.mark.interop
@pytest.mark.timeout(LONG)
@pytest.mark.xdist_group("process")
@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("kill-postgresql", 3),
        ("kill-starts-postgresql", 2),
        ("mutant-early", 3),
        ("late-answers", 3),
        ("mutant-post", 3),
        ("mutant-fsync", 5),
        ("synced-sqlite", 10),
        ("synced-postgresql", 10),
        ("races", 40),
        ("database", 4),
        ("disk", 3),
        ("sigterm-postgresql", 3),
        ("sigterm-sqlite", 2),
        ("kill-workers", 3),
        ("upstream", 7),
        ("clock-sqlite", 6),
        ("clock-postgresql", 6),
    ],
)
def test_each_fault_run_finds_what_it_has_to(tmp_path: Path, name: str, times: int) -> None:
    ran(name, tmp_path, times)
