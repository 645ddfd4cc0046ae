"""The segments of a message by the structure of its type: what is missing, in the wrong place, or too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.hl7v2.conformance import words
from gateway.hl7v2.conformance.automaton import BEGIN, Automaton, State
from gateway.hl7v2.conformance.kinds import Nonconformity
from gateway.hl7v2.message import Segment

_INSERTED = 4
"""Most segments that are taken to be missing before one; if it would take more, that one stands in the wrong place."""


def in_order(segments: Sequence[Segment], automaton: Automaton) -> bool:
    """Whether all segments have their place; Z segments may stand anywhere."""
    state, moves = BEGIN, automaton.moves
    for segment in segments:
        name = segment.name
        if name[:1] != "Z":
            state = moves.get((state, name)) or automaton.move(state, name)
            if not state:
                return False
    return automaton.complete(state)


def departures(
    segments: Sequence[Segment], automaton: Automaton, structure: str, known: frozenset[str]
) -> Iterator[Nonconformity]:
    """What is wrong with the order of segments.

    Shape: `known` are the segments of the version: another is told elsewhere, and has no place to be in.
    """
    walk = _Walk(automaton, structure)
    own = [segment for segment in segments if segment.name[:1] != "Z" and segment.name in known]
    found = [finding for segment in own for finding in walk.step(segment)]
    found += walk.end()
    for finding, missing in found:
        # what stands elsewhere is not missing: that it stands elsewhere is told of it
        if missing is None or not walk.misplaced.issuperset(missing):
            yield finding


class _Walk:
    """One message on its way through the structure."""

    __slots__ = ("automaton", "before", "misplaced", "seen", "state", "structure")

    def __init__(self, automaton: Automaton, structure: str) -> None:
        self.automaton = automaton
        self.structure = structure
        self.state: State = BEGIN
        self.before: Segment | None = None
        self.seen: set[str] = set()
        self.misplaced: set[str] = set()

    def step(self, segment: Segment) -> Iterator[tuple[Nonconformity, tuple[str, ...] | None]]:
        """One segment: what is wrong with its place, with what is missing before it."""
        name, automaton = segment.name, self.automaton
        ahead = automaton.move(self.state, name)
        if not ahead:
            repair = automaton.repair(self.state, name) if name in automaton.known else None
            if repair is not None and len(repair[0]) <= _INSERTED:
                yield words.missing_segment(repair[0], segment, self.structure), repair[0]
                ahead = repair[1]
            else:
                yield self._astray(segment), None
                self.seen.add(name)
                return
        self.state = ahead
        self.before = segment
        self.seen.add(name)

    def end(self) -> Iterator[tuple[Nonconformity, tuple[str, ...] | None]]:
        """What is missing behind the last segment."""
        repair = None if self.automaton.complete(self.state) else self.automaton.repair(self.state, None)
        if repair is not None and self.before is not None:
            yield words.missing_at_end(repair[0], self.before, self.structure), repair[0]

    def _astray(self, segment: Segment) -> Nonconformity:
        automaton = self.automaton
        if segment.name not in automaton.known:
            return words.not_in_structure(segment, self.structure)
        if segment.name in self.seen and self.before is not None and self.before.name == segment.name:
            return words.segment_again(segment, self.structure)
        self.misplaced.add(segment.name)
        return words.wrong_place(segment, self.before, self.structure, automaton.expected(self.state))
