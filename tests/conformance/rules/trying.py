"""What tests of tests in the language share: rules and samples in memory, and what comes of one test."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway import loading, trials
from gateway.language.nodes import Text
from gateway.rules.trial.given import World
from gateway.rules.trial.suite import Result, results
from tests import rule_sets
from tests.conformance.rules.support import ROOT, loaded, read, vocabulary


@functools.cache
def decisions() -> loading.Decisions:
    return rule_sets.decisions(ROOT / "rules", ROOT / "specs")


@dataclass(frozen=True, slots=True)
class Trying:
    """Rules, what they stand on, and samples by the names that tests give them."""

    rules: str
    registry: str
    samples: Mapping[str, str]
    short: Mapping[str, str]

    def world(self) -> World:
        rules = loaded(read(self.rules, registry=self.registry))
        names = vocabulary()

        def sample(text: Text) -> bytes:
            return self.samples[text.value].encode()

        return World(rules, names, trials.conversion(replace(decisions(), rules=rules), names), sample)

    def run(self, text: str, world: World) -> Result:
        """What comes of one test of these clauses; words of `short` stand for others."""
        for word, clause in self.short.items():
            text = text.replace(word, clause)
        if "given message" in text and "from" not in text:
            text += " from engine as r0d to here"
        found = read(f'{self.rules}\ntest "t"\n  on 2026-05-15\n  {text}\n', registry=self.registry)
        assert found.rules is not None, found.diagnostics
        (result,) = results(found.trials, world)
        return result
