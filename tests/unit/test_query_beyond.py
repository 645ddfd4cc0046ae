"""What goes beyond the parameters of a type, read to a tree: `_filter`, `_list`, `_query`, `_type`, `_text` ...

Source: https://hl7.org/fhir/R4/search_filter.html, https://hl7.org/fhir/R4/search.html#list
"""

from __future__ import annotations

import pytest

from gateway import query, specs
from gateway.finding import Finding
from gateway.query import Compared, Filter, Joined, Named, Negated

TABLES = specs.fhir()


def filtered(text: str) -> Filter:
    found = query.parse("Patient", [("_filter", text)], TABLES, query.FACADE)
    assert isinstance(found, query.Query), found
    assert query.parse("Patient", query.render(found), TABLES, query.FACADE) == found
    (named,) = found.beyond
    assert named.filter is not None
    return named.filter


def refused(name: str, text: str) -> Finding:
    found = query.parse("Patient", [(name, text)], TABLES, query.FACADE)
    assert not isinstance(found, query.Query), found
    return found[0]


A, B, C = (Compared(name, None, "eq", "1") for name in "abc")
FILTERS: list[tuple[str, Filter]] = [
    ("a eq 1", A),
    ("  a   eq 1 ", A),
    ('name co "pet er"', Compared("name", None, "co", '"pet er"')),
    (r'name co "a \" or b eq 1"', Compared("name", None, "co", r'"a \" or b eq 1"')),
    ("birthdate ge 1996-06-06", Compared("birthdate", None, "ge", "1996-06-06")),
    ("code in http://example.org/codes", Compared("code", None, "in", "http://example.org/codes")),
    ("general-practitioner.name pr true", Compared("general-practitioner.name", None, "pr", "true")),
    ("a eq 1 and b eq 1", Joined("and", (A, B))),
    ("a eq 1 or b eq 1 and c eq 1", Joined("or", (A, Joined("and", (B, C))))),
    ("a eq 1 and b eq 1 or c eq 1", Joined("or", (Joined("and", (A, B)), C))),
    ("(a eq 1 or b eq 1) and c eq 1", Joined("and", (Joined("or", (A, B)), C))),
    ("not (a eq 1)", Negated(A)),
    ("not(a eq 1 and b eq 1) or c eq 1", Joined("or", (Negated(Joined("and", (A, B))), C))),
    ("related[a eq 1].target pr false", Compared("related.target", A, "pr", "false")),
    ("related[not (a eq 1)] eq x", Compared("related", Negated(A), "eq", "x")),
]


@pytest.mark.parametrize(("text", "tree"), FILTERS)
def test_a_filter_is_a_tree(text: str, tree: Filter) -> None:
    assert filtered(text) == tree


WRONG = [
    ("a", "at its end it lacks one of eq"),
    ("a eq", "at its end it lacks a value"),
    ("a is 1", "before is it lacks one of eq"),
    ("a eq 1 b", "before b it lacks its end"),
    ("a eq 1 and", "at its end it lacks a parameter"),
    ("(a eq 1", "at its end it lacks )"),
    ("a eq 1)", "before ) it lacks its end"),
    ("not a eq 1", "before a it lacks ("),
    ("related[a eq 1 eq 2", "before eq it lacks ]"),
    ('a eq "x', "a text has no end"),
    ("1 eq 1", "before 1 it lacks a parameter"),
    ("", "at its end it lacks a parameter"),
    ("(" * 30 + "a eq 1" + ")" * 30, "nested more than 20 deep"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_is_no_filter_is_refused_at_its_place(text: str, words: str) -> None:
    finding = refused("_filter", text)
    assert (finding.rule, words in finding.diagnostics) == ("SEARCH-FILTER", True), finding


def test_the_others_are_read_by_name() -> None:
    pairs = [
        ("_list", "$current-problems"), ("_query", "everything"), ("_type", "Patient,Encounter"), ("_text", "chest"),
        ("_content", "chest"), ("_contained", "both"), ("_containedType", "container"), ("_filter", "a eq 1"),
        ("_filter", "b eq 1"),
    ]  # fmt: skip
    found = query.parse("Patient", pairs, TABLES, query.FACADE)
    assert isinstance(found, query.Query), found
    assert [(one.name, one.raw) for one in found.beyond] == pairs
    assert found.beyond[2] == Named("_type", "Patient,Encounter", ("Patient", "Encounter"))
    assert query.render(found) == pairs


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("_list", "", "it is the id of a List"),
        ("_list", "a/b", "it is the id of a List"),
        ("_query", "a b", "it is the name of an operation"),
        ("_type", "Pateint", "did you mean Patient?"),
        ("_type", "", "is not a resource type"),
        ("_text", " ", "_text has no value"),
        ("_content", "", "_content has no value"),
        ("_contained", "maybe", "it is true, false or both"),
        ("_containedType", "all", "it is container or contained"),
    ],
)
def test_what_they_can_not_be_is_said(name: str, text: str, words: str) -> None:
    assert words in refused(name, text).diagnostics


def test_they_stand_once_and_only_where_they_are_read() -> None:
    twice = query.parse("Patient", [("_list", "1"), ("_list", "2")], TABLES, query.FACADE)
    assert not isinstance(twice, query.Query)
    assert twice[0].rule == "SEARCH-TWICE"
    for offer in (query.JUDGED, query.WHOLE):
        found = query.parse("Patient", [("_filter", "a eq 1")], TABLES, offer)
        assert not isinstance(found, query.Query)
