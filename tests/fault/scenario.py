"""What a fault run is: what it does, how often, and what it has to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

NEVER = ("lost", "doubled", "answered otherwise")
Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault run.

    Shape: `run` takes an empty folder, how often, and a seed; `bounded` is how often `make faults` does it and `whole`
    the long form; `never` are the counts that have to be 0, `some` those that must not be; `mutant` says that the
    program is broken on purpose, so that some of `never` has to show it; `forks` that `run` also takes `forked`: then
    each start of a gateway is a fork of a process that has imported and loaded what it would (`fork_server.py`).
    """

    title: str
    run: Callable[..., Counts]
    bounded: int
    whole: int
    never: tuple[str, ...] = NEVER
    some: tuple[str, ...] = ("acknowledged",)
    mutant: bool = False
    forks: bool = False

    def wrong(self, counts: Counts) -> tuple[str, ...]:
        """What is not as it has to be, in words; empty where the run went as it must."""
        absent = tuple(f"no {name}" for name in self.some if not counts.get(name))
        seen = tuple(f"{counts[name]} {name}" for name in self.never if counts.get(name, 0))
        if self.mutant:
            return (*absent, *(() if seen else ("the mutant was not noticed",)))
        return (*absent, *seen)
