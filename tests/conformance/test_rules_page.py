"""The page of the rules: every rule under its id, in its source and in words, and nothing that is not for everybody."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from gateway import loading, rules, specs
from gateway.documents import rules_page
from gateway.documents.rule_words import Rule
from gateway.rules import RuleSet
from gateway.source import Source, render

VOCABULARY = loading.vocabulary(specs.ROOT)


@pytest.fixture(scope="module")
def loaded(repository: Path) -> rules.Loaded:
    return rules.load(repository / "rules", VOCABULARY)


@pytest.fixture(scope="module")
def ruleset(loaded: rules.Loaded) -> RuleSet:
    assert loaded.rules is not None, [render(d) for d in loaded.diagnostics]
    return loaded.rules


@pytest.fixture(scope="module")
def page(loaded: rules.Loaded, ruleset: RuleSet) -> str:
    return rules_page(ruleset, loaded.trials, date="2026-11-22")


def article(page: str, rule: str) -> str:
    """What stands on a rule, as text."""
    found = re.search(rf'<article class="\w+" id="{rule}">(.*?)</article>', page, re.DOTALL)
    assert found is not None, rule
    return unescape(re.sub(r"<[^>]+>", " ", found[1]))


def test_every_rule_stands_under_its_id_in_its_own_words(page: str, ruleset: RuleSet) -> None:
    for domain in ruleset.domains.values():
        every: list[Rule] = [*domain.permits, *domain.forbids, *domain.masks]
        every += [*domain.checks, *domain.routes]
        for rule in every:
            told = article(page, rule.id)
            assert rule.title in told
            assert rule.span.text.rstrip() in told
            assert f"{rule.span.source.name}:{rule.span.line}" in told


def test_ids_are_there_once(page: str) -> None:
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("EC-P1", "Lets a caller send, when the caller connects as the sending organisation"),
        ("EC-P1", "DSA-2026-014 Emergency care feed, from 1 April 2026 until 31 March 2036"),
        ("EC-P1", "Review by 31 March 2027"),
        ("EC-F1", "Clinical safety hazard H-07"),
        ("EC-C1", "Refuses Hl7v2 unless for each id in PID-3"),
        ("EC-C3", "Warns of Hl7v2"),
        ("EC-R1", "to bed-board, queued for 72 hours while it is down"),
        ("SR-P1", "Hidden: Patient.telecom and Patient.contact."),
        ("SR-P1", "A search carries _id, identifier, patient or family with birthdate."),
        ("SR-F1", "Nobody may search, count, read or history"),
        ("SR-M1", "Hides Patient.address"),
    ],
)
def test_a_rule_is_told_in_words(page: str, rule: str, words: str) -> None:
    assert words in re.sub(r"\s+", " ", article(page, rule))


def test_a_domain_says_what_its_messages_are_converted_with(page: str) -> None:
    assert "ADT^A08; versions 2.3 to 2.5.1; converted with uk-core" in unescape(page)


def test_tests_that_are_about_a_rule_stand_beside_it(page: str) -> None:
    assert "an A01 with a bad NHS number is refused" in article(page, "EC-C1")
    assert "an admission goes to the shared record and to the bed board" in article(page, "EC-P1")
    assert "a restricted record is not shown" in article(page, "SR-F1")


def test_no_principal_and_nothing_of_a_list_is_told(page: str, ruleset: RuleSet, repository: Path) -> None:
    assert [name for name in ruleset.registry.principals if name in page] == []
    listed = "\n".join(path.read_text("utf-8") for path in (repository / "rules" / "lists").iterdir())
    numbers = re.findall(r"\b\d{10}\b", listed)
    assert numbers
    assert [number for number in numbers if number in page] == []


def test_what_a_rule_says_is_text_and_no_markup() -> None:
    found = rules.load_sources(
        [
            Source(
                "x.rules",
                'language 1\ntarget record "R" takes Fhir\n'
                'domain d "<script>alert(1)</script>"\n  owner "<b>o</b>"\n  serves record\n\n'
                'permit D-P1 "<img src=x onerror=alert(1)>"\n  to read Patient\n  all rows\n  because "a & <i>b</i>"\n',
            )
        ],
        VOCABULARY,
    )
    assert found.rules is not None, [render(d) for d in found.diagnostics]
    page = rules_page(found.rules)
    assert "<script" not in page
    assert "<img" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)" in page
