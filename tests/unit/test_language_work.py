"""The work of one decision is bounded, over all of its loops."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.language.functions import ERRORS
from gateway.language.work import MOST, TooMuchWork, Work, bounded


@dataclass
class Context:
    """What a decision reads."""

    work: Work | None


def test_loops_in_loops_end_where_the_work_is_used_up() -> None:
    context = Context(Work(left=1000))
    looked: list[tuple[int, int]] = []
    pairs = ((one, other) for one in bounded(context, range(100)) for other in bounded(context, range(100)))
    with pytest.raises(TooMuchWork):
        looked.extend(pairs)
    assert len(looked) < 1000


def test_each_decision_begins_anew() -> None:
    work = Work(left=0)
    with pytest.raises(TooMuchWork):
        list(bounded(Context(work), range(1)))
    work.begin()
    assert list(bounded(Context(work), range(10))) == list(range(10))
    assert work.left == MOST - 10


def test_what_has_no_bound_is_passed_on_as_it_is() -> None:
    values = range(10)
    assert bounded(Context(None), values) is values
    assert bounded(object(), values) is values


def test_no_rule_swallows_it() -> None:
    assert not issubclass(TooMuchWork, ERRORS)
