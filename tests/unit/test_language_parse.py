"""Expressions as text: one grammar without conflicts, one tree, one error a statement."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import pytest
from lark import Lark, Token, Tree

from gateway.language import check, nodes, parse, presence
from gateway.language import compile as compiling
from gateway.language.nodes import (
    Amount,
    BreaksGlass,
    Chain,
    Conforms,
    Duration,
    Equal,
    HasAge,
    HasCode,
    HasListedCode,
    Lacks,
    Listed,
    Matches,
    Member,
    Moved,
    Named,
    Not,
    Ordered,
    Phrased,
    Present,
    Quantified,
    Starts,
    Test,
    Text,
    Within,
    Word,
    leaves,
    parts,
)
from gateway.rules import parse as rules_parse
from gateway.rules import reading
from gateway.source import Diagnostic, Source, Span

ALONE = "start: condition\n"


@functools.cache
def alone() -> Lark:
    return parse.parser(ALONE, ("start",))


def parsed(text: str, lark: Lark | None = None) -> Test | Diagnostic:
    source = Source("x", text)
    tree = parse.read(lark or alone(), Span(source, 0, len(text)), "start")
    if isinstance(tree, Diagnostic):
        return tree
    (inner,) = tree.children
    assert isinstance(inner, Tree)
    return parse.condition(inner, source)


def good(text: str) -> Test:
    found = parsed(text)
    assert not isinstance(found, Diagnostic), found
    return found


def wrong(text: str) -> Diagnostic:
    found = parsed(text)
    assert isinstance(found, Diagnostic), found
    return found


@pytest.mark.parametrize("grammar", ["expressions", "rules"])
def test_a_grammar_has_no_conflicts(grammar: str) -> None:
    if grammar == "expressions":
        parse.parser(ALONE, ("start",), strict=True)
    else:
        rules_parse.grammar(strict=True)


def test_a_conflict_would_be_found() -> None:
    with pytest.raises(Exception, match="conflict"):
        parse.parser('start: condition ("and" condition)*\n', ("start",), strict=True)


def test_spans_are_of_the_whole_source() -> None:
    source = Source("x", "permit\n  a is present\n")
    tree = parse.read(parse.parser(ALONE, ("start",)), Span(source, 9, 21), "start")
    assert isinstance(tree, Tree)
    found = parse.condition(tree.children[0], source)  # type: ignore[arg-type]  # a tree, as the grammar says
    assert isinstance(found, Present)
    assert (found.span.line, found.span.column, found.span.text) == (2, 3, "a is present")
    assert parse.place(tree, source).text == "a is present"


@pytest.mark.parametrize(
    "word",
    [
        "PID-3.1",
        "MSH-11",
        "id.5",
        "Encounter.status",
        "ADT^A01",
        "8HK01",
        "11J",
        "_id",
        "2.5.1",
        "2027-03-31",
        "value[x]",
    ],
)
def test_a_word_is_one_word(word: str) -> None:
    found = good(f"{word} is present")
    assert isinstance(found, Present)
    assert isinstance(found.operand, Word)
    assert found.operand.text == word


def test_keywords_are_words_where_they_can_not_stand() -> None:
    found = good("present in and-so-on")
    assert isinstance(found, Member)
    assert isinstance(found.left, Word)
    assert found.left.text == "present"


def test_texts_lose_quotes_and_escapes() -> None:
    found = good(r'a in "b", "say \"c\"", "d\\e", "# no comment"  # a comment')
    assert isinstance(found, Member)
    assert [o.value for o in found.options if isinstance(o, Text)] == ["b", 'say "c"', "d\\e", "# no comment"]


def test_not_binds_closer_than_and() -> None:
    found = good("not a is present and b is present")
    assert isinstance(found, Chain)
    assert [type(part) for part in parts(found)] == [Not, Present]


def test_a_chain_is_flat_and_parentheses_keep_their_own() -> None:
    found = good("a and b and (c or d or e)")
    assert isinstance(found, Chain)
    assert [type(part) for part in found.parts] == [Named, Named, Chain]
    inner = found.parts[2]
    assert isinstance(inner, Chain)
    assert (inner.word, len(inner.parts)) == ("or", 3)
    assert list(leaves(found)) == []


def test_the_form_for_boards() -> None:
    found = good("any of:\n  a is present\n  not b\n  (c and d)\n  e in f,\n    g\n")
    assert isinstance(found, Chain)
    assert (found.word, [type(part) for part in found.parts]) == ("or", [Present, Not, Chain, Member])
    every = good("all of:\n  a is present")
    assert isinstance(every, Chain)
    assert every.word == "and"


@pytest.mark.parametrize("text", ["any of:\n  a and\n b or c", "any of:\n  (a and b or c)\n", "not (a and b or c)"])
def test_mixing_is_found_at_any_depth(text: str) -> None:
    assert wrong(text).code in {"R001", "R005"}


@pytest.mark.parametrize(("sign"), ["<", "<=", ">", ">="])
def test_order(sign: str) -> None:
    found = good(f"a {sign} 5")
    assert isinstance(found, Ordered)
    assert found.sign == sign


@pytest.mark.parametrize("phrase", ["connects as", "sends as", "sends category", "has role"])
def test_phrases_over_any_blanks(phrase: str) -> None:
    found = good(f"caller {phrase.replace(' ', chr(10) + '   ')} x")
    assert isinstance(found, Phrased)
    assert found.phrase == phrase


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("a is", "R002", "s"),
        ("", "R002", ""),
        ("a is b c", "R001", "c"),
        ("and a", "R001", "a"),
        ('a is "b', "R003", '"b'),
        ('a is "b\n and c', "R003", '"b'),
        ("a is $b", "R004", "$"),
        ("a in b or c", "R006", "or"),
        ("a has code", "R002", "e"),
        ('a has code "b"', "R002", '"'),
        ("patient has age under 16", "R001", "16"),
        ("patient has age 16 years", "R002", "s"),
        ("a within 12", "R001", "12"),
        ("a within 12 month-ends", "R001", "12"),
        ("a starts with b", "R001", "b"),
        ("a matches b", "R001", "b"),
        ("any id in PID-3", "R002", "3"),
        ("every id in PID-3 satisfies a is b and c or d", "R005", "or"),
        ("every id in PID-3 satisfies (a is b and c or d)", "R005", "or"),
        ("a is today - 16", "R001", "16"),
    ],
)
def test_what_is_wrong_and_where(text: str, code: str, word: str) -> None:
    found = wrong(text)
    assert (found.code, found.span.text) == (code, word)


def test_what_could_stand_there_is_listed() -> None:
    assert wrong("a is b )").help == "expected `and`, `or` or the end of the statement"
    assert wrong("a iss b").help == "did you mean `is`?"
    assert wrong("(a is b").help == "expected `)`, `and` or `or`"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("caller.organisations lacks rdz", Lacks),
        ('a starts with "b"', Starts),
        ('a matches "b+"', Matches),
        ("a within 12 months", Within),
        ('a has code "b" in "c"', HasCode),
        ("a has code b", HasListedCode),
        ("patient has\n age under 16 years", HasAge),
        ("patient has age 1 year or over", HasAge),
        ("patient listed in ndoo", Listed),
        ("caller breaks glass", BreaksGlass),
        ("resource conforms", Conforms),
        ("any id in PID-3 satisfies id.1 is present", Quantified),
        ('every id in PID-3 "Patient Identifier List" where id.5 is "NH" satisfies (a or b)', Quantified),
    ],
)
def test_conditions_in_words(text: str, kind: type) -> None:
    found = good(text)
    assert isinstance(found, kind)
    assert found.span.text == text
    # beside others, and one a line
    chain = good(f"x and {text} and y")
    assert isinstance(chain, Chain)
    assert [type(part) for part in chain.parts] == [Named, kind, Named]
    block = good(f"all of:\n x\n {text}\n y")
    assert isinstance(block, Chain)
    assert [type(part) for part in block.parts] == [Named, kind, Named]


def test_ages_have_two_forms() -> None:
    under, over = good("patient has age under 16 years"), good("patient has age 18 months or over")
    assert isinstance(under, HasAge)
    assert isinstance(over, HasAge)
    assert (under.under, under.length.count, under.length.unit) == (True, 16, "year")
    assert (over.under, over.length.count, over.length.unit) == (False, 18, "month")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('a is 5 "mg"', Amount),
        ('a is 5.5 "mg/dL"', Amount),
        ("a < 72 hours", Duration),
        ("a < today - 16 years", Moved),
        ("a > now + 1 day", Moved),
        ('a is PV1-2 "Patient Class"', Word),
        ("a is 16", Word),
        ("a is years", Word),
    ],
)
def test_what_may_stand_on_the_right(text: str, right: type) -> None:
    found = good(text)
    assert isinstance(found, Equal | Ordered)
    assert type(found.right) is right


@pytest.mark.parametrize("word", ["lacks", "starts", "matches", "within", "listed", "satisfies", "conforms", "under"])
def test_words_of_conditions_are_names_elsewhere(word: str) -> None:
    found = good(f"{word} is {word}")
    assert isinstance(found, Equal)
    assert isinstance(found.left, Word)
    assert isinstance(found.right, Word)


@pytest.mark.parametrize(
    "table", [nodes.OPERANDS, {**check.MADE, **check.COMPARED}, compiling.TESTS], ids=["operands", "check", "compile"]
)
def test_every_condition_is_in_every_table(table: Mapping[type, object]) -> None:
    assert set(table) == set(nodes.TESTS)


@pytest.mark.parametrize("table", [presence.KEYS, reading.VALUES, reading.PRESENT], ids=["keys", "values", "present"])
def test_every_leaf_is_in_every_table(table: Mapping[type, object]) -> None:
    assert set(table) == set(nodes.LEAVES)


def test_tokens_as_words_and_texts() -> None:
    source = Source("x", 'ab "c"')
    first, second = Token("WORD", "ab", start_pos=0), Token("STRING", '"c"', start_pos=3)
    assert parse.word(first, source).span.text == "ab"
    assert parse.text(second, source).value == "c"
