"""The kinds of departures from the standard, by which rules set severities.

Source: HL7 v2.5.1, chapter 2.B (conformance), and table 0357 (what an acknowledgement tells apart).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.finding import Finding, Severity
from gateway.hl7v2.place import Place


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of departure.

    Shape: `code` is FHIR's issue type; `most` the severity that a check gives it at most unless its `except` names the
    kind, None where it is then not told at all; `words` say what it is.
    """

    name: str
    code: str
    most: Severity | None
    words: str


_ALL = (
    Kind("structure", "structure", "error", "a version, message type or MSH-9.3 that the standard does not have so"),
    Kind("order", "structure", "error", "a segment where its message structure has no place for it"),
    Kind("unknown", "structure", "error", "a segment, field or component that the version does not have"),
    Kind("required", "required", "error", "a segment, field or component that is required and missing"),
    Kind("repetitions", "structure", "error", "more of a segment or field than may stand there"),
    Kind("type", "value", "error", "a value that is not of its data type"),
    Kind("table", "code-invalid", "error", "a code that is not in the table that HL7 defines for its place"),
    Kind("length", "too-long", "warning", "a value that is longer than the standard allows"),
    Kind("withdrawn", "structure", "warning", "a field or component that the version has withdrawn"),
    Kind("user-table", "code-invalid", None, "a code that HL7 does not suggest for a table that sites may fill"),
)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})
"""Every kind by its name."""

USER_TABLE = "user-table"

_ORDER: Mapping[Severity, int] = {"fatal": 0, "error": 1, "warning": 2, "information": 3}


def severity_of(kind: str, otherwise: Severity) -> Severity | None:
    """The severity of a kind that no `except` names, in a check that says `otherwise`; None: not told."""
    most = KINDS[kind].most
    if most is None:
        return None
    return most if _ORDER[most] > _ORDER[otherwise] else otherwise


@dataclass(frozen=True, slots=True)
class Nonconformity:
    """One departure of a message from the standard.

    Shape: `kind` is a name of `KINDS`; `place` a place of the message, of what is missing the field that is empty or
    the segment behind which, or before which, another is missing; `words` say what was found, what the standard says
    and what to do, and hold no quote, backslash, line break or HL7 delimiter.
    """

    kind: str
    place: Place
    words: str

    def finding(self, severity: Severity, rule: str | None = None, code: str | None = None) -> Finding:
        """The same as an issue. Shape: `rule` is `HL7-LENGTH` and its like where no rule asked for it."""
        own = f"HL7-{self.kind.upper()}"
        return Finding(severity, code or KINDS[self.kind].code, self.words, str(self.place), rule or own)
