"""What the checks of a domain ask of a sample, as far as that is plain, and how each of them is broken.

A wish is about one place: that it is filled, that it holds one of some values, or that a predicate holds of it. What a
check asks beyond that is found out by trying: the sample is judged by the real rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal as Choice

from gateway.language.functions import PREDICATES
from gateway.language.nodes import (
    Chain,
    Column,
    Element,
    Equal,
    Fact,
    Field,
    Leaf,
    Literal,
    Member,
    Named,
    Not,
    Operand,
    Ordered,
    Part,
    Predicated,
    Present,
    Test,
    leaves,
)
from gateway.rules import Check, Domain
from gateway.rules.program import Applying, settle

RESULT = "result"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wished of one place.

    Shape: `options` are empty where any value will do; `predicate` is what must hold of it, empty for nothing.
    """

    leaf: Leaf
    options: tuple[str, ...] = ()
    predicate: str = ""


def applying(domain: Domain, data_type: str, message_type: str) -> tuple[Check, ...]:
    """The checks of a domain that a submission of this type may meet, those on its result among them."""
    named = [check for check in domain.checks if _covers(check, data_type, message_type)]
    return settle(Applying((), (), tuple(named), ()), message_type).checks


def _covers(check: Check, data_type: str, message_type: str) -> bool:
    on = check.on
    if RESULT in on.data_types:
        return True
    if on.data_types and data_type not in on.data_types:
        return False
    return data_type != "Hl7v2" or not on.types or message_type in on.types


def wishes(checks: Iterable[Check]) -> tuple[Wish, ...]:
    """What the checks wish of what is sent; what they ask of results is seen only once it is converted."""
    return tuple(
        wish
        for check in checks
        if RESULT not in check.on.data_types and (check.each is None or check.each.where is None)
        for wish in _wishes(check.require)
    )


def read_by(checks: Iterable[Check]) -> tuple[Leaf, ...]:
    """Every place that the checks read of what is sent."""
    tests = [
        test
        for check in checks
        for test in (check.require, check.when, check.each.where if check.each is not None else None)
        if test is not None
    ]
    return tuple(leaf for test in tests for leaf in leaves(test) if not isinstance(leaf, Fact))


def asked(test: Test | None) -> tuple[Wish, ...]:
    """What makes a condition hold, as far as that is plain."""
    return () if test is None else tuple(_wishes(test))


def _wishes(test: Test) -> Iterator[Wish]:
    match test:
        case Chain(word="and"):
            for part in test.parts:
                yield from _wishes(part)
        case Chain():
            yield from next((found for part in test.parts if (found := tuple(_wishes(part)))), ())
        case Named(test=meaning) if meaning is not None:
            yield from _wishes(meaning)
        case Present(operand=Field() | Part() | Element() | Column() as leaf, positive=True):
            yield Wish(leaf)
        case Equal(left=Field() | Part() | Element() | Column() as leaf, right=Literal() as literal, negated=False):
            yield Wish(leaf, (str(literal.value),))
        case Member(left=Field() | Part() | Element() | Column() as leaf, options=options):
            yield Wish(leaf, _literals(options))
        case Predicated(operand=Field() | Part() | Element() | Column() as leaf, predicate=predicate, negated=False):
            yield Wish(leaf, predicate=predicate)
        case _:
            return


def _literals(options: Iterable[Operand]) -> tuple[str, ...]:
    return tuple(str(option.value) for option in options if isinstance(option, Literal))


Way = Choice["remove", "replace", "spoil", "later", "earlier"]


@dataclass(frozen=True, slots=True)
class Spoiling:
    """How the value of a place is made wrong.

    Shape: `allowed` are the values that a replacement must not be; `predicate` is what must no longer hold.
    """

    leaf: Leaf
    way: Way
    allowed: tuple[str, ...] = ()
    predicate: str = ""


def spoilings(check: Check) -> tuple[tuple[Spoiling, ...], ...]:
    """Ways to break a check, each as what is done at once: each part of its requirement by itself, then all of them."""
    each = tuple(_spoilings(check.require))
    removed = tuple(Spoiling(leaf, "remove") for leaf in leaves(check.require) if not isinstance(leaf, Fact))
    ways = (*((one,) for one in each), each, *((one,) for one in removed), removed)
    return tuple(dict.fromkeys(way for way in ways if way))


def _spoilings(test: Test) -> Iterator[Spoiling]:
    match test:
        case Chain():
            for part in test.parts:
                yield from _spoilings(part)
        case Named(test=meaning) if meaning is not None:
            yield from _spoilings(meaning)
        case Not():
            yield from _spoilings(test.part)
        case Present(operand=Field() | Part() | Element() | Column() as leaf):
            yield Spoiling(leaf, "remove")
        case Equal(left=Field() | Part() | Element() | Column() as leaf, right=right):
            yield Spoiling(leaf, "replace", _literals((right,)))
        case Member(left=Field() | Part() | Element() | Column() as leaf, options=options):
            yield Spoiling(leaf, "replace", _literals(options))
        case Predicated(operand=Field() | Part() | Element() | Column() as leaf, predicate=predicate):
            yield Spoiling(leaf, "spoil", predicate=predicate)
        case Ordered(left=Field() | Part() | Element() | Column() as leaf, sign=sign):
            yield Spoiling(leaf, "later" if sign.startswith("<") else "earlier")
        case _:
            return


def spoiled(value: str, spoiling: Spoiling, others: Sequence[str], moments: tuple[str, str]) -> str:
    """A value made wrong.

    Shape: `others` are further values that the place may hold; `moments` long before and long after.
    """
    match spoiling.way:
        case "remove":
            return ""
        case "replace":
            return next((other for other in (*others, *_STRANGE) if other not in {value, *spoiling.allowed}), "")
        case "spoil":
            return _spoiled(value, spoiling.predicate)
        case "earlier":
            return moments[0]
        case "later":
            return moments[1]


_STRANGE = ("ZZ", "ZZZ")


def _spoiled(value: str, predicate: str) -> str:
    holds = PREDICATES[predicate]
    tries = (*(f"{value[:-1]}{digit}" for digit in "0123456789"), "unknown", "")
    return next(text for text in tries if not holds(text))
