"""What static analysis says of permits holds of their decisions."""

from __future__ import annotations

import itertools
import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules import RuleSet
from gateway.rules.lint import lint
from gateway.source import Diagnostic
from tests.bounded import examples
from tests.conformance.rules.support import REGISTRY, ruled, submission

ENVIRONMENTS = ("a", "b", "c")
PURPOSES = ("TREAT", "HOPERAT", None)
ROUTE = 'route R "All"\n  on Hl7v2\n  to record\n  on failure reject\n'
PERMITS = 10


def condition(chance: random.Random, depth: int = 2) -> str:
    """A condition about the environment, the purpose and the caller's role."""
    kind = chance.randrange(9 if depth else 6)
    first, second = chance.sample(ENVIRONMENTS, 2)
    match kind:
        case 0:
            return f'environment is "{first}"'
        case 1:
            return f'environment is not "{first}"'
        case 2:
            return f'environment in "{first}", "{second}"'
        case 3:
            return "caller has role gp-viewer"
        case 4:
            return f"purpose is {chance.choice(PURPOSES[:2])}"
        case 5:
            return chance.choice(("purpose is absent", "purpose is present"))
        case 6:
            return f"not ({condition(chance, 0)})"
        case _:
            word = chance.choice((" and ", " or "))
            return f"({word.join(f'({condition(chance, depth - 1)})' for _ in range(chance.choice((2, 2, 3))))})"


def guarded(text: str) -> str:
    """With the purpose's presence spelled out wherever it is turned round, as the checker demands."""
    return text if "purpose is T" not in text and "purpose is H" not in text else f"purpose is present and ({text})"


def texts(seed: int) -> str:
    chance = random.Random(seed)  # noqa: S311 - no secret is made of it
    rules = [f'permit P-{i} "x"\n  to ingest\n  when {guarded(condition(chance))}\n' for i in range(PERMITS)]
    rules += [f'forbid F-{i} "x"\n  to ingest\n  when {guarded(condition(chance, 1))}\n' for i in range(2)]
    return "".join(rules) + ROUTE


def decided(rules: RuleSet, *, only: str) -> list[bool]:
    """Whether one rule matches, for all there is to be known."""
    found = []
    for environment, purpose, caller in itertools.product(ENVIRONMENTS, PURPOSES, ("engine", "viewer")):
        facts = submission(rules, caller=caller, environment=environment, purpose=purpose)
        found.append(only in rules.decide(facts).by)
    return found


def alone(text: str, rule: str, *others: str) -> RuleSet:
    """The rule set with these rules alone."""
    kept = [
        part
        for part in re.split(r"(?m)^(?=permit|forbid|route)", text)
        if part.split(" ", 2)[1:2] in [[rule], *([o] for o in others)]
    ]
    return ruled("".join(kept) + ROUTE, registry=VIEWER)


VIEWER = REGISTRY + 'principal viewer "Viewer"\n  connects as r0d\n  sends as r0d\n  roles gp-viewer\n'


def named(diagnostic: Diagnostic) -> list[str]:
    return re.findall(r"`([PF]-\d+)`", diagnostic.message)


@given(st.integers(0, 2**32))
@settings(max_examples=examples(25), deadline=None)
def test_what_is_told_of_permits_is_so(seed: int) -> None:
    text = texts(seed)
    rules = ruled(text, registry=VIEWER)
    for diagnostic in lint(rules):
        match diagnostic.code:
            case "R161" | "R162":
                narrow, wide = named(diagnostic)
                pairs = zip(
                    decided(alone(text, narrow), only=narrow), decided(alone(text, wide), only=wide), strict=True
                )
                assert all(b or not a for a, b in pairs), text
            case "R164":
                permit, forbid = named(diagnostic)
                assert not any(decided(alone(text, permit, forbid), only=permit)), text
            case "R160" | "R168":
                line = diagnostic.span.source.text[: diagnostic.span.start]
                rule = re.findall(r"(?:permit|forbid) (\S+)", line)[-1]
                assert not any(decided(alone(text, rule), only=rule)), text
            case other:
                assert other == "R165", diagnostic
