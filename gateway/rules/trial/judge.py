"""Whether what came of a test is what it expects, and if not, what it is instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.finding import Finding
from gateway.rules.trial.declared import SUBMITTED, Expected, Trial
from gateway.rules.trial.run import Answer


@dataclass(frozen=True, slots=True)
class Miss:
    """One expectation that was not met.

    Shape: `why` are lines, the decision first; `answer` is what it was held against.
    """

    expected: Expected
    answer: Answer
    why: tuple[str, ...]


def judge(trial: Trial, answers: Sequence[Answer]) -> tuple[Miss, ...]:
    """The expectations that were not met.

    Shape: of several rows one has to be refused, denied or warned of; all have to be accepted. Of several stored
    resources each has to come out as expected.
    """
    found = (_miss(trial, expected, answers) for expected in trial.expected)
    return tuple(miss for miss in found if miss is not None)


def _miss(trial: Trial, expected: Expected, answers: Sequence[Answer]) -> Miss | None:
    misses = [(answer, why) for answer in answers if (why := _ASKED[expected.outcome](expected, answer)) is not None]
    some = trial.kind in SUBMITTED and expected.outcome != "accept"
    if not misses or (some and len(misses) < len(answers)):
        return None
    answer, why = misses[0]
    return Miss(expected, answer, (why,) if why else ())


# each answers None where it is met, else what is amiss beside the decision: a line, or nothing


def _accepted(expected: Expected, answer: Answer) -> str | None:
    if answer.effect != "accept":
        return ""
    if expected.names and answer.targets != expected.names:
        return f"it goes to {_listed(answer.targets)}, not to {_listed(expected.names)}"
    return None


def _refused(expected: Expected, answer: Answer) -> str | None:
    return _told(expected, answer, {"error", "fatal"}) if answer.effect == "refuse" else ""


def _warned(expected: Expected, answer: Answer) -> str | None:
    return _told(expected, answer, {"warning", "information"})


def _told(expected: Expected, answer: Answer, severities: Iterable[str]) -> str | None:
    """What is amiss with the findings of a check."""
    own = [f for f in answer.findings if f.rule == expected.rule and f.severity in severities]
    if not own:
        return ""
    if expected.at is None or any(_at(expected.at, finding, answer) for finding in own):
        return None
    return f"{expected.rule} found it at {_listed(f.expression or 'no place' for f in own)}, not at {expected.at}"


def _at(place: str, finding: Finding, answer: Answer) -> bool:
    """Whether a finding is about a place; a column is named as rules name it, in any row or in that of a line."""
    column = f"column {place.removeprefix('row.')}" if place.startswith("row.") else place
    return finding.expression is not None and column in {finding.expression, f"{answer.name}, {finding.expression}"}


def _denied(expected: Expected, answer: Answer) -> str | None:
    return None if answer.effect == "deny" and expected.rule in answer.by else ""


def _wanting(expected: Expected, answer: Answer) -> str | None:
    if answer.effect != "deny" or answer.by:
        return ""
    wants = answer.lacks.get(expected.rule)
    if wants is None:
        return f"{expected.rule} does not speak of this"
    if not wants:
        return f"{expected.rule} wants nothing of it"
    if expected.names and wants != expected.names:
        return f"{expected.rule} wants {_listed(wants)} of it, not {_listed(expected.names)}"
    return None


def _permitted(expected: Expected, answer: Answer) -> str | None:
    if answer.effect != "permit" or expected.rule not in answer.by:
        return ""
    if expected.names and answer.hide != expected.names:
        return f"hidden is {_listed(answer.hide) or 'nothing'}, not {_listed(expected.names)}"
    for name, values in expected.narrowed:
        if name not in answer.narrow:
            return f"the rows put {_listed(answer.narrow) or 'nothing'} into the search, not {name}"
        if values is not None and answer.narrow[name] != values:
            return f"the rows put {name}={','.join(sorted(answer.narrow[name]))} into the search"
    return None


def _told_to(expected: Expected, answer: Answer) -> str | None:
    if answer.notices == expected.names:
        return None
    if not answer.notices:
        broken = "" if answer.facts.glass else ": no glass is broken"
        return f"nobody is told of it{broken}"
    return f"it is told to {_listed(answer.notices)}{f', not to {_listed(expected.names)}' if expected.names else ''}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


_ASKED: Mapping[str, Callable[[Expected, Answer], str | None]] = {
    "accept": _accepted,
    "refuse": _refused,
    "warn": _warned,
    "deny": _denied,
    "want": _wanting,
    "permit": _permitted,
    "notice": _told_to,
    "silence": _told_to,
}
"""What each outcome asks."""
