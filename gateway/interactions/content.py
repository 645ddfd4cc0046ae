"""What a body was read as: the one seam between the way of a submission and the data types.

Each data type has a file of its own with a reader and a class that answers these questions; `submission.py` has the
table of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from gateway.fhir import Draft
from gateway.finding import Finding
from gateway.interactions.acknowledge import Sender
from gateway.interactions.deliver import Written
from gateway.interactions.gateway import Gateway
from gateway.interactions.refused import Reason
from gateway.journal import Answer
from gateway.mapping import Context
from gateway.rules.declared import Domain
from gateway.upstream import Name


@dataclass(frozen=True, slots=True)
class KeyName:
    """How a key is spoken of where it was taken before.

    Shape: `words` name it (`control id 8457239`), `place` is where it stands, `advice` what to send instead, `code` the
    start of the findings' codes.
    """

    words: str
    place: str | None
    advice: str
    code: str = "HL7"


@dataclass(frozen=True, slots=True)
class Made:
    """What a submission was made into.

    Shape: `told` is the instant that it tells of, ISO 8601; `loss` is its loss report; `versions` says that the answer
    tells what stands then at the FHIR target; `names` are type and id of what was sent, entry by entry.
    """

    drafts: tuple[Draft, ...]
    findings: tuple[Finding, ...]
    told: str
    loss: tuple[Finding, ...]
    versions: bool = False
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is told of a submission that was taken, or would be.

    Shape: `location` is the receipt's address; a dry run has none. `written` is what stands at the FHIR target, by type
    and id; None where nothing was delivered there yet.
    """

    reason: Reason
    findings: tuple[Finding, ...]
    location: str | None = None
    written: Mapping[Name, Written] | None = None


class Content(Protocol):
    """A body as its data type reads it. Nothing here is asked before the reader has answered; none of it raises."""

    @property
    def type(self) -> str:
        """Message type, layout or resource type: the fact `message.type`; empty where it could not be read."""

    @property
    def control_id(self) -> str:
        """What the sender calls this submission: MSH-10, or its Idempotency-Key; empty for none."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What reading found; an error among them refuses the submission as not readable."""

    def facts(self) -> Mapping[str, Any]:
        """Facts for rules that this data type alone has, by their name in `Facts`."""

    def sender(self, sender: Sender) -> Sender:
        """The sender with what the answer repeats of this content."""

    def key(self, body_hash: str) -> tuple[str, ...]:
        """What tells this submission from the others of its organisation and domain."""

    def key_name(self) -> KeyName:
        """How that key is spoken of."""

    def check_acceptable(self, gateway: Gateway, domain: Domain) -> None:
        """Whether the domain accepts it: read without errors, of a type and version that it takes.

        Errors: Refused.
        """

    def convert(self, gateway: Gateway, context: Context) -> Made:
        """The drafts of its resources.

        Errors: Refused (failed).
        """

    def answer(self, gateway: Gateway, sender: Sender, accepted: Accepted, made: Made) -> Answer:
        """The answer for a submission that was taken."""


Reader: TypeAlias = Callable[[Gateway, bytes, "str | None", str], Content]
"""Reads a body: the gateway, the bytes, the charset that HTTP gave, the Idempotency-Key (empty: none)."""
