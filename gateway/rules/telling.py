"""What a check tells: its message with what it read, and the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.finding import Finding
from gateway.hl7v2 import Segment
from gateway.hl7v2.place import Place
from gateway.language.compile import compile_value
from gateway.language.functions import EvaluationError
from gateway.language.nodes import Column, Element, Field, Leaf, Part, leaves
from gateway.rules.conforming import departed, found
from gateway.rules.declared import Check
from gateway.rules.facts import Facts
from gateway.rules.reading import RESOURCE, RuleReader, number_of

UNDECIDED = "the rule could not be decided"


@dataclass(frozen=True, slots=True)
class Teller:
    """The findings of one check.

    Shape: `whole(facts)` or `whole(facts, resource)` tells of the whole, `part(facts, segment, number)` of one
    repetition; `field` is the place without segment and repetition; `departures`, of the same arguments as `whole`,
    tells what the message or the resource departs in, where the check judges it.
    """

    whole: Callable[..., Finding]
    part: Callable[[Facts, Segment, int], Finding]
    field: str | None
    departures: Callable[..., tuple[Finding, ...]] | None = None


def teller(check: Check, *variables: str) -> Teller:
    """What makes a check's findings; `variables` are what its functions take beside the facts."""
    each = check.each
    if each is not None:
        variables = (each.variable, number_of(each.variable))
    text = _text(check, variables)
    leaf = next((leaf for leaf in leaves(check.require) if isinstance(leaf, Field | Part | Element | Column)), None)
    field = _field(check, leaf)

    def finding(words: str, place: str | None) -> Finding:
        return Finding(check.severity, check.code, words, place, check.id)

    def whole(*arguments: Any) -> Finding:
        return finding(text(*arguments), field)

    def part(facts: Facts, segment: Segment, number: int) -> Finding:
        if isinstance(leaf, Field) and leaf.of is not None:
            own = Place(segment.name, segment.number, leaf.field, None, leaf.component, leaf.subcomponent)
            return finding(text(facts, segment, number), str(own))
        below = leaf if isinstance(leaf, Part) else None
        component, subcomponent = (below.component, below.subcomponent) if below is not None else (None, None)
        position = each.field if each is not None else None
        place = Place(segment.name, segment.number, position, number, component, subcomponent)
        return finding(text(facts, segment, number), str(place))

    how, held = check.judging, check.holding

    def departures(facts: Facts, *of: Any) -> tuple[Finding, ...]:
        if held is not None:
            (resource,) = of
            return departed(held, check.id, resource, text(facts, resource) if held.worded else "")
        if how is None or facts.message is None:
            raise EvaluationError("a message that is not there")
        return found(how, check.id, facts.message, text(facts) if how.worded else "")

    return Teller(whole, part, field, None if how is None and held is None else departures)


def _text(check: Check, variables: tuple[str, ...]) -> Callable[..., str]:
    """The message: what is read stands between the author's words."""
    reader = RuleReader(fields={check.each.variable: check.each.field} if check.each is not None else {})
    readers = [
        part if isinstance(part, str) else compile_value(part, reader, variables=variables, name=f"{check.id} text")
        for part in check.text
    ]

    def text(*arguments: Any) -> str:
        return "".join(part if isinstance(part, str) else _shown(part(*arguments)) for part in readers)

    return text


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple | frozenset) else str(value)


def _field(check: Check, leaf: Leaf | None) -> str | None:
    """The first path that the requirement reads, else what is looped over."""
    match leaf:
        case Field():
            return str(Place(leaf.segment, 1, leaf.field, None, leaf.component, leaf.subcomponent))
        case Element():
            return ".".join((leaf.resource or RESOURCE, *leaf.steps))
        case Column():
            return f"column {leaf.name}"
    each = check.each
    return None if each is None else str(Place(each.segment, 1, each.field))
