"""How many requests a principal may make in a second, and how often an address may fail to authenticate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from gateway.interactions.rates import MOST_ADDRESSES, AtOnce, Failures, Rates
from gateway.interactions.refused import Refused


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(failures: Failures, address: str, most: int) -> bool:
    try:
        failures.check(address, most)
    except Refused as refusal:
        return refusal.reason == "too-many" and int(refusal.headers["Retry-After"]) >= 1
    return False


def test_past_its_failures_an_address_waits_and_others_do_not() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(10):
        assert not refused(failures, "192.0.2.1", 10)
        failures.count("192.0.2.1", 10)
    assert refused(failures, "192.0.2.1", 10)
    assert not refused(failures, "192.0.2.2", 10)


def test_a_site_that_has_a_whole_network_counts_as_one() -> None:
    failures = Failures(Clock())
    for number in range(10):
        assert not refused(failures, f"2001:db8:1:2::{number}", 10)
        failures.count(f"2001:db8:1:2::{number}", 10)
    assert refused(failures, "2001:db8:1:2::ffff", 10)
    assert not refused(failures, "2001:db8:1:3::1", 10)


def test_what_was_used_comes_back_evenly() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(10):
        failures.count("192.0.2.1", 10)
    clock.now += 5.9
    assert refused(failures, "192.0.2.1", 10)
    clock.now += 0.2
    assert not refused(failures, "192.0.2.1", 10)
    failures.count("192.0.2.1", 10)
    assert refused(failures, "192.0.2.1", 10)
    clock.now += 60
    for _ in range(10):
        assert not refused(failures, "192.0.2.1", 10)
        failures.count("192.0.2.1", 10)
    assert refused(failures, "192.0.2.1", 10)


@pytest.mark.parametrize("most", [0])
def test_without_a_bound_nobody_waits(most: int) -> None:
    failures = Failures()
    for _ in range(1000):
        failures.count("192.0.2.1", most)
    assert not refused(failures, "192.0.2.1", most)


def test_no_more_than_so_many_addresses_are_remembered() -> None:
    failures = Failures(Clock())
    for number in range(MOST_ADDRESSES + 500):
        failures.count(str(number), 10)
    assert len(failures._used) == MOST_ADDRESSES
    assert str(MOST_ADDRESSES + 499) in failures._used


def test_requests_are_counted_by_principal_and_second() -> None:
    rates, now = Rates(), datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    for _ in range(3):
        rates.check("one", 3, now)
    with pytest.raises(Refused) as told:
        rates.check("one", 3, now + timedelta(seconds=0.9))
    assert told.value.reason == "too-many"
    assert told.value.headers["Retry-After"] == "1"
    rates.check("two", 3, now)
    rates.check("one", 3, now + timedelta(seconds=1))
    for _ in range(100):
        rates.check("free", None, now)


def test_an_address_has_so_many_in_hand_and_no_more() -> None:
    unproved = AtOnce()
    with unproved.one("192.0.2.1", 2), unproved.one("192.0.2.1", 2):
        with pytest.raises(Refused) as caught, unproved.one("192.0.2.1", 2):
            pytest.fail("it was taken")
        assert (caught.value.reason, caught.value.headers) == ("too-many", {"Retry-After": "1"})
        with unproved.one("192.0.2.2", 2):
            assert len(unproved._held) == 2
    with unproved.one("192.0.2.1", 1):
        pass
    assert unproved._held == {}
