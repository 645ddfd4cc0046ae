"""A message structure as an automaton over the names of segments.

Each place of a segment in the structure is a position; what may follow a position is worked out once, and states (sets
of positions) are made when a message first leads to them. So a structure that could be read in two ways is read in
both, and a sound message costs one look-up a segment.

Source: V. M. Glushkov, The abstract theory of automata (1961); HL7 v2.5.1, chapter 2.12 (abstract message syntax).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.hl7v2.structure import ANY_SEGMENT, Group, SegmentUse

State = frozenset[int]
START = 0
BEGIN: State = frozenset({START})

_MOST_STATES = 20_000


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a part of a structure may begin and end with, and whether it may be left out."""

    first: frozenset[int]
    last: frozenset[int]
    empty: bool


class Automaton:
    """The automaton of one structure.

    Shape: positions count from 1, 0 is before the first segment; `names` are their segments, `groups` the groups that
    they are in; `known` all names of the structure; `moves` what `move` has answered so far.
    """

    __slots__ = ("_follow", "_last", "_repairs", "groups", "known", "moves", "names", "open")

    def __init__(self, structure: Group) -> None:
        """Work out what may follow what."""
        self.names: list[str] = [""]
        self.groups: list[str] = [""]
        self._follow: list[set[int]] = [set()]
        whole = self._group(structure, structure.name)
        self._follow[START] |= whole.first
        self._last = whole.last | (BEGIN if whole.empty else frozenset())
        self.known = frozenset(self.names[1:])
        self.open = ANY_SEGMENT in self.known
        self.moves: dict[tuple[State, str], State] = {}
        self._repairs: dict[tuple[State, str | None], tuple[tuple[str, ...], State] | None] = {}

    def move(self, state: State, name: str) -> State:
        """Where a segment leads; the empty state if it has no place there."""
        found = self.moves.get((state, name))
        if found is None:
            ahead = {p for position in state for p in self._follow[position] if self.names[p] in {name, ANY_SEGMENT}}
            found = frozenset(ahead)
            if len(self.moves) < _MOST_STATES:
                self.moves[state, name] = found
        return found

    def complete(self, state: State) -> bool:
        """Whether a message may end there."""
        return not self._last.isdisjoint(state)

    def expected(self, state: State) -> tuple[str, ...]:
        """The segments that may stand next, in the order of the structure."""
        ahead = sorted({p for position in state for p in self._follow[position]})
        return tuple(dict.fromkeys(self.names[p] for p in ahead))

    def repair(self, state: State, name: str | None) -> tuple[tuple[str, ...], State] | None:
        """The fewest segments that are missing before `name`, or before the end, and where it leads then.

        Shape: None where no number of them would give it a place.
        """
        key = (state, name)
        if key not in self._repairs:
            found = self._search(state, name)
            if len(self._repairs) >= _MOST_STATES:
                return found
            self._repairs[key] = found
        return self._repairs[key]

    def _search(self, state: State, name: str | None) -> tuple[tuple[str, ...], State] | None:
        before: dict[int, int | None] = dict.fromkeys(sorted(state))
        waiting = deque(before)
        while waiting:
            position = waiting.popleft()
            if name is None:
                if position in self._last and before[position] is not None:
                    return self._path(before, position), frozenset({position})
            else:
                reached = frozenset(p for p in self._follow[position] if self.names[p] == name)
                if reached:
                    return self._path(before, position), reached
            for ahead in sorted(self._follow[position]):
                if ahead not in before:
                    before[ahead] = position
                    waiting.append(ahead)
        return None

    def _path(self, before: Mapping[int, int | None], position: int) -> tuple[str, ...]:
        names: list[str] = []
        step: int | None = position
        while step is not None and before[step] is not None:
            names.append(self.names[step])
            step = before[step]
        return tuple(reversed(names))

    # --- making --------------------------------------------------------------------------------------------------

    def _group(self, group: Group, name: str) -> _Piece:
        pieces = [self._member(member, name) for member in group.members]
        whole = _either(pieces) if group.choice else self._sequence(pieces)
        return self._occurring(whole, group.min, group.max)

    def _member(self, member: Group | SegmentUse, group: str) -> _Piece:
        if isinstance(member, Group):
            return self._group(member, member.name)
        self.names.append(member.name)
        self.groups.append(group)
        self._follow.append(set())
        own = frozenset({len(self.names) - 1})
        return self._occurring(_Piece(own, own, empty=False), member.min, member.max)

    def _occurring(self, piece: _Piece, least: int, most: int | None) -> _Piece:
        if most is None:
            for position in piece.last:
                self._follow[position] |= piece.first
        return _Piece(piece.first, piece.last, empty=piece.empty or least == 0)

    def _sequence(self, pieces: Iterable[_Piece]) -> _Piece:
        first: frozenset[int] = frozenset()
        last: frozenset[int] = frozenset()
        empty = True
        for piece in pieces:
            for position in last:
                self._follow[position] |= piece.first
            first = first | piece.first if empty else first
            last = last | piece.last if piece.empty else piece.last
            empty = empty and piece.empty
        return _Piece(first, last, empty=empty)


def _either(pieces: Iterable[_Piece]) -> _Piece:
    several = tuple(pieces)
    first = frozenset(p for piece in several for p in piece.first)
    last = frozenset(p for piece in several for p in piece.last)
    return _Piece(first, last, empty=any(piece.empty for piece in several))
