"""How much one decision may look through: a message of many repetitions must not make a loop in a loop endless.

Texts need no such bound: regular expressions are re2's, which take time in proportion to the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 1_000_000
"""Repetitions that the loops of one decision look at, all in all: about a second."""


class TooMuchWork(Exception):  # noqa: N818 - says what happened; it is no `ERRORS`, so that no rule swallows it
    """A decision that would take too long; nothing was decided."""


@dataclass(slots=True)
class Work:
    """What is left of one decision's work."""

    left: int = MOST

    def begin(self) -> None:
        """Begin another decision."""
        self.left = MOST


def bounded(context: Any, values: Iterable[T]) -> Iterable[T]:
    """The values of a loop, counted where the context of the decision has bounded work.

    Errors: TooMuchWork, from the loop.
    """
    work: Work | None = getattr(context, "work", None)
    return values if work is None else _counted(work, values)


def _counted(work: Work, values: Iterable[T]) -> Iterator[T]:
    for value in values:
        work.left -= 1
        if work.left < 0:
            raise TooMuchWork
        yield value
