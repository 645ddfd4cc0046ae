"""What is missing over all tests of a rule set: files that they name, and permits that none of them shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.rules.declared import Domain
from gateway.rules.trial import messages
from gateway.rules.trial.declared import Trial
from gateway.source import Diagnostic, Span, nearest


def unsampled(found: Iterable[Trial], stands: Mapping[str, Iterable[str]]) -> tuple[Diagnostic, ...]:
    """Tests that name a file which isn't there.

    Shape: `stands` are the files by the name of the rule file that they stand beside.
    """
    wrong = []
    for trial in found:
        for text in trial.samples:
            files = stands.get(text.span.source.name, ())
            if text.value not in files:
                near = nearest(text.value, files)
                hint = f"did you mean `{near}`?" if near else "name it from the folder of this rule file"
                wrong.append(messages.NO_SAMPLE.at(text.span, hint, word=text.value))
    return tuple(wrong)


def untested(domains: Iterable[Domain], found: Sequence[Trial]) -> tuple[Diagnostic, ...]:
    """Permits that no test expects to grant.

    Shape: a permit of submissions grants where a test of its domain expects more than a denial.
    """
    named = {expected.rule for trial in found for expected in trial.expected if expected.outcome == "permit"}
    sent = {
        trial.domain
        for trial in found
        if any(expected.outcome in {"accept", "refuse", "warn"} for expected in trial.expected)
    }
    wrong = []
    for domain in domains:
        for permit in domain.permits:
            granted = domain.name in sent if "ingest" in permit.actions else permit.id in named
            if not granted:
                line = Span(permit.span.source, permit.span.start, permit.span.start + _first(permit.span))
                wrong.append(messages.UNTESTED.at(line, kind="permit", word=permit.id))
    return tuple(wrong)


def _first(span: Span) -> int:
    """Length of the first line."""
    return min(span.end - span.start, len(span.source.line(span.line)))
