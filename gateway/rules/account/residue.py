"""What is left of a condition once it is known who asks, for what, and of which type.

`show` and `diff` speak of what a caller can do before there is any message: what depends on the caller, the domain and
the type alone is settled, and the rest is said in words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Literal

from gateway.language import nodes
from gateway.rules.account.sight import Sight
from gateway.rules.account.walk import walk
from gateway.rules.facts import Caller, Facts

ALWAYS = frozenset({"action", "caller", "caller.name", "caller.organisations", "caller.roles"})
"""Facts that are settled by who asks for what."""
SENDING = ALWAYS | {"domain", "organisation", "message.type"}
"""Those that are settled by who sends what, and where to."""

NEVER = datetime.min.replace(tzinfo=UTC)
"""What stands for the moment: no fact of time is ever settled here."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known before there is a message or a resource.

    Shape: of `facts` only those of the names in `settled` are; `glass` is whether the caller may break the glass.
    """

    facts: Facts
    settled: frozenset[str]
    glass: bool


Residue = nodes.Test | Literal[True, False]


def residue(test: nodes.Test | None, known: Known, *, undecided: bool) -> Residue:
    """What is left of a condition: true, false, or the part that depends on more.

    Shape: `undecided` is what a part that can't be decided counts as: true for a forbid, false for a permit.
    """
    match test:
        case None:
            return True
        case nodes.Chain():
            return _chain(test, known, undecided=undecided)
        case nodes.Not():
            inner = residue(test.part, known, undecided=not undecided)
            return not inner if isinstance(inner, bool) else replace(test, part=inner)
        case nodes.Named(test=inner_test) if inner_test is not None:
            left = residue(inner_test, known, undecided=undecided)
            return test if left is inner_test else left
        case nodes.BreaksGlass():
            return test if known.glass else False
        case _ if _settled(test, known):
            outcome = walk(test, Sight(known.facts)).outcome
            return undecided if outcome is None else outcome
        case _:
            return test


def _chain(test: nodes.Chain, known: Known, *, undecided: bool) -> Residue:
    deciding = test.word == "or"
    left: list[nodes.Test] = []
    for part in test.parts:
        found = residue(part, known, undecided=undecided)
        if found is deciding:
            return deciding
        if not isinstance(found, bool):
            left.append(found)
    if len(left) == len(test.parts) and all(a is b for a, b in zip(left, test.parts, strict=True)):
        return test
    if not left:
        return not deciding
    return left[0] if len(left) == 1 else replace(test, parts=tuple(left))


def _settled(test: nodes.Test, known: Known) -> bool:
    """Whether a comparison reads what is known alone."""
    return not nodes.parts(test) and all(
        isinstance(leaf, nodes.Fact) and leaf.name in known.settled for leaf in nodes.leaves(test)
    )


def of_type(test: nodes.Test | None, domain: str, kind: str) -> Residue:
    """What is left of a condition of a route or a check, of which the domain and the type are known."""
    none = frozenset[str]()
    nobody = Caller("", none, none, none, {}, none, none)
    facts = Facts("ingest", nobody, "", NEVER, date.min, domain=domain, type=kind)
    return residue(test, Known(facts, frozenset({"action", "domain", "message.type"}), glass=True), undecided=False)
