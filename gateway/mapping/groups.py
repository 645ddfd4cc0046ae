"""The segments of a message in the groups of its map, in the order in which they came.

A group's instance begins at one of its first segments. A segment that the instance in hand has no row for, nor a group
below it, ends it. Segments that no row speaks of belong to nothing, and end nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.hl7v2 import Segment


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A group of a map.

    Shape: `order` are its own segments in the map's order; `below` its groups. Of the whole message, for all groups:
    `placed` are segments whose meaning is told by what they stand behind, the last of `anchors`; `order` has them as
    `ROL after PV1`.
    """

    name: str
    starts: tuple[str, ...]
    order: tuple[str, ...]
    below: tuple[Shape, ...]
    placed: frozenset[str] = frozenset()
    anchors: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Instance:
    """One occurrence of a group, with its segments by name and the groups below it as they came."""

    shape: Shape
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    below: list[Instance] = field(default_factory=list)
    reached: int = -1

    @classmethod
    def of(cls, shape: Shape, segments: Iterable[Segment]) -> Instance:
        """The whole message as the outermost group."""
        root = cls(shape)
        stack = [root]
        behind = ""
        for each in segments:
            if each.name in shape.anchors:
                behind = each.name
            name = each.name if each.name not in shape.placed else placed(each.name, behind)
            at = _takes(stack, name, each.name)
            if at is None:
                continue
            depth, child = at
            del stack[depth + 1 :]
            if child is not None:
                made = cls(child)
                stack[depth].below.append(made)
                stack.append(made)
            stack[-1].add(each, name)
        return root

    def add(self, each: Segment, name: str) -> None:
        """Take a segment in; below the whole message its own name is all that counts."""
        self.segments.setdefault(name if name in self.shape.order else each.name, []).append(each)
        if each.name in self.shape.starts:
            self.reached = max(self.reached, self.shape.starts.index(each.name))

    def takes(self, name: str, own: str) -> bool:
        """Whether a segment may still belong to this instance.

        Its first ones come once, in their order, and before the groups below it: `ORC TQ1 OBR` is one order.
        """
        if own in self.shape.starts:
            return not self.below and self.reached < self.shape.starts.index(own)
        return name in self.shape.order or own in self.shape.order


def placed(name: str, behind: str) -> str:
    """What a segment is called whose meaning is told by what it stands behind."""
    return f"{name} after {behind}"


def _takes(stack: list[Instance], name: str, own: str) -> tuple[int, Shape | None] | None:
    """Where a segment belongs: the depth of the instance in hand, and the group that it begins there, if any."""
    for depth in range(len(stack) - 1, -1, -1):
        if stack[depth].takes(name, own):
            return depth, None
        for child in stack[depth].shape.below:
            if own in child.starts:
                return depth, child
    return None
