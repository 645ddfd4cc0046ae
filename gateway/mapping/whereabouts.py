"""Where each populated part of a message went: the element, and the rows of the maps that led there.

It reads the steps of a conversion by traced maps (`tracing.py`). A part that reached nothing is left out by name, or
unmapped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.hl7v2 import NULL, Message, Segment
from gateway.language.nodes import Field, Leaf, Part, Present, Test, operands, parts
from gateway.mapping.compile import key_of
from gateway.mapping.nodes import Assign, Ignore, Key, Map, MessageMap, Row, Statement
from gateway.mapping.run import place_of
from gateway.mapping.tracing import Step
from gateway.mapping.values import paths
from gateway.mapping.vocabulary import Path, path_of
from gateway.source import Span

State = Literal["mapped", "ignored", "unmapped"]


@dataclass(frozen=True, slots=True)
class Went:
    """A populated part of a message, and one place that it went to.

    Shape: `place` is its path (`PID-3[2].4.1`; `[2]` where the field was repeated), `value` what was sent there;
    `resource` (`Patient/9990000018`) and `element` where it went, with items of lists counted from 0, empty where it
    reached none; `by` the rows that led there, the one that took the part first, each `file:line`; of a part that a map
    leaves out, the line that says so, and `because` why.
    """

    place: str
    value: str
    state: State
    resource: str = ""
    element: str = ""
    by: tuple[str, ...] = ()
    because: str = ""


Sent = tuple[int, int, tuple[int, ...]]
"""A field, a repetition from 1 (0 for any), and the numbers of component and sub-component as far as they are told."""


@dataclass(frozen=True, slots=True)
class _Reached:
    part: Sent
    resource: str
    element: str
    by: tuple[str, ...]


def whereabouts(message: Message, steps: Iterable[Step], statements: Sequence[Statement]) -> Iterator[Went]:
    """Each populated part of a message, in order, once for each place that it went to."""
    reached: dict[int, list[_Reached]] = {}
    used: dict[tuple[int, int], list[Key]] = {}
    for step in steps:
        for inner in step.inner:
            resource = f"{step.made.type}/{step.made.id}" if step.made is not None else ""
            above = _Reached((0, 0, ()), resource, step.at, (_line(step.row.span),))
            reached.setdefault(inner.segment.position, []).extend(_reached(inner, above, None))
            if isinstance(inner.row, Row) and inner.row.using is not None:
                used.setdefault((inner.segment.position, inner.field), []).append(key_of(inner.row.using))
    left_out = _LeftOut(message, statements)
    for segment in message.segments:
        here = reached.get(segment.position, [])
        for part, text, repeated in _parts(segment, message):
            field, repetition, numbers = part
            found = [one for one in here if _about(one.part, part)]
            place = place_of(segment, field) + (f"[{repetition}]" if repeated else "")
            place += "".join(f".{number}" for number in numbers)
            for one in dict.fromkeys((each.resource, each.element, each.by) for each in found):
                yield Went(place, text, "mapped", *one)
            if not found:
                ignore = left_out.of(segment.name, field, numbers, used.get((segment.position, field), ()))
                if ignore is None:
                    yield Went(place, text, "unmapped")
                else:
                    yield Went(place, text, "ignored", by=(_line(ignore.span),), because=ignore.because.value)


def _reached(step: Step, above: _Reached, base: Sent | None, *, whole: bool = False) -> Iterator[_Reached]:
    """The parts that a step took; those of the rows inside of it, where these tell more.

    Shape: `base` is the part that the map has in hand, None of a segment's; `whole` where it makes a primitive value.
    """
    row = step.row
    if isinstance(row, Map):
        return
    read = tuple(_read(row, step, base))
    element = above.element if whole else ".".join(part for part in (above.element, step.at) if part)
    chain = (_line(row.span), *above.by)
    made = step.value.get("reference") if isinstance(step.value, dict) and step.inner else None
    inside = _Reached((0, 0, ()), above.resource, element, chain)
    if isinstance(made, str):
        inside = _Reached((0, 0, ()), made, "", chain)
    primitive = not isinstance(step.value, dict)
    below = [one for i in step.inner for part in read for one in _reached(i, inside, part, whole=primitive)]
    yield from below or (_Reached(part, above.resource, element, chain) for part in read)


def _read(row: Row | Assign, step: Step, base: Sent | None) -> Iterator[Sent]:
    """The parts that a row reads: of a segment's, its own fields; of a data type's, below what is in hand.

    What a constant stands for is what its condition compared; that something was sent at all tells nothing of it.
    """
    found = [path_of(row.source.text)] if isinstance(row, Row) else [*paths(row.value)]
    if not found and row.test is not None:
        found = [_asked(leaf) for leaf in _compared(row.test)]
    for path in found:
        if path is None:
            continue
        if base is None:
            if path.field is not None and path.of == step.segment.name:
                yield path.field, step.repetition if path.field == step.field else 0, path.steps
        else:
            field, repetition, numbers = base
            yield field, repetition, (*numbers, *path.steps)[:2]


def _compared(test: Test) -> Iterator[Leaf]:
    """What a condition reads, but for what it asks the presence of alone."""
    if not isinstance(test, Present):
        yield from (operand for operand in operands(test) if isinstance(operand, Leaf))
        for part in parts(test):
            yield from _compared(part)


def _asked(leaf: Leaf) -> Path | None:
    """The path that a condition reads; None of a fact."""
    if isinstance(leaf, Part):
        return Path(leaf.variable, None, _told(leaf.component, leaf.subcomponent))
    return Path(leaf.segment, leaf.field, _told(leaf.component, leaf.subcomponent)) if isinstance(leaf, Field) else None


def _told(*numbers: int | None) -> tuple[int, ...]:
    return tuple(number for number in numbers if number is not None)


def _about(reached: Sent, part: Sent) -> bool:
    """Whether what was reached is the part, holds it, or is its first leaf."""
    same = reached[0] == part[0] and reached[1] in {0, part[1]}
    taken, sent = reached[2], part[2]
    shorter = min(len(taken), len(sent))
    return same and taken[:shorter] == sent[:shorter] and all(number == 1 for number in taken[shorter:])


def _parts(segment: Segment, message: Message) -> Iterator[tuple[Sent, str, bool]]:
    """The populated leaves of a segment with what was sent there, and whether their field was repeated."""
    cut = message.delimiters
    header = segment.name == "MSH"
    for number, field in enumerate(segment.line.split(cut.field)):
        at = number + header
        if not number or not field:
            continue
        if header and at == 2:  # noqa: PLR2004 - MSH-2, the delimiters themselves
            yield (at, 1, ()), field, False
            continue
        repetitions = field.split(cut.repetition)
        for i, repetition in enumerate(repetitions, 1):
            for numbers, text in _leaves(repetition, cut.component, cut.subcomponent):
                yield (at, i, numbers), text, len(repetitions) > 1


def _leaves(repetition: str, component: str, subcomponent: str) -> Iterator[tuple[tuple[int, ...], str]]:
    components = repetition.split(component)
    for i, one in enumerate(components, 1):
        leaves = one.split(subcomponent)
        for j, leaf in enumerate(leaves, 1):
            if leaf and leaf != NULL:
                yield ((i, j) if len(leaves) > 1 else (i,) if len(components) > 1 else ()), leaf


class _LeftOut:
    """What the maps of a message leave out by name."""

    def __init__(self, message: Message, statements: Sequence[Statement]) -> None:
        self._maps: Mapping[Key, Map] = {one.key: one for one in statements if isinstance(one, Map)}
        mine = [
            one for one in statements
            if isinstance(one, MessageMap) and message.type in {trigger.text for trigger in one.triggers}
        ]  # fmt: skip
        self._segments: dict[str, list[Ignore]] = {}
        for one in mine:
            for ignore in one.ignores:
                for word in ignore.names:
                    self._segments.setdefault(word.text, []).append(ignore)
            for row in one.every_row():
                made = self._maps.get(key_of(row.using)) if row.using is not None else None
                for ignore in made.ignores if made is not None else ():
                    for word in ignore.names:
                        self._segments.setdefault(word.text, []).append(ignore)

    def of(self, segment: str, field: int, numbers: tuple[int, ...], used: Sequence[Key]) -> Ignore | None:
        """The line that leaves a part out, or None."""
        names = [f"{segment}-{field}"]
        for number in numbers:
            names.append(f"{names[-1]}.{number}")
        for name in reversed(names):
            if name in self._segments:
                return self._segments[name][0]
        for key in used:
            for ignore in self._maps[key].ignores:
                if {word.text for word in ignore.names} & {f"{key[0]}.{number}" for number in numbers[:1]}:
                    return ignore
        return None


def _line(span: Span) -> str:
    return f"{span.source.name}:{span.line}"
