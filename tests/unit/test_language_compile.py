"""Compiled conditions: what they say, what they say of absence, and that author text never becomes source."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from lark import Tree

from gateway.language import compile as compiling
from gateway.language import parse
from gateway.language.check import check, check_operand
from gateway.language.compile import Absent, Code, compile_test, compile_value
from gateway.language.functions import ERRORS
from gateway.language.kinds import Type
from gateway.language.nodes import Chain, Fact, Leaf, Literal, Member, Named, Predicated, Test, Text, Word
from gateway.language.presence import key
from gateway.language.types import Bound, NamedSet, Scope
from gateway.source import Diagnostic, Source, Span
from tests.conformance.rules.support import vocabulary

_GRAMMAR = parse.parser("start: condition\n", ("start",))

FACTS = {
    "text": Type("text", optional=True),
    "sure": Type("text"),
    "number": Type("number", optional=True),
    "day": Type("date", optional=True),
    "moment": Type("instant", optional=True),
    "flag": Type("boolean", optional=True),
    "many": Type("text", many=True),
    "group": Type("complex", optional=True),
    "role": Type("role"),
    "caller": Type("caller"),
}


class Reader:
    """Facts as items of a dict; one that counts."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def value(self, leaf: Leaf, code: Code) -> ast.expr:
        def get(context: dict[str, Any]) -> Any:
            self.read.append(leaf.span.text)
            return context.get(leaf.span.text)

        return code.call(get, compiling.context())

    def present(self, leaf: Leaf, code: Code) -> ast.expr | None:
        del leaf, code
        return None


def tree(text: str) -> Test:
    source = Source("x", text)
    found = parse.read(_GRAMMAR, Span(source, 0, len(text)), "start")
    assert isinstance(found, Tree), found
    test = parse.condition(found.children[0], source)  # type: ignore[arg-type]  # a tree, as the grammar says
    assert not isinstance(test, Diagnostic)
    return test


SCOPE = Scope(
    facts=FACTS,
    declared={"role": frozenset({"a", "b"})},
    sets={"letters": NamedSet("text", ("a", "b"))},
)


def resolved(text: str, scope: Scope = SCOPE) -> Test:
    found = check(tree(text), scope)
    assert found.test is not None, found.diagnostics
    return found.test


def says(text: str, context: dict[str, Any], absent: Absent = "false") -> bool:
    return compile_test(resolved(text), Reader(), absent=absent)(context)


