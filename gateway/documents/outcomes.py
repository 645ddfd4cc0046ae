"""The outcomes of `POST /$ingest` and the statuses that tell them, by acknowledgement profile.

Source: the table of outcomes in `http-interface.md` of the design; HL7 v2.5.1 section 2.9.2 and table 0008. A test
holds it against the table that answers requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PROFILES = ("http-status", "hl7-over-http")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one outcome is told.

    Shape: `code` is MSA-1; `http_status` and `hl7_over_http` the statuses of the two profiles; `issue` the FHIR issue
    type that tells it; `words` say when it happens.
    """

    name: str
    code: Literal["AA", "AE", "AR"]
    http_status: int
    hl7_over_http: int
    issue: str
    words: str

    def status(self, profile: str) -> int:
        """HTTP status under a profile."""
        return self.hl7_over_http if profile == "hl7-over-http" else self.http_status


OUTCOMES = (
    Outcome("stored", "AA", 200, 200, "informational",
            "stored; the same accepted message again gets its first answer, byte for byte"),
    Outcome("queued", "AA", 202, 200, "informational", "accepted, and queued for at least one target"),
    Outcome("unreadable", "AR", 400, 200, "structure",
            "not readable, its type or version not accepted, or a header missing, doubled or unknown"),
    Outcome("no-domain", "AR", 400, 400, "value", "unknown or missing domain"),
    Outcome("unauthorised", "AR", 401, 401, "login", "no token, or one that is not valid"),
    Outcome("denied", "AR", 403, 200, "forbidden", "not permitted by the rules"),
    Outcome("conflict", "AR", 409, 200, "duplicate", "another body under the key of an accepted submission"),
    Outcome("too-large", "AR", 413, 413, "too-long", "the body is larger than the limit"),
    Outcome("media-type", "AR", 415, 415, "not-supported",
            "Content-Type, charset or Content-Encoding is missing or not taken"),
    Outcome("failed", "AE", 422, 200, "business-rule",
            "a check refused it, it could not be converted, or a target refused it (its issues are passed on)"),
    Outcome("too-many", "AR", 429, 429, "throttled", "too many requests"),
    Outcome("down", "AE", 503, 503, "transient",
            "a target is down and its route says reject, or the journal can not be written"),
    Outcome("busy", "AE", 503, 503, "lock-error",
            "the same message is in hand, or the answer would take too long"),
)  # fmt: skip
BY_NAME = {outcome.name: outcome for outcome in OUTCOMES}

UNREAD = frozenset({"no-domain", "unauthorised", "too-large", "media-type", "too-many"})
"""Outcomes told before the message is read, so with an empty MSA-2."""

RETRY_AFTER = frozenset({429, 503})
"""Statuses that carry `Retry-After`."""


def told(profiles: Iterable[str]) -> dict[int, tuple[tuple[str, Outcome], ...]]:
    """Outcomes by status for the profiles in use, each with its profile; statuses rise."""
    wanted = set(profiles)
    used = [profile for profile in PROFILES if profile in wanted]
    by_status: dict[int, list[tuple[str, Outcome]]] = {}
    for outcome in OUTCOMES:
        for profile in used:
            by_status.setdefault(outcome.status(profile), []).append((profile, outcome))
    return {status: tuple(by_status[status]) for status in sorted(by_status)}
