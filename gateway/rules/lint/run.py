"""All that is looked for in a rule set without errors."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.rules import parse
from gateway.rules.decide import RuleSet
from gateway.rules.lint.counted import half_forbidden
from gateway.rules.lint.environments import misspelt
from gateway.rules.lint.overlap import overlaps
from gateway.rules.lint.unused import unused
from gateway.rules.trial.declared import Trial
from gateway.rules.trial.gaps import untested
from gateway.source import Diagnostic, in_order


def lint(rules: RuleSet, trials: Sequence[Trial] = ()) -> tuple[Diagnostic, ...]:
    """Warnings about a rule set, in order of place.

    Shape: `trials` are the tests beside the rules; where there are none, none is missed.
    """
    files = {source.name: parse.read(source).statements for source in rules.sources}
    missed = untested(rules.domains.values(), trials) if trials else ()
    found = (*overlaps(rules.domains), *half_forbidden(rules.domains), *misspelt(rules.domains))
    return in_order((*found, *unused(files), *missed))