@pytest.mark.parametrize(
    ("text", "context", "expected"),
    [
        ('text is "a"', {"text": "a"}, True),
        ('text is "a"', {"text": "b"}, False),
        ('text is not "a"', {"text": "b"}, True),
        ('text in "a", "b"', {"text": "b"}, True),
        ("text in letters", {"text": "b"}, True),
        ("text in letters", {"text": "c"}, False),
        ("text in many", {"text": "b", "many": ("a", "b")}, True),
        ('"b" in many', {"many": ()}, False),
        ("many is present", {"many": ("a",)}, True),
        ("many is absent", {"many": ()}, True),
        ("text is present", {"text": "a"}, True),
        ("text is absent", {}, True),
        ("number is 5", {"number": Decimal("5.0")}, True),
        ("number < 5", {"number": 4}, True),
        ("number >= 5", {"number": 5}, True),
        ("number <= 5", {"number": Decimal(6)}, False),
        ("number in 1, 2", {"number": 2}, True),
        ("day < 2026-05-15", {"day": date(2026, 5, 14)}, True),
        ("day is 2026-05-15", {"day": "2026-05-15"}, True),
        ("day in 2026-05-15, 2026-05-16", {"day": "20260516"}, True),
        ("moment > day", {"moment": "20260516", "day": "2026-05-15"}, True),
        ("moment > moment", {"moment": datetime(2026, 1, 1, tzinfo=UTC)}, False),
        ("moment is 2026-07-01", {"moment": "2026-06-30T23:30:00Z"}, True),
        ("flag is true", {"flag": True}, True),
        ("flag is false", {"flag": True}, False),
        ("sure is text", {"sure": "x", "text": "x"}, True),
        ('text is "a" or text is "b"', {"text": "b"}, True),
        ('not (text is "a" or text is "b")', {"text": "b"}, False),
        ("text is nhs-number", {"text": "9990000018"}, True),
        ("text is not nhs-number", {"text": "9990000018"}, False),
    ],
)
def test_what_a_condition_says(text: str, context: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert says(text, context) is expected


COMPARISONS = [
    'text is "a"',
    'text is not "a"',
    'text in "a", "b"',
    "text in many",
    "number < 5",
    "number in 1, 2",
    "day is 2026-05-15",
    "text is nhs-number",
    "text is not nhs-number",
    "text is text",
]


@pytest.mark.parametrize("text", COMPARISONS)
def test_what_absence_says(text: str) -> None:
    nothing: dict[str, Any] = {"many": ()}
    assert says(text, nothing, "false") is False
    assert says(f"not {text}", nothing, "false") is True
    # whichever way round, it passes or it fails
    for negations in ("", "not ", "not not ", "not not not "):
        assert says(negations + text, nothing, "passes") is True
        assert says(negations + text, nothing, "fails") is False
    assert says(f'not ({text} and sure is "x")', {**nothing, "sure": "x"}, "fails") is False
    assert says(f'{text}\n or sure is "x"', {**nothing, "sure": "y"}, "passes") is True
    assert says(f'{text} and sure is "x"', {**nothing, "sure": "y"}, "passes") is False


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("number < 5", {"number": "five"}),
        ("number < 5", {"number": True}),
        ("day < 2026-05-15", {"day": "2026"}),
        ("moment < day", {"moment": "noon", "day": "2026-05-15"}),
        ("text in many", {"text": "a", "many": 3}),
    ],
)
def test_a_wrong_typed_value_is_an_error_and_no_answer(text: str, context: dict[str, Any]) -> None:
    with pytest.raises(ERRORS):
        says(text, context)


def test_a_stop_comes_before_an_error() -> None:
    assert says('sure is "a" and number < 5', {"sure": "b", "number": "five"}) is False


@pytest.mark.parametrize(
    "evil",
    ['__import__("os")', '"); raise SystemExit("', "{c}", "\\n import os", "k0", "c", "lambda: 1", "\u2028", "\x00"],
)
def test_author_text_is_only_ever_a_constant(evil: str) -> None:
    written = evil.replace("\\", "\\\\").replace('"', '\\"')
    assert says(f'text is "{written}"', {"text": evil}) is True
    assert says(f'text in "{written}", "b"', {"text": evil}) is True
    function = compile_test(resolved(f'text is "{written}"'), Reader(), name=evil.replace("\x00", ""))
    assert function.__code__.co_names == ("k0",) or "k0" in function.__code__.co_names
    assert function.__globals__["__builtins__"] == {}


def test_variables_have_names_that_can_not_collide() -> None:
    names = [compiling.local(v) for v in ("id", "i-d", "i_d", "k0", "c", "é", "id#")]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.startswith("v_") for name in names)


HL7 = Scope(
    dictionaries={"2.4": vocabulary().dictionaries["2.4"]},
    bound={"CX": Bound({"2.4": "CX"})},
    elements=vocabulary().elements,
    tables=vocabulary().tables,
    first=True,
)


def test_a_path_is_read_once() -> None:
    reader = Reader()
    test = resolved('PID-8 is "M" or PID-8 is "F" or CX.1 is "M"', HL7)
    assert compile_test(test, reader, variables=("CX",))({"PID-8": "F"}, None) is True
    assert reader.read == ["PID-8"]


def test_the_first_repetition_stands_for_a_path_where_the_scope_says_so() -> None:
    assert isinstance(resolved('PID-3.5 in "NH", "MR"', HL7), Member)
    refused = check(tree('PID-3.5 in "NH", "MR"'), replace(HL7, first=False))
    assert [d.code for d in refused.diagnostics] == ["R021"]


def test_parts_of_a_data_type() -> None:
    assert isinstance(resolved('CX.4.2 is "a" and CX.5 is present and CX is present', HL7), Chain)
    wrong = check(tree('CX.44 is "a"'), HL7)
    assert [d.code for d in wrong.diagnostics] == ["R014"]


