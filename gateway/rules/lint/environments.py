"""Environments that a rule names nearly as others do: nothing declares them, so a slip would go unseen.

A forbid for `prodution` never holds, and nobody is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.language.nodes import Equal, Fact, Literal, Member, Operand, Test, operands, parts
from gateway.rules.check import rules_of
from gateway.rules.declared import Domain
from gateway.rules.lint import messages
from gateway.source import Diagnostic, slip

ENVIRONMENT = "environment"
USUAL = "production"
"""What the setting `environment` is where nothing is said."""
SHORTEST = 4
"""Names with fewer letters are told apart by one."""
A_SLIP = 3
"""As `slip` counts: a digit for another may well be meant."""


def misspelt(domains: Mapping[str, Domain]) -> Iterator[Diagnostic]:
    """Environments that are one slip away from the usual one, or from one that is named more often."""
    found: dict[str, list[Literal]] = {}
    for domain in domains.values():
        for rule in rules_of(domain):
            for test in (rule.when, getattr(rule, "require", None)):
                for text in () if test is None else _named(test):
                    found.setdefault(str(text.value), []).append(text)
    for name, places in found.items():
        others = [other for other in found if len(found[other]) > len(places)]
        near = next((other for other in (USUAL, *others) if name != USUAL and _nearly(name, other)), None)
        for text in places if near is not None else ():
            yield messages.ODD_ENVIRONMENT.at(text.span, f"did you mean `{near}`?", word=name)


def _nearly(name: str, other: str) -> bool:
    rank = slip(name.casefold(), other.casefold())
    return name != other and min(len(name), len(other)) >= SHORTEST and rank is not None and rank <= A_SLIP


def _named(test: Test) -> Iterator[Literal]:
    """The environments that a condition names."""
    sides: tuple[Operand, ...] = operands(test) if isinstance(test, Equal | Member) else ()
    if any(isinstance(side, Fact) and side.name == ENVIRONMENT for side in sides):
        yield from (side for side in sides if isinstance(side, Literal))
    for part in parts(test):
        yield from _named(part)
