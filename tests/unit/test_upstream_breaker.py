"""The circuit breaker: when it opens, who tries, and what closes it."""

from __future__ import annotations

import pytest

from gateway.upstream.answer import NotAsked, Slow, TargetDown, Unreachable
from gateway.upstream.breaker import FAILURES, LONGEST, PAUSE, Breaker

GONE, BROKEN = Unreachable("record", "no connection to it"), TargetDown("record", "it answered 500")


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, times: int = 1, error: Exception = GONE, *, always: bool = False) -> None:
    for _ in range(times):
        with pytest.raises(type(error)), breaker.asking(always=always):
            raise error


def asked(breaker: Breaker, *, always: bool = False) -> bool:
    try:
        with breaker.asking(always=always):
            return True
    except NotAsked:
        return False


def opened() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker("record", clock)
    fail(breaker, FAILURES)
    return breaker, clock


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker("record", Clock())
    fail(breaker, FAILURES - 1)
    assert asked(breaker)
    fail(breaker, FAILURES - 1)
    fail(breaker)
    assert not asked(breaker)
    with pytest.raises(NotAsked, match=f"record: it was not there {FAILURES} times in a row"), breaker.asking():
        raise AssertionError("it was asked")


@pytest.mark.parametrize("error", [BROKEN, ValueError("a fault of the program")])
def test_what_says_nothing_of_whether_it_is_there_does_not_open_it(error: Exception) -> None:
    breaker = Breaker("record", Clock())
    fail(breaker, 3 * FAILURES, error)
    assert asked(breaker)


def test_what_was_not_sent_neither_opens_nor_closes_it() -> None:
    unsent = NotAsked("record", "its token endpoint answered 400")
    breaker, clock = opened()
    clock.now += PAUSE
    fail(breaker, 1, unsent)
    fail(breaker)
    assert not asked(breaker)
    breaker = Breaker("record", Clock())
    fail(breaker, 2 * FAILURES, unsent)
    assert asked(breaker)


def test_any_answer_counts_as_being_there() -> None:
    breaker = Breaker("record", Clock())
    fail(breaker, FAILURES - 1)
    fail(breaker, 1, BROKEN)
    fail(breaker, FAILURES - 1)
    assert asked(breaker)


def test_one_request_tries_after_the_pause_and_closes_it() -> None:
    breaker, clock = opened()
    clock.now += PAUSE - 0.01
    assert not asked(breaker)
    clock.now += 0.01
    with breaker.asking():
        assert not asked(breaker)
    fail(breaker, FAILURES - 1)
    assert asked(breaker)


def test_a_try_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker, clock = opened()
    pause = PAUSE
    for _ in range(10):
        clock.now += pause
        fail(breaker)
        assert not asked(breaker)
        pause = min(2 * pause, LONGEST)
        clock.now += pause - 0.01
        assert not asked(breaker)
        clock.now += 0.01
    assert asked(breaker)
    fail(breaker, FAILURES)
    clock.now += PAUSE
    assert asked(breaker)


def test_a_try_that_is_given_up_lets_another_one_try() -> None:
    breaker, clock = opened()
    clock.now += PAUSE
    fail(breaker, 1, ValueError("cancelled"))
    assert asked(breaker)


def test_failures_under_way_when_it_opened_do_not_lengthen_the_pause() -> None:
    clock = Clock()
    breaker = Breaker("record", clock)
    under_way = [breaker.asking() for _ in range(3)]
    for one in under_way:
        one.__enter__()
    fail(breaker, FAILURES)
    for one in under_way:
        assert not one.__exit__(Unreachable, GONE, None)
    clock.now += PAUSE
    assert asked(breaker)


def test_a_question_for_its_health_is_always_asked_and_closes_it() -> None:
    breaker, _ = opened()
    fail(breaker, always=True)
    assert not asked(breaker)
    assert asked(breaker, always=True)
    assert asked(breaker)


def test_what_was_slow_neither_opens_nor_closes_it_and_raises_a_doubt() -> None:
    slow = Slow("record", "it did not answer in time")
    breaker = Breaker("record", Clock())
    fail(breaker, FAILURES - 1, slow)
    assert not breaker.doubted()
    fail(breaker, 2 * FAILURES, slow)
    assert breaker.doubted()
    assert asked(breaker)  # which is an answer
    assert not breaker.doubted()
    breaker, clock = opened()
    clock.now += PAUSE
    fail(breaker, 1, slow)
    assert breaker.state == "half open"
    assert breaker.doubted()


def test_a_look_that_finds_nothing_opens_it_at_once() -> None:
    clock = Clock()
    breaker = Breaker("record", clock)
    breaker.gone()
    assert not asked(breaker)
    clock.now += PAUSE
    assert asked(breaker)
    assert breaker.state == "closed"
