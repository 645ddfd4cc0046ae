"""The expression tree: frozen nodes that carry their span.

The parser makes a tree of `Word`s and `Text`s; the checker makes the same tree with every word resolved to a `Leaf`
(something to be read) or a `Literal`. The compiler takes the resolved tree alone. What goes by the class of a node
does so by a table, and a test holds that no table lacks one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args
from typing import Literal as Choice

from gateway.finding import Finding
from gateway.language.lists import CodeList, NamedList
from gateway.language.places import (
    Amount,
    Column,
    Duration,
    Element,
    Fact,
    Field,
    Item,
    Leaf,
    Literal,
    Moved,
    Operand,
    Part,
    Text,
    Value,
    Word,
)
from gateway.source import Span

__all__ = [
    "LEAVES",
    "TESTS",
    "Amount",
    "BreaksGlass",
    "Chain",
    "Column",
    "Conforms",
    "Duration",
    "Element",
    "Equal",
    "Fact",
    "Field",
    "HasAge",
    "HasCode",
    "HasListedCode",
    "Item",
    "Lacks",
    "Leaf",
    "Listed",
    "Literal",
    "Matches",
    "Member",
    "Moved",
    "Named",
    "Not",
    "Operand",
    "Ordered",
    "Part",
    "Phrased",
    "Predicated",
    "Present",
    "Quantified",
    "Starts",
    "Test",
    "Text",
    "Value",
    "Within",
    "Word",
    "leaves",
    "operands",
    "parts",
]


@dataclass(frozen=True, slots=True)
class Chain:
    """Conditions joined by one word. Shape: `parts` has two or more, but for a block of one line."""

    word: Choice["and", "or"]
    parts: tuple[Test, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Not:
    """A condition turned round."""

    part: Test
    span: Span


@dataclass(frozen=True, slots=True)
class Equal:
    """`is` and `is not`, of single values."""

    left: Operand
    right: Operand
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Present:
    """`is present`, or `is absent` where `positive` is false."""

    operand: Operand
    positive: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Member:
    """`in`. Shape: the options of a resolved tree are literals, or one leaf that is a list."""

    left: Operand
    options: tuple[Operand, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Ordered:
    """`<`, `<=`, `>`, `>=`."""

    left: Operand
    sign: Choice["<", "<=", ">", ">="]
    right: Operand
    span: Span


@dataclass(frozen=True, slots=True)
class Phrased:
    """A predicate of two operands in words: `caller connects as organisation`."""

    left: Operand
    phrase: str
    right: Operand
    span: Span


@dataclass(frozen=True, slots=True)
class Predicated:
    """`is nhs-number` and its kind; only in resolved trees."""

    operand: Operand
    predicate: str
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Lacks:
    """`caller.organisations lacks rdz`: `in` turned round. Shape: resolved, `left` is a leaf that is a list."""

    left: Operand
    right: Operand
    span: Span


@dataclass(frozen=True, slots=True)
class Starts:
    """`starts with "..."`, letter for letter."""

    operand: Operand
    prefix: Text
    span: Span


@dataclass(frozen=True, slots=True)
class Matches:
    """`matches "..."`: a regular expression of re2 that fits the whole of a text."""

    operand: Operand
    pattern: Text
    span: Span


@dataclass(frozen=True, slots=True)
class Within:
    """`Encounter.period.start within 12 months`: no longer ago than that, and not to come."""

    operand: Operand
    length: Duration
    span: Span


@dataclass(frozen=True, slots=True)
class HasCode:
    """`has code "R" in "http://..."`: some coding has this code of this system."""

    operand: Operand
    code: Text
    system: Text
    span: Span


@dataclass(frozen=True, slots=True)
class HasListedCode:
    """`has code sexual-health`: some coding is among the declared `codes`. Shape: `listing` in resolved trees."""

    operand: Operand
    codes: Word
    span: Span
    listing: CodeList | None = None


@dataclass(frozen=True, slots=True)
class HasAge:
    """`has age under 16 years`; `has age 16 years or over` where `under` is false. Of `patient`, or of a birth date."""

    operand: Operand
    under: bool
    length: Duration
    span: Span


@dataclass(frozen=True, slots=True)
class Listed:
    """`patient listed in ndoo`: of a declared `list`.

    Shape: `listing` in resolved trees; `system` that of the identifiers by which a patient is looked up.
    """

    operand: Operand
    of: Word
    span: Span
    listing: NamedList | None = None
    system: str = ""


@dataclass(frozen=True, slots=True)
class BreaksGlass:
    """`caller breaks glass`: the request does. Shape: resolved, `operand` is the fact `caller`."""

    operand: Operand
    span: Span


@dataclass(frozen=True, slots=True)
class Conforms:
    """`resource conforms`, `resource conforms to uk-core`, `message conforms`: it is what the standard says.

    Shape: `to` names another standard than R4; `judge` in resolved trees; it takes the resource or the message.
    `departures` there tells everything in which a resource departs; None for a message, which tells by kind.
    """

    operand: Operand
    span: Span
    to: Word | None = None
    judge: Callable[[Any], bool] | None = field(default=None, compare=False)
    departures: Callable[[Any], tuple[Finding, ...]] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Quantified:
    """`any id in PID-3 where ... satisfies ...`, or `every`: of the repetitions of a field, an element, a list fact.

    Shape: `where` chooses among the repetitions, None for all; of none at all `any` is false and `every` true.
    """

    word: Choice["any", "every"]
    variable: Word
    path: Operand
    where: Test | None
    test: Test
    span: Span


@dataclass(frozen=True, slots=True)
class Named:
    """A condition by its name; the resolved tree has the meaning in `test`."""

    word: Word
    test: Test | None
    span: Span


Test = (
    Chain
    | Not
    | Equal
    | Present
    | Member
    | Ordered
    | Phrased
    | Predicated
    | Named
    | Lacks
    | Starts
    | Matches
    | Within
    | HasCode
    | HasListedCode
    | HasAge
    | Listed
    | BreaksGlass
    | Conforms
    | Quantified
)

TESTS: tuple[type, ...] = get_args(Test)
"""The classes of conditions, for tables that go by them."""
LEAVES: tuple[type, ...] = get_args(Leaf)
"""The classes of what is read."""


def parts(test: Test) -> tuple[Test, ...]:
    """The conditions that a condition is made of, one level down."""
    return _PARTS[type(test)](test) if type(test) in _PARTS else ()


def operands(test: Test) -> tuple[Operand, ...]:
    """What a condition reads itself, in the author's order; of a `Moved` what is moved."""
    found = OPERANDS[type(test)](test)
    return tuple(o.base if isinstance(o, Moved) else o for o in found)


