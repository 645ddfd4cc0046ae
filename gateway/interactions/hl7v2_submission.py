"""`data-type: Hl7v2`: one message as the content of a submission.

Source: `http-interface.md` of the design, "Keys" and "What comes back for Hl7v2".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway import hl7v2
from gateway.finding import Finding, refuses
from gateway.interactions.acknowledge import Sender, answer
from gateway.interactions.content import Accepted, KeyName, Made
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import listed, shown
from gateway.interactions.refused import Refused, error
from gateway.journal import Answer
from gateway.mapping import Context, LossReport
from gateway.rules.accepting import overlays
from gateway.rules.declared import Domain

LONGEST_CONTROL_ID = 199  # HL7 v2.5.1 chapter 2.A.74: the longest ST
# Who sent, MSH-3 and MSH-4: all three components of an HD (chapter 2.A.33). HL7 itself makes MSH-10 unique by them, so
# they stand here and not in specs/: with other fields, what was accepted before would be accepted a second time.
SENT_BY = tuple((field, component) for field in (3, 4) for component in (1, 2, 3))
SHOWN_LOSS = 40


def read(gateway: Gateway, raw: bytes, charset: str | None, idempotency_key: str) -> Hl7v2Content:  # noqa: ARG001 - a message brings its own key, and every data type's reader is called alike
    """Read a message; what can't be read is among its findings."""
    return Hl7v2Content(hl7v2.read(raw, charset))


@dataclass(frozen=True, slots=True)
class Hl7v2Content:
    """One message."""

    message: hl7v2.Message

    @property
    def type(self) -> str:
        """Message type (`ADT^A01`), empty where there is none."""
        return self.message.type or ""

    @property
    def control_id(self) -> str:
        """MSH-10, empty where there is none."""
        return self.message.control_id or ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The reader's findings."""
        return self.message.findings

    def facts(self) -> Mapping[str, Any]:
        """The message itself."""
        return {"message": self.message}

    def sender(self, sender: Sender) -> Sender:
        """The sender with the message that an acknowledgement repeats parts of."""
        return replace(sender, message=self.message)

    def key(self, body_hash: str) -> tuple[str, ...]:
        """Sending application and facility, and the control id or what stands for it."""
        sent_by = (self.message.text("MSH", *place) or "" for place in SENT_BY)
        return (*sent_by, self.message.control_id or body_hash)

    def key_name(self) -> KeyName:
        """The control id."""
        return KeyName(f"control id {shown(self.control_id)}", "MSH-10", "give each message a control id of its own")

    def check_acceptable(self, gateway: Gateway, domain: Domain) -> None:
        """Whether the message can be read and is of a type and version that the domain accepts.

        Errors: Refused (unreadable), with the reader's findings or the accepted values.
        """
        message, most = self.message, gateway.settings.parts_limit
        if refuses(message.findings):
            raise Refused("unreadable", *message.findings)
        if message.parts > most:
            words = f"the message has more than {most} segments and repetitions; send it in smaller messages"
            raise Refused("unreadable", error("too-long", words, None, "HL7-A05"))
        if len(self.control_id) > LONGEST_CONTROL_ID:
            raise Refused("unreadable", error(
                "too-long", f"MSH-10 has more than {LONGEST_CONTROL_ID} characters", "MSH-10", "HL7-A03"
            ))  # fmt: skip
        offers = [accept for accept in domain.accepts if accept.data_type == "Hl7v2"]
        types = tuple(sorted({name for accept in offers for name in accept.types}))
        fitting = [accept for accept in offers if message.type in accept.types]
        if not fitting:
            sent = (message.type or "none").replace("^", " ")
            raise Refused("unreadable", error(
                "not-supported",
                f"domain {domain.name} does not accept message type {shown(sent)}; "
                f"it accepts {listed(tuple(name.replace('^', ' ') for name in types))}",
                "MSH-9", "HL7-A01",
            ))  # fmt: skip
        if not any(_within(message.version, accept.versions, gateway.versions) for accept in fitting):
            ranges = ", ".join(f"{accept.versions[0]} to {accept.versions[1]}" for accept in fitting if accept.versions)
            raise Refused("unreadable", error(
                "not-supported",
                f"domain {domain.name} does not accept HL7 version {shown(message.version or 'none')}; "
                f"it accepts {ranges}",
                "MSH-12", "HL7-A02",
            ))  # fmt: skip

    def convert(self, gateway: Gateway, context: Context) -> Made:
        """What the maps make of the message.

        Errors: Refused (failed).
        """
        accepts = gateway.rules.domains[context.domain].accepts
        laid = overlays(accepts, self.message.type, self.message.version)
        conversion = gateway.maps.convert(self.message, replace(context, overlays=laid))
        if refuses(conversion.findings):
            raise Refused("failed", *conversion.findings)
        return Made(conversion.drafts, conversion.findings, conversion.told, _loss(conversion.loss))

    def answer(self, gateway: Gateway, sender: Sender, accepted: Accepted, made: Made) -> Answer:  # noqa: ARG002 - an acknowledgement tells nothing of what was made
        """An acknowledgement."""
        return answer(gateway, sender, accepted.reason, accepted.findings, accepted.location)


def _loss(report: LossReport) -> tuple[Finding, ...]:
    counts = f"{report.mapped} fields mapped, {report.ignored} ignored by name, {len(report.unmapped)} not mapped"
    return (
        Finding("information", "informational", counts),
        *(Finding("information", "informational", "not mapped", path) for path in report.unmapped[:SHOWN_LOSS]),
    )


def _within(version: str | None, accepted: tuple[str, str] | None, known: tuple[str, ...]) -> bool:
    """Whether a version is one of HL7's, as HL7 writes it, and between the two that are accepted."""
    if version not in known or accepted is None:
        return version in known
    low, high = (known.index(one) for one in accepted)
    return low <= known.index(version) <= high
