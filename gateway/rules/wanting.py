"""What a denied caller lacks, and a request that would work; never whether data exists."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import overload

from gateway.finding import Finding
from gateway.language.compile import compile_test, compile_value
from gateway.language.functions import ERRORS
from gateway.language.nodes import Chain, Column, Element, Equal, Fact, Field, Literal, Part, Phrased, Test
from gateway.rules.compile import Granting
from gateway.rules.facts import Facts
from gateway.rules.queries import asked, foreign, opening
from gateway.rules.reading import READER
from gateway.rules.stored import reads_row

_MISSING = {
    "connects as": "the principal does not connect as {0}",
    "sends as": "the principal does not send for {0}",
    "sends category": "the principal does not send {0} to this domain",
    "has role": "the principal does not have the role {0}",
}


_ADDRESSES = {
    "history": "GET /{0}/[id]/_history",
    "create": "POST /{0}",
    "update": "PUT /{0}/[id]",
    "patch": "PATCH /{0}/[id]",
    "delete": "DELETE /{0}/[id]",
    "operation validate": "POST /{0}/$validate",
    "operation everything": "GET /Patient/[id]/$everything",
    "operation export": "GET /$export?_type={0}",
}


def plain(text: str) -> str:
    """Words that every engine shows rightly: without quotes, backslashes, line breaks and HL7's delimiters.

    Source: the design's page on the HTTP interface, MSA-3.
    """
    return re.sub(r"\s+", " ", re.sub(r'["\\]', "", re.sub(r"[|^~&]", " ", text))).strip()


class Lacks(Sequence[Finding]):
    """What a denied caller lacks, worked out when it is read: many who are denied are only counted.

    Shape: as `nearest_lacks` gives it; where no permit is near, that there is none.
    """

    __slots__ = ("_facts", "_found", "_permits")

    def __init__(self, permits: Sequence[Granting], facts: Facts) -> None:
        """Work nothing out yet."""
        self._permits = permits
        self._facts = facts
        self._found: tuple[Finding, ...] | None = None

    def found(self) -> tuple[Finding, ...]:
        """The findings; at least one."""
        if self._found is None:
            self._found = nearest_lacks(self._permits, self._facts) or (_nobody(self._facts),)
        return self._found

    def __len__(self) -> int:
        """How many there are."""
        return len(self.found())

    @overload
    def __getitem__(self, at: int) -> Finding: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, at: int | slice) -> Finding | tuple[Finding, ...]:
        """One of them, or some."""
        return self.found()[at]

    def __eq__(self, other: object) -> bool:
        """Whether the same is lacked."""
        return self.found() == (other.found() if isinstance(other, Lacks) else other)

    def __hash__(self) -> int:
        """As that of what is lacked."""
        return hash(self.found())

    def __repr__(self) -> str:
        """What is lacked."""
        return repr(self.found())


def _nobody(facts: Facts) -> Finding:
    if facts.action == "ingest":
        words = "no rule of the domain lets anyone send this"
    else:
        words = f"no rule lets anyone {_doing(facts.action)} {facts.type}"
    return Finding("error", "forbidden", words)


def _doing(action: str) -> str:
    """An action as what somebody does with a type."""
    if action == "history":
        return "see the history of"
    operation, _, name = action.partition(" ")
    return f"use ${name} on" if operation == "operation" else action


def nearest_lacks(permits: Iterable[Granting], facts: Facts) -> tuple[Finding, ...]:
    """What the permits that are nearest to granting a request lack: those that lack the fewest things.

    Shape: behind them, where the caller can't make up for any of it, what the nearest lacks that it can make up for.
    """
    lacks = [(found, _within_reach(granting, facts)) for granting in permits if (found := lacking(granting, facts))]
    near = _fewest([found for found, _ in lacks])
    if not any(found in near for found, reachable in lacks if reachable):
        near += _fewest([found for found, reachable in lacks if reachable])
    return tuple(finding for found in near for finding in found)


def _fewest(lacks: list[tuple[Finding, ...]]) -> list[tuple[Finding, ...]]:
    fewest = min(map(len, lacks), default=0)
    return [found for found in lacks if len(found) == fewest]


def lacking(granting: Granting, facts: Facts) -> tuple[Finding, ...]:
    """Why a permit doesn't grant a request, one finding for each thing that it lacks.

    Shape: the last one's words end with a request that would work, where the caller can make up for all of it.
    """
    found = [*_gate(granting, facts), *_conditions(granting, facts)]
    if facts.action in {"search", "count"}:
        found += _parameters(granting, facts)
    if found and facts.action != "ingest" and _within_reach(granting, facts):
        last = found[-1]
        words = f"{last.diagnostics}; this would work: {example(granting, facts)}"
        found[-1] = Finding(last.severity, last.code, words, last.expression, last.rule)
    return tuple(found)


def _within_reach(granting: Granting, facts: Facts) -> bool:
    """Whether a permit would grant this caller another request.

    Shape: with other parameters, for a purpose that it may assert; who it is, and what day, it can't change.
    """
    gate = granting.gate
    if not gate.first <= facts.today <= gate.last or (_purposes(granting) and not _assertable(granting, facts)):
        return False
    parts = conjuncts(granting.permit.when)
    return all(reads_row(part) or _purpose(part) is not None or _true(part, facts) for part in parts)


def _purpose(part: Test) -> str | None:
    """The one purpose that a condition is about, where it is about that alone."""
    match part:
        case Equal(left=Fact(name="purpose"), right=Literal() as literal, negated=False):
            return str(literal.value)
    return None


def _purposes(granting: Granting) -> frozenset[str]:
    """The purposes of which a permit takes one; empty where it takes any."""
    named = {purpose for part in conjuncts(granting.permit.when) if (purpose := _purpose(part)) is not None}
    return frozenset(named & granting.gate.purposes or named or granting.gate.purposes)


def _assertable(granting: Granting, facts: Facts) -> frozenset[str]:
    """Those of them that the caller may assert."""
    return _purposes(granting) & facts.caller.may_assert


def _lack(granting: Granting, words: str, expression: str | None = None) -> Finding:
    return Finding("error", "forbidden", plain(words), expression, granting.permit.id)


def _gate(granting: Granting, facts: Facts) -> Iterable[Finding]:
    gate, because = granting.gate, granting.permit.because
    agreement = because.agreement if because is not None else None
    if not gate.first <= facts.today <= gate.last:
        yield _lack(granting, f"the agreement {agreement} is not in force on {facts.today}")
    if gate.purposes and facts.purpose not in gate.purposes:
        yield _lack(granting, "purpose-of-use must be " + " or ".join(sorted(gate.purposes)), "purpose-of-use")


def _conditions(granting: Granting, facts: Facts) -> Iterable[Finding]:
    for part in conjuncts(granting.permit.when):
        if reads_row(part) or _true(part, facts):
            continue
        match part:
            case Phrased():
                yield _lack(granting, _MISSING[part.phrase].format(_value(part, facts)), None)
            case Equal(left=Fact(name="purpose"), right=Literal() as literal, negated=False):
                if literal.value not in granting.gate.purposes:  # said already with the agreement
                    yield _lack(granting, f"purpose-of-use must be {literal.shown}", "purpose-of-use")
            case _:
                yield _lack(granting, f"this does not hold: {part.span.text}")


def conjuncts(test: Test | None) -> tuple[Test, ...]:
    """The conditions that all have to hold."""
    if test is None:
        return ()
    return test.parts if isinstance(test, Chain) and test.word == "and" else (test,)


def _true(part: Test, facts: Facts) -> bool:
    try:
        return _compiled(part)(facts)
    except ERRORS:
        return False


@functools.lru_cache(maxsize=1024)
def _compiled(part: Test) -> Callable[..., bool]:
    """One part of a condition as a function; kept, because a caller that is denied asks again."""
    return compile_test(part, READER, absent="fails", name="wanting")


def _value(part: Phrased, facts: Facts) -> str:
    right = part.right
    if isinstance(right, Fact | Field | Part | Element | Column):
        return str(compile_value(right, READER)(facts))
    return right.shown if isinstance(right, Literal) else right.span.text


def _parameters(granting: Granting, facts: Facts) -> Iterable[Finding]:
    for name in foreign(granting, facts):
        yield _lack(granting, f"{name} is not among the parameters that this rule allows", name)
    if granting.permit.asking and not asked(granting, facts):
        words = f"a search of {facts.type} must carry {spoken(granting, facts.type or '')}"
        open_ = "".join(f"; of {name}, {more}" for name, more in opening(granting, facts))
        yield _lack(granting, words + open_)


def spoken(granting: Granting, resource: str) -> str:
    """The parameters that a search of a type has to carry, in words."""
    return " or ".join(" with ".join(names) for names in granting.asking.get(resource, ()))


def example(granting: Granting, facts: Facts) -> str:
    """A request that the permit would grant, as a line."""
    name = facts.type or ""
    purposes = _assertable(granting, facts)
    for_purpose = f" with purpose-of-use: {min(purposes)}" if purposes else ""
    if facts.action not in {"search", "count"}:
        return f"{_ADDRESSES.get(facts.action, 'GET /{0}/[id]').format(name)}{for_purpose}"
    alternatives = granting.asking.get(name, ())
    # no & here: it is one of HL7's delimiters
    carrying = " and ".join(f"{n}=[value]" for n in alternatives[0]) if alternatives else ""
    return f"GET /{name}{'?' if carrying else ''}{carrying}{for_purpose}"
