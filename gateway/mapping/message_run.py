"""A message's map at work: its rows in order, group by group, each once for every segment that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.finding import Finding
from gateway.hl7v2 import Segment
from gateway.mapping.groups import Instance, Shape
from gateway.mapping.run import Fields, Run


class Rows(Protocol):
    """What is done for a segment."""

    @property
    def do(self) -> Callable[[Run, Segment, Fields], None]:
        """It, for one segment, whose fields stand beside it."""


Blocks = tuple[tuple[str, Rows], ...]
"""Segments' names, each with what is done for it."""

DOUBT = "two different NHS numbers were sent"
"""Why a segment identifies nobody though it has what would."""


@dataclass(frozen=True, slots=True, eq=False)
class MessageConverter:
    """A message's map.

    Shape: `grouped` are the segments that stand in groups alone; `rows` by group, and `last` what is done when all
    groups are; `once` the segments that may stand one time, and `tells` what each of them tells of; `ignored` are the
    fields that the maps in use leave out by name; `names` those that a group gives; `late` is done when all resources
    are known.
    """

    structure: str
    groups: Shape
    grouped: frozenset[str]
    rows: Mapping[str, Blocks]
    last: Blocks
    once: frozenset[str]
    tells: Mapping[str, str]
    requires: tuple[tuple[str, frozenset[str]], ...]
    ignored: Mapping[str, frozenset[int]]
    names: Mapping[str, frozenset[str]]
    late: tuple[Callable[[Run], None], ...]

    def run(self, run: Run, instance: Instance) -> None:
        """Convert a message into a run's resources."""
        run.grouped = self.grouped
        self._instance(run, instance, ())
        run.scope = (instance.segments,)
        self._blocks(run, instance, self.last)
        for name, found in instance.segments.items():
            if name in self.once and found[1:]:
                run.findings.append(_second(found, self.tells.get(name, "thing")))
        for name, sources in self.requires:
            if sources and not any(run.message.first(each) for each in sources):
                run.findings.append(_without(name, sources))
            elif name not in run.names or name in run.doubts:
                place = run.doubts.get(name)
                why = f", as {DOUBT}" if place else ""
                words = f"no {name} could be identified{why}, so the message could not be converted"
                run.findings.append(Finding("error", "required", words, place, "MAP-REQUIRED"))
        for late in self.late:
            late(run)
        run.finish()

    def _instance(self, run: Run, instance: Instance, around: tuple[Mapping[str, list[Segment]], ...]) -> None:
        run.scope = (instance.segments, *around)
        for name in self.names[instance.shape.name]:
            run.names.pop(name, None)
        self._blocks(run, instance, self.rows[instance.shape.name])
        for below in instance.below:
            self._instance(run, below, (instance.segments, *around))

    def _blocks(self, run: Run, instance: Instance, blocks: Blocks) -> None:
        standing, whole = instance.segments, not instance.shape.name
        for name, rows in blocks:
            if name in standing:
                found = standing[name]
                if whole and name in self.once:
                    found = found[:1]
                for each in found:
                    rows.do(run, each, run.fields(each))


def _without(name: str, sources: frozenset[str]) -> Finding:
    """A message may lack the segments that tell of something: what it tells is of nobody in particular."""
    lacking = " or ".join(sorted(sources))
    words = f"the message has no {lacking} segment, so nothing that was made of it is about a {name}"
    return Finding("warning", "required", words, None, "MAP-WITHOUT")


def _second(found: Sequence[Segment], tells: str) -> Finding:
    """A message has more segments of a name than its structure lets stand: which of them counts is not known."""
    name, count = found[0].name, "two" if len(found) == 2 else str(len(found))  # noqa: PLR2004  a word for it
    words = (
        f"this message type tells of one {tells} in one {name} segment, and this message has {count} {name} segments"
    )
    return Finding("error", "structure", words, f"{name}[{found[1].number}]", "MAP-STRUCTURE")