@dataclass(frozen=True, slots=True)
class Asked:
    text: str
    code: str | None


@pytest.mark.parametrize(
    "asked",
    [
        Asked("PID-3", None),
        Asked("PID-3.1", None),
        Asked("text", "R010"),
        Asked("PID", "R019"),
        Asked("CX.1", None),
        Asked("Patient.active", "R016"),
        Asked("5", "R010"),
    ],
)
def test_a_path_alone(asked: Asked) -> None:
    source = Source("x", asked.text)
    found = check_operand(Word(asked.text, Span(source, 0, len(asked.text))), HL7)
    assert (found.code if isinstance(found, Diagnostic) else None) == asked.code


def test_a_text_is_no_path() -> None:
    span = Span(Source("x", '"a"'), 0, 3)
    found = check_operand(Text("a", span), HL7)
    assert isinstance(found, Diagnostic)
    leaf = Fact("sure", Type("text"), span)
    assert check_operand(leaf, HL7) is leaf
    assert isinstance(check_operand(Literal("a", Type("text"), "a", span), HL7), Diagnostic)


def test_values_compile_too() -> None:
    span = Span(Source("x", "sure"), 0, 4)
    leaf = Fact("sure", Type("text"), span)
    assert compile_value(leaf, Reader())({"sure": "x"}) == "x"
    assert key(leaf) == ("fact", "sure")


def test_an_unresolved_tree_is_not_compiled() -> None:
    with pytest.raises(TypeError):
        compile_test(tree("a is present"), Reader())
    with pytest.raises(ERRORS):
        compile_test(tree("a"), Reader())


def test_a_resolved_predicate_stays() -> None:
    test = resolved("text is nhs-number")
    assert isinstance(test, Predicated)
    assert check(test, SCOPE).test == test


def test_conditions_are_taken_in_by_name() -> None:
    scope = replace(SCOPE, conditions={"good": resolved('text is present and text is "a"'), "bad": None})
    named = check(tree("good and not good"), scope)
    assert named.test is not None
    assert compile_test(named.test, Reader())({"text": "a"}) is False
    broken = check(tree("bad"), scope)
    assert (broken.test, broken.diagnostics) == (None, ())
    assert isinstance(resolved("good", scope), Named)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("sure is text and text is present", ["R030"]),
        ("text is present and (sure is text or sure is text)", []),
        ('(text is present or sure is "a") and text is "b"', ["R030"]),
        ('(text is present and sure is "a") or text is absent or text is "b"', []),
        ('not (text is present or sure is "a") or text is "b"', ["R030"]),
        ('not (text is absent or sure is "a") and text is "b"', []),
        ('present-text and text is "b"', []),
        ('not present-text or text is "b"', []),
        ("number is present and number < 5", []),
        ("number < 5", ["R030"]),
        ("text in many", ["R030"]),
        ('"a" in many', []),
    ],
)
def test_presence_is_followed_through_a_condition(text: str, codes: list[str]) -> None:
    scope = replace(SCOPE, absence="spelled", conditions={"present-text": resolved("text is present")})
    assert [d.code for d in check(tree(text), scope).diagnostics] == codes


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"x" is text', "R001"),
        ("group is present", None),
        ('group is "a"', "R027"),
        ('"a" in group', "R022"),
        ("sure is 5", "R026"),
        ("number is five", "R010"),
        ("day is 2026-02-30", "R010"),
        ("flag is yes", "R010"),
        ("number < text", "R020"),
        ("number < sure", "R020"),
        ('day < "2026-01-01"', "R020"),
        ("role is b", None),
        ("role is c", "R017"),
        ('text "label" is present', "R015"),
        ("many is many", "R021"),
        ("caller has role text", "R020"),
        ("5 is 5", "R010"),
        ("role in letters", "R020"),
    ],
)
def test_types(text: str, code: str | None) -> None:
    source = Source("x", text)
    read = parse.read(_GRAMMAR, Span(source, 0, len(text)), "start")
    if isinstance(read, Diagnostic):
        assert read.code == code
        return
    found = check(tree(text), SCOPE).diagnostics
    assert [d.code for d in found] == ([] if code is None else [code])
