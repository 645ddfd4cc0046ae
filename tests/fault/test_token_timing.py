"""What `token_timing.py` measures with; how long anything takes is asserted nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.token_timing import SCENARIO, Compared, _area, counted, measured, measured_away, shown

AFTER = 0.05


def test_each_way_to_fail_is_compared_with_an_unknown_client(tmp_path: Path) -> None:
    found = measured(tmp_path, 3, 1)
    assert [(one.way, one.base) for one in found] == [
        ("wrong key", "unknown client"), ("unknown kid", "unknown client"), ("wrong secret", "unknown client, secret"),
    ]  # fmt: skip
    assert all(0 <= one.area <= 1 and one.median > 0 for one in found)
    assert shown(found, 3).count("\n|") == 5


def test_so_is_each_of_a_client_whose_keys_are_at_an_address(tmp_path: Path) -> None:
    found = measured_away(tmp_path, 20, 1, after=AFTER, at_once=10, clients=12)
    assert [(one.way, one.base, one.of) for one in found] == [
        ("wrong key, keys at an address", "unknown client", "time"),
        ("unknown kid, keys at an address", "unknown client", "time"),
    ]
    assert all(0 <= one.area <= 1 and one.median >= AFTER * 1e6 for one in found)


@pytest.mark.parametrize(
    ("these", "those", "area"),
    [
        ([3, 4], [1, 2], 1.0),
        ([1, 2], [3, 4], 0.0),
        ([1, 2], [1, 2], 0.5),
        ([5, 5, 5], [5, 5], 0.5),
        ([1, 3], [2, 2], 0.5),
        ([2, 3], [1, 3], 0.625),
    ],
)
def test_the_area_is_that_of_mann_and_whitney(these: list[int], those: list[int], area: float) -> None:
    assert _area(these, those) == area


def test_a_difference_tells_where_it_is_more_than_chance_and_more_than_a_guess() -> None:
    assert Compared("a", "b", 0.6, 0.004, 1, 0).tells
    assert Compared("a", "b", 0.4, 0.004, 1, 0).tells
    assert not Compared("a", "b", 0.51, 0.001, 1, 0).tells
    assert not Compared("a", "b", 0.6, 0.05, 1, 0).tells


@pytest.mark.parametrize(("area", "wrong"), [(0.505, ()), (0.6, ("1 told apart",))])
def test_a_fault_run_is_wrong_where_a_time_tells(area: float, wrong: tuple[str, ...]) -> None:
    found = [Compared("a", "b", area, 0.001, 1, 0), Compared("c", "b", 0.5, 0.001, 1, 0)]
    assert SCENARIO.wrong(counted(found, 100)) == wrong
    assert SCENARIO.wrong(counted([], 100)) == ("no kinds compared with an unknown client",)
