"""The one way out of an interaction before its end: a refusal, with its findings and its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from gateway.documents.outcomes import BY_NAME
from gateway.fhir import Resource
from gateway.finding import Finding
from gateway.journal import TargetState
from gateway.journal.model import State

Reason = Literal[
    "stored", "queued", "conflict", "unreadable", "no-domain", "denied", "failed", "down",
    "unauthorised", "too-large", "media-type", "too-many", "busy",
]  # fmt: skip

_STATES: Mapping[Reason, State] = {"denied": "denied", "down": "failed", "busy": "failed"}


def named(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Rules that findings name, each once."""
    return tuple(dict.fromkeys(finding.rule for finding in findings if finding.rule))


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of the program
    """Nothing more is done for this request; `findings` say why.

    Shape: `reason` picks the status; `headers` are added to the answer; `rules` are the ids that decided; `states` is
    what became of it at the targets that were reached before; `unsure` says that one may have taken it all the same;
    `about` is what was to be stored.
    """

    def __init__(
        self,
        reason: Reason,
        *findings: Finding,
        headers: dict[str, str] | None = None,
        rules: tuple[str, ...] = (),
        states: tuple[TargetState, ...] = (),
        unsure: bool = False,
        status: int | None = None,
    ) -> None:
        """Keep what the answer needs."""
        super().__init__(reason)
        self.reason = reason
        self.findings = findings
        self.headers = headers or {}
        self.rules = rules
        self.states = states
        self.unsure = unsure
        self.about: tuple[Resource, ...] = ()
        self._status = status

    @property
    def deciding(self) -> tuple[str, ...]:
        """Ids of what decided: of the rules, or, where no rule was asked, of what the findings are known by."""
        return self.rules or named(self.findings)

    @property
    def audited(self) -> str:
        """What the audit calls it: `unknown` where something was stored all the same, or may have been."""
        return "unknown" if self.unsure or any(one.state == "delivered" for one in self.states) else self.reason

    @property
    def state(self) -> State:
        """What becomes of a submission that is refused so."""
        return _STATES.get(self.reason, "refused")

    @property
    def status(self) -> int:
        """HTTP status outside of `$ingest` (`http-status`, or the one that was given)."""
        return self._status or BY_NAME[self.reason].http_status


def error(code: str, diagnostics: str, expression: str | None = None, rule: str | None = None) -> Finding:
    """Finding that refuses."""
    return Finding("error", code, diagnostics, expression, rule)
