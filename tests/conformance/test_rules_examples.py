"""The policies under `rules/examples/`: each checked, laid out, and run as a governance lead would run it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from gateway import loading, rules, trials
from gateway.language.nodes import Text
from gateway.rules import RuleSet
from gateway.rules.account.show import table
from gateway.rules.layout import lay
from gateway.rules.lint import lint
from gateway.rules.trial import cover, suite
from gateway.rules.trial.given import World
from gateway.rules.trial.suite import Result
from gateway.source import Source, render
from tests import rule_sets
from tests.conformance.rules.support import ROOT, vocabulary

FOLDER = ROOT / "rules" / "examples"
DAY = date(2026, 6, 5)
"""A day on which no list of the examples is stale and no agreement of theirs ends soon."""
LONGEST = 30
"""Lines of the longest policy, without the line of the language and blank ones."""
NAMES = (
    "agreement",
    "break-glass",
    "counts-only",
    "daily-limit",
    "legitimate-relationship",
    "national-data-opt-out",
    "purpose-of-use",
    "sensitive-codes",
    "suppliers-addresses",
    "training-messages",
    "type-1-opt-out",
    "under-sixteens",
)
EDGES = {
    "agreement": {"on 2026-03-31", "on 2026-04-01", "on 2027-03-31", "on 2027-04-01"},
    "legitimate-relationship": {"on 2027-05-14", "on 2027-05-15"},
    "national-data-opt-out": {"on 2026-06-11", "on 2026-06-12", 'with patient "samples/without-nhs-number.json"'},
    "under-sixteens": {"on 2030-06-01", "on 2030-06-02", 'with patient "samples/child-without-birth-date.json"'},
    "sensitive-codes": {'returning "samples/without-code.json"'},
    "training-messages": {'given message "samples/without-processing-id.hl7"'},
}
"""What some tests have to give: the days on which an answer turns, and what is absent."""


@dataclass(frozen=True)
class Example:
    """One example, loaded and run."""

    told: tuple[str, ...]
    rules: RuleSet
    results: tuple[Result, ...]


@functools.cache
def decisions() -> loading.Decisions:
    return rule_sets.decisions(ROOT / "rules", ROOT / "specs")


@functools.cache
def example(name: str) -> Example:
    folder = FOLDER / name
    read = rules.load(folder, vocabulary(), today=DAY)
    told = [*read.diagnostics, *trials.missing_samples(read, folder)]
    assert read.rules is not None, "\n".join(map(render, told))
    told += lint(read.rules, read.trials)

    def sample(text: Text) -> bytes:
        return (folder / text.value).read_bytes()

    conversion = trials.conversion(replace(decisions(), rules=read.rules), vocabulary())
    world = World(read.rules, vocabulary(), conversion, sample)
    return Example(tuple(map(render, told)), read.rules, tuple(suite.results(read.trials, world)))


def test_there_are_twelve() -> None:
    assert tuple(sorted(path.name for path in FOLDER.iterdir() if path.is_dir())) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_checker_finds_nothing_to_say(name: str) -> None:
    assert example(name).told == ()


@pytest.mark.parametrize("name", NAMES)
def test_its_tests_pass(name: str) -> None:
    assert [words for result in example(name).results for words in result.failures] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_is_shown_permitting_and_denying(name: str) -> None:
    outcomes = {expected.outcome for result in example(name).results for expected in result.trial.expected}
    assert outcomes & {"permit", "accept"}
    assert outcomes & {"deny", "want"}


@pytest.mark.parametrize("name", NAMES)
def test_every_condition_comes_out_both_ways(name: str) -> None:
    found = cover.coverage(example(name).rules, [a for result in example(name).results for a in result.answers])
    assert found.unreached == ()
    assert [line for line in found.lines if not (line.true and line.false)] == []


@pytest.mark.parametrize("name", EDGES)
def test_the_edges_are_shown(name: str) -> None:
    text = (FOLDER / name / "policy.test.rules").read_text("utf-8")
    assert [edge for edge in EDGES[name] if edge not in text] == []


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.rules")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_are_in_their_layout(path: Path) -> None:
    text = path.read_text("utf-8")
    assert lay(Source(path.name, text)).text == text


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_is_short(name: str) -> None:
    lines = (FOLDER / name / "policy.rules").read_text("utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines[1:]) <= LONGEST


def test_a_limit_stands_with_the_principal_and_is_shown() -> None:
    loaded = example("daily-limit").rules
    assert dict(loaded.registry.principals["clinic"].per_day) == {"Patient": 200}
    (row,) = (row for row in table(loaded) if row.principal == "clinic")
    assert "200 Patient" in row.limits


def test_no_example_is_loaded_with_the_rules_beside_it() -> None:
    """Source: issue 5, "`serve` never loads them"."""
    assert [s.name for s in decisions().rules.sources if "examples" in s.name] == []


def test_the_index_names_each_with_the_statement_that_does_it() -> None:
    index = (FOLDER / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| \[([a-z0-9-]+)\]\(([a-z0-9-]+)/policy\.rules\) \| (.+) \|$", index, re.MULTILINE)
    assert sorted(folder for _, folder, _, _ in rows) == list(NAMES)
    for _, folder, link, statement in rows:
        assert link == folder
        files = [path.read_text("utf-8") for path in (FOLDER / folder).glob("*.rules")]
        for said in re.findall(r"`([^`]+)`", statement):
            assert any(said in " ".join(text.split()) for text in files), f"{folder} does not say `{said}`"