def leaves(test: Test) -> Iterator[Leaf]:
    """Everything that a resolved condition reads, in the author's order, repeated where it is read again."""
    for operand in operands(test):
        if isinstance(operand, Leaf):
            yield operand
    for part in parts(test):
        yield from leaves(part)


def _none(_test: Any) -> tuple[()]:
    return ()


def _sides(test: Any) -> tuple[Operand, ...]:
    return (test.left, test.right)


def _operand(test: Any) -> tuple[Operand, ...]:
    return (test.operand,)


# those that are made of others; the rest is made of none
_PARTS: Mapping[type, Callable[[Any], tuple[Test, ...]]] = {
    Chain: lambda test: test.parts,
    Not: lambda test: (test.part,),
    Named: lambda test: () if test.test is None else (test.test,),
    Quantified: lambda test: (test.test,) if test.where is None else (test.where, test.test),
}

OPERANDS: Mapping[type, Callable[[Any], tuple[Operand, ...]]] = {
    Chain: _none,
    Not: _none,
    Named: _none,
    Equal: _sides,
    Ordered: _sides,
    Phrased: _sides,
    Lacks: _sides,
    Member: lambda test: (test.left, *test.options),
    Present: _operand,
    Predicated: _operand,
    Starts: _operand,
    Matches: _operand,
    Within: _operand,
    HasCode: _operand,
    HasListedCode: _operand,
    HasAge: _operand,
    Listed: _operand,
    BreaksGlass: _operand,
    Conforms: _operand,
    Quantified: lambda test: (test.path,),
}
