"""Compiled conditions say what a plain walk over the tree says, errors too; `not` never makes an answer of one.

The walk is the meaning, written a second time: one function a class, nothing shared, nothing hoisted, no `ast`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.hl7v2 import Message
from gateway.language import nodes
from gateway.language.check import check
from gateway.language.compile import Absent, compile_test
from gateway.language.functions import ERRORS, EvaluationError
from gateway.language.nodes import Field, Item, Leaf, Literal, Operand, Part, Test
from gateway.language.types import Scope
from gateway.rules.facts import readable
from gateway.rules.reading import READER
from tests.bounded import examples
from tests.conformance.rules.support import NOW, TODAY, message, vocabulary
from tests.unit.test_language_compile import tree

SCOPE = Scope(
    facts=readable(ingest=True, hl7v2=True)[0],
    dictionaries={"2.4": vocabulary().dictionaries["2.4"]},
    elements=vocabulary().elements,
    tables=vocabulary().tables,
    declared={"organisation": frozenset({"R0D", "RDZ"})},
    repeats=frozenset({"NK1"}),
)

# --- conditions ----------------------------------------------------------------------------------------------------

SINGLE = [
    'PID-8.1 is "M"',
    'PID-8.1 is not "F"',
    "PID-8.1 is PID-19",
    "PID-8.1 is present",
    "PID-3 is absent",
    'PID-8.1 in "M", "F"',
    '"NH" in PID-3.5',
    "PID-19 in PID-3.1",
    'PID-3.5 lacks "MR"',
    "PID-3.5 lacks PID-8.1",
    "organisation in caller.organisations",
    "caller.organisations lacks rdz",
    'PID-19 starts with "S"',
    'PID-19 matches "[A-Z].*"',
    "PID-8.1 is nhs-number",
    "PID-7.1 < today",
    "PID-7.1 > today - 16 years",
    "PID-7.1 is 2010-05-15",
    "PID-7.1 within 12 months",
    "PID-7.1 has age under 16 years",
    "PID-1 > 1",
    "PID-1 in 1, 2",
    "any o in caller.organisations satisfies o is r0d",
]
COMPARED = st.sampled_from(SINGLE)
OF_EACH = st.sampled_from(
    [
        "{v}.1 is nhs-number",
        '{v}.5 is "NH"',
        "{v}.5 is PID-8.1",
        "{v}.5 is absent",
        "{v} is present",
        '{v}.4.1 is not "R0D"',
        '{v}.1 starts with "9"',
        "{v}.1 in PID-3.1",
    ]
)


def _loops(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def loop(word: str, chosen: str | None, asked: str) -> str:
        where = "" if chosen is None else f"where {chosen.format(v='x')} "
        return f"{word} x in PID-3 {where}satisfies ({asked.format(v='x')}\n or PID-1 is absent)"

    return st.builds(loop, st.sampled_from(["any", "every"]), st.none() | OF_EACH, OF_EACH | inner)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    chain = st.builds(
        lambda word, parts: f"\n{word} ".join(f"({part})" for part in parts),
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=2, max_size=3),
    )
    return chain | inner.map(lambda part: f"not ({part})")


def _guarded(condition: str) -> str:
    first = condition.split(maxsplit=1)[0]
    return f"({first} is present and {condition})" if first.startswith("PID-") and "sen" not in condition else condition


GUARDED = st.recursive(COMPARED.map(_guarded), _joined, max_leaves=8)
CONDITIONS = st.recursive(COMPARED | _loops(COMPARED), _joined, max_leaves=8)

# --- messages ------------------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "M", "NH", "MR", "Smith", "9990000018", "R0D", '""'])
IDS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS).map(lambda t: f"{t[0]}^^^{t[1]}^{t[2]}"), max_size=3).map("~".join)
BORN = st.sampled_from(["", "20100515", "20260101", "2010", "201005", "soon", "20270101"])
NUMBERS = st.sampled_from(["", "1", "2.0", "one"])
MESSAGES = st.builds(
    lambda number, ids, name, born, sex: message(f"PID|{number}||{ids}||||{born}|{sex}|||||||||||{name}"),
    NUMBERS,
    IDS,
    TEXTS,
    BORN,
    TEXTS,
)


class Caller:
    organisations = frozenset({"R0D"})


class Context:
    """The facts, as plain attributes."""

    def __init__(self, told: Message) -> None:
        self.message = told
        self.organisation = "R0D"
        self.caller = Caller()
        self.today = TODAY
        self.now = NOW


# --- the walk ------------------------------------------------------------------------------------------------------

Bound = Mapping[str, Any]


def walk(test: Test, told: Context, bound: Bound) -> bool:
    return WALKS[type(test)](test, told, bound)


def _texts(found: Any, component: int | None, subcomponent: int | None) -> str | None:
    for step in (component, subcomponent):
        found = found.at(step) if step is not None and found is not None else found
    text = None if found is None else found.text
    return None if text == '""' else text


def read(leaf: Operand, told: Context, bound: Bound) -> Any:
    match leaf:
        case Literal():
            return leaf.value
        case nodes.Moved():
            return _moved(read(leaf.base, told, bound), leaf)
        case nodes.Fact():
            return {"organisation": "R0D", "caller.organisations": Caller.organisations, "today": TODAY}[leaf.name]
        case Item():
            return bound[leaf.variable]
        case Part():
            return _texts(bound[leaf.variable], leaf.component, leaf.subcomponent)
        case Field():
            every = [r for s in told.message.all(leaf.segment) for r in s.field(leaf.field)]
            texts = [t for r in every if (t := _texts(r, leaf.component, leaf.subcomponent)) is not None]
            if leaf.type.many:
                return tuple(texts)
            return _texts(every[0], leaf.component, leaf.subcomponent) if every else None
    raise AssertionError(leaf)


def _moved(day: date, moved: nodes.Moved) -> date:
    assert (moved.back, moved.length.unit) == (True, "year")
    return day.replace(year=day.year - moved.length.count)


def _kind(operand: Operand) -> str:
    assert isinstance(operand, Leaf | Literal | nodes.Moved)
    return operand.type.kind


def _as(kinds: set[str], value: Any) -> Any:
    if kinds == {"number"}:
        if isinstance(value, str) and not re.fullmatch(r"\d+(\.\d+)?", value):
            raise EvaluationError
        return Decimal(value)
    if kinds <= {"date", "instant"}:
        return _day(value)
    return value


def _day(value: Any) -> date:
    if isinstance(value, date):
        return value
    if not re.fullmatch(r"\d{8}", value):
        raise EvaluationError
    return date(int(value[:4]), int(value[4:6]), int(value[6:]))


def _sides(test: Any, told: Context, bound: Bound) -> tuple[Any, Any] | None:
    left, right = read(test.left, told, bound), read(test.right, told, bound)
    if left is None or right is None:
        return None
    kinds = {_kind(test.left), _kind(test.right)}
    return _as(kinds, left), _as(kinds, right)


def _equal(test: nodes.Equal, told: Context, bound: Bound) -> bool:
    sides = _sides(test, told, bound)
    return sides is not None and (sides[0] == sides[1]) is not test.negated


def _ordered(test: nodes.Ordered, told: Context, bound: Bound) -> bool:
    sides = _sides(test, told, bound)
    if sides is None:
        return False
    less, more = bool(sides[0] < sides[1]), bool(sides[0] > sides[1])
    return {"<": less, ">": more, "<=": not more, ">=": not less}[test.sign]


def _member(test: nodes.Member, told: Context, bound: Bound) -> bool:
    left = read(test.left, told, bound)
    options = [read(o, told, bound) for o in test.options]
    if left is None:
        return False
    listed = options[0]
    if isinstance(listed, tuple | frozenset):
        return any(one == left for one in listed)
    return any(_as({_kind(test.left), _kind(test.options[0])}, left) == option for option in options)


def _lacks(test: nodes.Lacks, told: Context, bound: Bound) -> bool:
    right = read(test.right, told, bound)
    listed: tuple[Any, ...] | frozenset[Any] = read(test.left, told, bound)
    return right is not None and right not in listed


def _present(test: nodes.Present, told: Context, bound: Bound) -> bool:
    leaf = test.operand
    assert isinstance(leaf, Field | Part)
    if isinstance(leaf, Field):
        of = [r for s in told.message.all(leaf.segment) for r in s.field(leaf.field)]
    else:
        of = [bound[leaf.variable]]
    found = any(_populated(r, leaf.component, leaf.subcomponent) for r in of)
    return found is test.positive


def _populated(found: Any, component: int | None, subcomponent: int | None) -> bool:
    for step in (component, subcomponent):
        found = found.at(step) if step is not None and found is not None else found
    if found is None:
        return False
    if len(found.parts) > 1:
        return any(_populated(part, None, None) for part in found.parts)
    return found.text not in {None, '""'}


def _quantified(test: nodes.Quantified, told: Context, bound: Bound) -> bool:
    leaf = test.path
    if isinstance(leaf, Field):
        every = [r for s in told.message.all(leaf.segment) for r in s.field(leaf.field) if r.present]
    else:
        every = sorted(read(leaf, told, bound))
    for one in every:
        inner = {**bound, test.variable.text: one}
        if test.where is not None and not walk(test.where, told, inner):
            continue
        if walk(test.test, told, inner) is (test.word == "any"):
            return test.word == "any"
    return test.word == "every"


def _chain(test: nodes.Chain, told: Context, bound: Bound) -> bool:
    stops = test.word == "or"
    return stops if any(walk(part, told, bound) is stops for part in test.parts) else not stops


def _of_text(answer: Callable[[Any, str], bool]) -> Callable[[Any, Context, Bound], bool]:
    def asked(test: Any, told: Context, bound: Bound) -> bool:
        value = read(test.operand, told, bound)
        return value is not None and answer(test, value)

    return asked


def _span(value: str) -> tuple[date, date]:
    if re.fullmatch(r"\d{4}", value):
        return date(int(value), 1, 1), date(int(value), 12, 31)
    if re.fullmatch(r"\d{6}", value):
        return date(int(value[:4]), int(value[4:]), 1), date(int(value[:4]), int(value[4:]), 31)
    return _day(value), _day(value)


def _told(first: bool, last: bool) -> bool:  # noqa: FBT001 - the answer for the first day and the last
    if first is not last:
        raise EvaluationError
    return first


def _within(_test: nodes.Within, value: str) -> bool:
    first, last = _span(value)
    start = TODAY.replace(year=TODAY.year - 1)
    if first < start <= last or first <= TODAY < last:
        raise EvaluationError
    return start <= first <= TODAY


def _has_age(_test: nodes.HasAge, value: str) -> bool:
    return _told(*(day.replace(year=day.year + 16) > TODAY for day in _span(value)))


def _nhs_number(test: nodes.Predicated, value: str) -> bool:
    return (value == "9990000018") is not test.negated


WALKS: Mapping[type, Callable[[Any, Context, Bound], bool]] = {
    nodes.Equal: _equal,
    nodes.Ordered: _ordered,
    nodes.Member: _member,
    nodes.Lacks: _lacks,
    nodes.Present: _present,
    nodes.Quantified: _quantified,
    nodes.Chain: _chain,
    nodes.Not: lambda test, told, bound: not walk(test.part, told, bound),
    nodes.Starts: _of_text(lambda test, value: value.startswith(test.prefix.value)),
    nodes.Matches: _of_text(lambda test, value: re.fullmatch(test.pattern.value, value) is not None),
    nodes.Within: _of_text(_within),
    nodes.HasAge: _of_text(_has_age),
    nodes.Predicated: _of_text(_nhs_number),
}


def outcome(ask: Callable[[], bool]) -> bool | None:
    """What is said; None for an error."""
    try:
        return ask()
    except ERRORS:
        return None


def asked(condition: str) -> Test:
    found = check(tree(condition), SCOPE)
    assert found.test is not None, (condition, found.diagnostics)
    return found.test


@pytest.mark.parametrize("condition", SINGLE)
@settings(max_examples=15, deadline=None)
@given(sent=MESSAGES)
def test_each_comparison_says_what_a_walk_says(condition: str, sent: Message) -> None:
    test, told = asked(condition), Context(sent)
    assert outcome(lambda: compile_test(test, READER)(told)) == outcome(lambda: walk(test, told, {}))


@settings(max_examples=examples(150), deadline=None)
@given(CONDITIONS, MESSAGES)
def test_compiled_conditions_say_what_a_walk_says(condition: str, sent: Message) -> None:
    test, told = asked(condition), Context(sent)
    compiled = outcome(lambda: compile_test(test, READER)(told))
    assert compiled == outcome(lambda: walk(test, told, {}))
    # an error stays one under `not`, whatever stands for absence; else `not` turns the answer
    turned = outcome(lambda: compile_test(asked(f"not ({condition})"), READER)(told))
    assert turned == (None if compiled is None else not compiled)


@settings(max_examples=examples(100), deadline=None)
@given(GUARDED, MESSAGES)
def test_behind_its_guards_a_condition_says_the_same_whatever_absence_stands_for(condition: str, sent: Message) -> None:
    spelled = check(tree(condition), replace(SCOPE, absence="spelled"))
    assume(spelled.test is not None)
    assert spelled.test is not None
    told = Context(sent)
    ways: tuple[Absent, ...] = ("false", "passes", "fails")
    compiled = [compile_test(spelled.test, READER, absent=absent) for absent in ways]
    assert len({outcome(functools.partial(ask, told)) for ask in compiled}) == 1
