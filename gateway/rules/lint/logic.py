"""What conditions say of each other: which can never hold, and which hold wherever another does.

Nothing is guessed: what these functions can't tell they answer with no. Conditions are resolved trees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from gateway.language.nodes import (
    Chain,
    Equal,
    Fact,
    Leaf,
    Literal,
    Member,
    Named,
    Not,
    Ordered,
    Present,
    Test,
)
from gateway.source import Span

Key = tuple[Any, ...]
Values = frozenset[Key]


def shape(node: object) -> Any:
    """A node without where it stands and how it is spelt; equal for conditions that mean the same by their form."""
    match node:
        case Span():
            return None
        case Named(test=inner) if inner is not None:
            return shape(inner)
        case Literal():
            return "Literal", value(node)
        case tuple():
            return tuple(shape(part) for part in node)
    if dataclasses.is_dataclass(node):
        fields = (f for f in dataclasses.fields(node) if f.compare)
        return type(node).__name__, *(shape(getattr(node, f.name)) for f in fields)
    return node


def value(literal: Literal) -> Key:
    """A constant, told from those of other kinds."""
    return literal.type.kind, literal.value


def fact(name: str) -> Key:
    """The key of a fact that a rule's own clauses tell of: `action`, `message.type`."""
    return "Fact", name


def _key(leaf: Leaf) -> Key:
    return fact(leaf.name) if isinstance(leaf, Fact) else tuple(shape(leaf))


@dataclass(frozen=True, slots=True)
class Range:
    """What is known of one value.

    Shape: `allowed` is None for all; `low` and `high` are limits with whether they are allowed themselves.
    """

    allowed: Values | None = None
    excluded: Values = frozenset()
    present: bool | None = None
    low: tuple[Any, bool] | None = None
    high: tuple[Any, bool] | None = None
    empty: bool = False

    def narrowed(self, other: Range) -> Range:
        """Both at once."""
        both = [a for a in (self.allowed, other.allowed) if a is not None]
        allowed = frozenset.intersection(*both) if both else None
        excluded = self.excluded | other.excluded
        low = max(filter(None, (self.low, other.low)), key=lambda one: (one[0], not one[1]), default=None)
        high = min(filter(None, (self.high, other.high)), key=lambda one: (one[0], one[1]), default=None)
        if allowed is not None:
            allowed -= excluded
        empty = self.empty or other.empty or allowed == frozenset()
        empty = empty or (low is not None and high is not None and _crossed(low, high))
        empty = empty or (None not in {self.present, other.present} and self.present != other.present)
        return Range(allowed, excluded, self.present if self.present is not None else other.present, low, high, empty)

    def within(self, other: Range) -> bool:
        """Whether every value of it is one of another's."""
        if other.present is False or (other.present and self.present is not True):
            return False
        values = other.allowed is None or (self.allowed is not None and self.allowed <= other.allowed)
        excluded = self.allowed is not None or other.excluded <= self.excluded
        apart = self.allowed is None or not other.excluded & self.allowed
        limits = (other.low in {None, self.low}) and (other.high in {None, self.high})
        return values and excluded and apart and limits


def _crossed(low: tuple[Any, bool], high: tuple[Any, bool]) -> bool:
    return bool(low[0] > high[0]) or (low[0] == high[0] and not (low[1] and high[1]))


