"""What became of the rows of a file: counted, with the issues of the faulty ones up to a limit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.finding import Finding, refuses
from gateway.journal import Progress

MOST = 150
"""Issues that are told of one by one; more are counted."""


@dataclass(slots=True)
class Tally:
    """Counts of one file, changed as its rows go by.

    Shape: `line` is the last one that was delivered; `denied` rows are among the refused ones; `issues` the findings
    of faulty rows and what else is to be told, as they came; `more` of them are not kept. Units: rows.
    """

    read: int = 0
    refused: int = 0
    denied: int = 0
    stored: int = 0
    line: int = 0
    more: int = 0
    issues: list[Finding] = field(default_factory=list)

    def count(self, findings: tuple[Finding, ...], *, denied: bool = False) -> None:
        """Count a row that was judged."""
        self.read += 1
        if refuses(findings):
            self.refused += 1
            self.denied += denied
        self.tell(findings)

    def tell(self, findings: Iterable[Finding]) -> None:
        """Keep findings while there is room; an error takes the place of what is none."""
        for finding in findings:
            if len(self.issues) < MOST:
                self.issues.append(finding)
                continue
            self.more += 1
            if refuses((finding,)):
                spare = next((i for i, kept in enumerate(self.issues) if not refuses((kept,))), None)
                if spare is not None:
                    self.issues[spare] = finding

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The counts, then the issues."""
        words = f"rows read {self.read}, stored {self.stored}, refused {self.refused}"
        more = f"{self.more} more issues are not shown: correct these and send the file again"
        return (
            Finding("information", "informational", words),
            *self.issues,
            *([Finding("information", "informational", more)] if self.more else []),
        )

    def progress(self, phase: str, *, deferred: bool) -> Progress:
        """The same as the journal keeps it."""
        kept = [[f.severity, f.code, f.diagnostics, f.expression, f.rule] for f in self.issues]
        issues = json.dumps({"denied": self.denied, "more": self.more, "issues": kept}).encode()
        phases = {"judging": "judging", "delivering": "delivering", "done": "done"}
        return Progress(phases[phase], deferred, self.line, self.read, self.stored, self.refused, issues)  # type: ignore[arg-type]  # one of the three


def restored(progress: Progress) -> Tally:
    """A tally from the journal."""
    kept = json.loads(progress.issues)
    return Tally(
        read=progress.read, refused=progress.refused, denied=kept["denied"], stored=progress.stored,
        line=progress.line, more=kept["more"], issues=[Finding(*fields) for fields in kept["issues"]],
    )  # fmt: skip
