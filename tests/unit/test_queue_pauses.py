"""How long what was put off rests between two attempts. Source: `trust.md`, "Journal": back-off and jitter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.interactions.queue import LONGEST_PAUSE, pause

CHANCES = st.floats(0, 1)


def test_each_rests_twice_as_long_as_the_one_before_up_to_the_longest() -> None:
    assert [pause(attempts, 1) for attempts in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@given(st.integers(0, 10**9), CHANCES)
def test_no_rest_is_longer_than_the_longest_or_shorter_than_half_its_own(attempts: int, chance: float) -> None:
    assert pause(attempts, 1) / 2 <= pause(attempts, chance) <= pause(attempts, 1) <= LONGEST_PAUSE


@given(st.integers(0, 30), CHANCES, CHANCES)
def test_chance_spreads_those_that_failed_together(attempts: int, one: float, other: float) -> None:
    assert (pause(attempts, one) < pause(attempts, other)) is (1 + one < 1 + other)
