"""What the store's searches have beyond what rules judge: composites, chains, `_has`, includes, more modifiers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import query, specs
from gateway.query import Chain, Clause, CompositeValue, Include, OfTypeValue, QuantityValue, Reverse, TokenValue
from tests.bounded import examples

TABLES = specs.fhir()


def parsed(resource_type: str, *pairs: tuple[str, str]) -> query.Query:
    found = query.parse(resource_type, pairs, TABLES, query.WHOLE)
    assert isinstance(found, query.Query), found
    return found


def test_a_chain_has_the_criterion_of_each_type_it_may_lead_to() -> None:
    (chain,) = parsed("Encounter", ("subject.name", "x")).links
    assert isinstance(chain, Chain)
    assert (chain.name, chain.type) == ("subject", None)
    assert [type_ for type_, _ in chain.targets] == ["Patient"]  # a Group has no such parameter
    (chain,) = parsed("Encounter", ("subject:Patient.organization.name:exact", "x,y")).links
    assert isinstance(chain, Chain)
    ((type_, inner),) = chain.targets
    assert (chain.type, type_) == ("Patient", "Patient")
    assert isinstance(inner, Chain)
    ((type_, leaf),) = inner.targets
    assert type_ == "Organization"
    assert isinstance(leaf, Clause)
    assert (leaf.name, leaf.modifier, len(leaf.values)) == ("name", "exact", 2)


def test_has_nests() -> None:
    (reverse,) = parsed("Patient", ("_has:Observation:patient:_has:Provenance:target:agent", "d1")).links
    assert isinstance(reverse, Reverse)
    assert (reverse.type, reverse.name) == ("Observation", "patient")
    inner = reverse.criterion
    assert isinstance(inner, Reverse)
    assert isinstance(inner.criterion, Clause)
    assert (inner.type, inner.name, inner.criterion.name) == ("Provenance", "target", "agent")


def test_composites_and_values_of_modifiers() -> None:
    (clause,) = parsed("Observation", ("code-value-quantity", r"a\$b$gt5.4||mg")).clauses
    (value,) = clause.values
    assert isinstance(value, CompositeValue)
    assert [parameter.code for parameter, _ in value.parts] == ["code", "value-quantity"]
    assert value.parts[0][1] == TokenValue(r"a\$b", None, "a$b")
    low, high = Decimal("5.35"), Decimal("5.45")
    assert value.parts[1][1] == QuantityValue("gt5.4||mg", "gt", Decimal("5.4"), low, high, None, "mg")
    (clause,) = parsed("Patient", ("identifier:of-type", r"urn:s|MR|a\|b")).clauses
    assert clause.values == (OfTypeValue(r"urn:s|MR|a\|b", "urn:s", "MR", "a|b"),)
    (clause,) = parsed("Encounter", ("subject:identifier", "urn:s|1")).clauses
    assert clause.values == (TokenValue("urn:s|1", "urn:s", "1"),)


@pytest.mark.parametrize(
    ("name", "raw", "reverse", "iterate", "where"),
    [
        ("_include", "*", False, False, ("*", "*", None)),
        ("_include", "Patient:organization", False, False, ("Patient", "organization", None)),
        ("_include:iterate", "Encounter:*", False, True, ("Encounter", "*", None)),
        ("_revinclude", "Group:member:Patient", True, False, ("Group", "member", "Patient")),
        ("_revinclude:iterate", "Provenance:target", True, True, ("Provenance", "target", None)),
    ],
)
def test_includes(name: str, raw: str, *, reverse: bool, iterate: bool, where: tuple[str, str, str | None]) -> None:
    assert parsed("Patient", (name, raw)).includes == (Include(raw, reverse, iterate, *where),)


NAMES = st.sampled_from(
    (
        "subject.name",
        "subject:Patient.name:exact",
        "subject:Patient.organization.name",
        "service-provider.partof.name:contains",
        "_has:Observation:encounter:code",
        "_has:Observation:encounter:subject:Patient.family",
        "_has:Encounter:part-of:_has:Condition:encounter:code:not",
        "subject:Patient._has:Group:member:_tag",
        "type:text",
    )
)
INCLUDES = st.sampled_from(
    (("_include", "Encounter:subject:Patient"), ("_include:iterate", "Patient:*"), ("_revinclude", "*"))
)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).map(query.escape)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.tuples(NAMES, WORDS), max_size=4), st.lists(INCLUDES, max_size=3))
def test_rendering_a_search_gives_it_back(links: list[tuple[str, str]], includes: list[tuple[str, str]]) -> None:
    found = parsed("Encounter", *links, *includes, ("_contained", "false"))
    assert sorted(query.render(found)) == sorted([*links, *includes, ("_contained", "false")])
    assert parsed("Encounter", *query.render(found)) == found


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.sampled_from(["_has", "Patient", "subject", "name", ".", ":", "Encounter", "target", "x"]), max_size=9),
    st.text(max_size=6),
)
def test_any_name_is_taken_or_refused_with_words(parts: list[str], value: str) -> None:
    found = query.parse("Encounter", [("".join(parts), value)], TABLES, query.WHOLE)
    if not isinstance(found, query.Query):
        assert all(finding.severity == "error" and finding.rule and finding.diagnostics for finding in found)
