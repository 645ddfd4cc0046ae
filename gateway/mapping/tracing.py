"""Which rows of the maps ran, and what they filled: written into converters that are compiled to be traced alone.

A row that ran is a step; the rows of the map that it used are inside of it. `gateway specs trace` shows them, and the
coverage of the tables counts them. A converter that is not traced has no line of this in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.hl7v2 import Segment
from gateway.mapping.nodes import Assign, Map, Row
from gateway.mapping.run import Json, Making, Run, Slots
from gateway.mapping.targets import Place
from gateway.mapping.writer import Writer


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A row that ran and filled something.

    Shape: `row` is a row, an assignment, or a map of a primitive type without rows; `segment`, `field` and `repetition`
    say what was in hand, the last 0 where it is not told; `at` is the element that was filled, from the thing that the
    map makes, with the items of lists counted from 0; `value` is what was laid there; `inner` are the rows that made
    it. Of a message's row, `made` is the resource.
    """

    row: Row | Assign | Map
    segment: Segment
    field: int
    repetition: int
    at: str
    value: Any
    inner: tuple[Step, ...]
    made: Making | None = None


def begin(writer: Writer, *, traced: bool) -> str | None:
    """Mark where the steps of a row begin. Answers the mark's name, None where nothing is traced."""
    if not traced:
        return None
    mark = writer.local()
    writer.line(f"{mark} = len(run.steps)")
    return mark


def told(writer: Writer, mark: str | None, row: Row | Assign, place: Place, repetition: str = "0") -> tuple[str, ...]:
    """The line that makes the step of a row which has filled a place of `out` with `value`."""
    if mark is None:
        return ()
    held = f"{writer.hold(row)}, {mark}, {writer.hold(place)}, out, slots, value, {repetition}"
    return (f"{writer.hold(_step)}(run, {held})",)


def end(writer: Writer, mark: str | None, row: Row | Assign) -> None:
    """Forget the steps of a row whose value reached nothing."""
    if mark is not None:
        writer.line(f"{writer.hold(_end)}(run, {writer.hold(row)}, {mark})")


def primitive(made: Map, run: Run, value: Any) -> None:
    """The step of a map without rows."""
    if value is not None:
        run.steps.append(Step(made, run.segment, run.field, 0, "", value, ()))


def message_end(writer: Writer, mark: str | None, row: Row) -> None:
    """Make the step of a message's row, which made a resource, added to one or referred to one."""
    if mark is not None:
        name = writer.hold(row.target.steps[0].name)
        writer.line(f"{writer.hold(_message_row)}({writer.hold(row)}, run, {mark}, names.get({name}))")


def _message_row(row: Row, run: Run, mark: int, made: Making | None) -> None:
    inner = tuple(run.steps[mark:])
    del run.steps[mark:]
    if made is not None and (inner or row.refers is not None):
        run.steps.append(Step(row, run.segment, 0, 0, _below(row, made), None, inner, made))


def _below(row: Row, made: Making) -> str:
    """The element of a resource that a message's row fills; the last of a list."""
    parts: list[str] = []
    current: Any = made.resource
    for step in row.target.steps[1:]:
        current = current.get(step.name) if isinstance(current, dict) else None
        parts.append(f"{step.name}[{len(current) - 1}]" if isinstance(current, list) else step.name)
        current = current[-1] if isinstance(current, list) and current else current
    return ".".join(parts)


def _step(
    run: Run, row: Row | Assign, mark: int, place: Place, out: Json, slots: Slots, value: Any, repetition: int
) -> None:
    inner = tuple(run.steps[mark:])
    del run.steps[mark:]
    run.steps.append(Step(row, run.segment, run.field, repetition, where(place, out, slots), value, inner))


def _end(run: Run, row: Row | Assign, mark: int) -> None:
    run.steps[mark:] = [step for step in run.steps[mark:] if step.row is row]


def where(place: Place, out: Json, slots: Slots) -> str:
    """The element that was filled last by a place, items of lists counted from 0; empty for the thing itself."""
    parts: list[str] = []
    current: Json = out
    for box in place.boxes:
        found = current[box.name]
        name = box.name.removeprefix("_")
        if box.many:
            item = slots[box.key] if box.key is not None else found[-1]
            parts.append(f"{name}[{next(i for i, each in enumerate(found) if each is item)}]")
            current = item
        else:
            parts.append(name)
            current = found
    if place.leaf is not None:
        standing = current.get(place.leaf)
        parts.append(f"{place.leaf}[{len(standing) - 1}]" if isinstance(standing, list) else place.leaf)
    return ".".join(parts)
