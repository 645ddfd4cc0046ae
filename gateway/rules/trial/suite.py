"""All tests of a rule set, run one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.rules.trial.declared import Trial
from gateway.rules.trial.given import Unusable, World
from gateway.rules.trial.judge import judge
from gateway.rules.trial.run import Answer, run
from gateway.rules.trial.tell import framed, told


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one test. Shape: `failures` are texts to show, none where it passed. Units: seconds."""

    trial: Trial
    answers: tuple[Answer, ...]
    failures: tuple[str, ...]
    seconds: float


def results(trials: Iterable[Trial], world: World) -> Iterator[Result]:
    """What came of every test, in their order."""
    for trial in trials:
        start = time.perf_counter()
        try:
            answers = run(trial, world)
            failures = tuple(told(trial, miss, world.rules) for miss in judge(trial, answers))
        except (Unusable, OSError) as fault:
            answers, failures = (), (_unusable(trial, fault),)
        yield Result(trial, answers, failures, time.perf_counter() - start)


def _unusable(trial: Trial, fault: Unusable | OSError) -> str:
    words = str(fault) if isinstance(fault, Unusable) else f"{fault.filename}: {fault.strerror}"
    margin = " " * len(str(trial.given.span.line))
    return "\n".join([f"failed: {trial.title}", *framed(trial.given.span), f"{margin}  = the sample: {words}"])
