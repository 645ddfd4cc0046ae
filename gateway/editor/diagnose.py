"""What is wrong with a rule set as editors have it: all that `gateway rules check` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from gateway.rules.ground import Vocabulary
from gateway.rules.lint import lint
from gateway.rules.load import Loaded, beside, load_sources, read_sources
from gateway.source import Diagnostic, Span, in_order
from gateway.trials import missing_samples


def diagnose(
    folder: Path, unsaved: Mapping[Path, str], vocabulary: Vocabulary, today: date | None = None
) -> tuple[Diagnostic, ...]:
    """Errors and warnings of a rule set, in order of place.

    Shape: `unsaved` texts stand in for their files, by path; with `today` (Europe/London) what ends soon is warned of.
    """
    sources, broken = read_sources(folder, unsaved)
    loaded: Loaded = load_sources(sources, vocabulary, today=today, read=beside(folder))
    warned = () if loaded.rules is None else lint(loaded.rules, loaded.trials)
    return in_order((*broken, *loaded.diagnostics, *missing_samples(loaded, folder), *warned))


def underlined(diagnostic: Diagnostic) -> Span:
    """What of its place is underlined: its first line, as in the command's text."""
    span = diagnostic.span
    end = span.source.text.find("\n", span.start)
    return span if end < 0 else Span(span.source, span.start, min(span.end, max(end, span.start)))