@dataclass(frozen=True, slots=True)
class Known:
    """What holds at once: ranges of values, and conditions by their shape with whether they hold."""

    ranges: Mapping[Key, Range] = field(default_factory=dict)
    holding: Mapping[Any, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clash:
    """Where a condition can't hold, and of what."""

    span: Span
    word: str
    opposite: bool


def never(test: Test | None, known: Known) -> Clash | None:
    """Why a condition never holds beside what is known, or None where it may."""
    if test is None:
        return None
    found = _add(test, known)
    return found if isinstance(found, Clash) else None


def _add(test: Test, known: Known) -> Known | Clash:
    """What is known where a condition holds as well."""
    alternatives: list[Chain] = []
    for part, holds in flat(test):
        if isinstance(part, Chain) and holds:
            alternatives.append(part)
            continue
        form = shape(part)
        if known.holding.get(form, holds) is not holds:
            return Clash(part.span, part.span.text, opposite=True)
        known = replace(known, holding={**known.holding, form: holds})
        told = of_value(part) if holds else None
        if told is not None:
            key, span, said = told
            both = known.ranges.get(key, Range()).narrowed(said)
            if both.empty:
                return Clash(part.span, span.text, opposite=False)
            known = replace(known, ranges={**known.ranges, key: both})
    for one in alternatives:
        clashes = [never(part, known) for part in one.parts]
        if all(clashes) and clashes[0] is not None:
            return replace(clashes[0], span=one.span)
    return known


def flat(test: Test, *, holds: bool = True) -> Iterator[tuple[Test, bool]]:
    """Conditions that a condition demands, each with whether it has to hold; an `or` is one of them."""
    match test:
        case Named(test=inner) if inner is not None:
            yield from flat(inner, holds=holds)
        case Not():
            yield from flat(test.part, holds=not holds)
        case Chain() if (test.word == "and") is holds:
            for part in test.parts:
                yield from flat(part, holds=holds)
        case _:
            yield test, holds


def of_value(test: Test) -> tuple[Key, Span, Range] | None:
    """What a condition says of one value, where it speaks of one that may not repeat."""
    match test:
        case Equal(left=left, right=Literal() as right) if _single(left):
            said = frozenset({value(right)})
            return _said(left, Range(excluded=said, present=True) if test.negated else Range(said, present=True))
        case Member(left=left) if _single(left):
            options = [option for option in test.options if isinstance(option, Literal)]
            if len(options) == len(test.options):
                return _said(left, Range(frozenset(value(option) for option in options), present=True))
        case Present(operand=left) if _single(left):
            return _said(left, Range(present=test.positive))
        case Ordered(left=left, right=Literal(value=Decimal() as limit)) if _single(left):
            end = (limit, "=" in test.sign)
            low, high = (end, None) if test.sign.startswith(">") else (None, end)
            return _said(left, Range(present=True, low=low, high=high))
    return None


def _single(operand: object) -> bool:
    return isinstance(operand, Leaf) and not operand.type.many


def _said(leaf: object, said: Range) -> tuple[Key, Span, Range] | None:
    return (_key(leaf), leaf.span, said) if isinstance(leaf, Leaf) else None


@dataclass(frozen=True, slots=True)
class Case:
    """One way in which a condition holds. Shape: `known` is None where it can't; `alternatives` are its inner `or`s."""

    known: Known | None
    alternatives: tuple[Chain, ...]


def cases(test: Test | None, known: Known) -> tuple[Case, ...]:
    """The ways in which a condition holds beside what is known; None is one that always holds."""
    if test is None:
        return (Case(known, ()),)
    if _is_or(test):
        return tuple(case for part in _parts(test) for case in cases(part, known))
    found = _add(test, known)
    return (Case(None if isinstance(found, Clash) else found, tuple(_alternatives(test))),)


def implied(other: Test | None, ways: Iterable[Case]) -> bool:
    """Whether a condition holds in every one of these cases."""
    return other is None or all(w.known is None or _follows(other, w.known, w.alternatives) for w in ways)


def _alternatives(test: Test) -> Iterator[Chain]:
    yield from (part for part, holds in flat(test) if holds and isinstance(part, Chain))


def _follows(other: Test, known: Known, alternatives: tuple[Chain, ...]) -> bool:
    for part, holds in flat(other):
        told = of_value(part) if holds else None
        if known.holding.get(shape(part)) is holds:
            continue
        if told is not None and known.ranges.get(told[0], Range()).within(told[2]):
            continue
        if isinstance(part, Chain) and holds:
            if any(_follows(one, known, alternatives) for one in part.parts):
                continue
            if any(all(implied(part, cases(one, known)) for one in chain.parts) for chain in alternatives):
                continue
        return False
    return True


def _is_or(test: Test) -> bool:
    meant = _meant(test)
    return isinstance(meant, Chain) and meant.word == "or"


def _meant(test: Test) -> Test:
    return _meant(test.test) if isinstance(test, Named) and test.test is not None else test


def _parts(test: Test) -> tuple[Test, ...]:
    meant = _meant(test)
    return meant.parts if isinstance(meant, Chain) else (meant,)
