"""Conversion without a server: a file of HL7 v2 becomes a transaction Bundle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gateway import fhir, hl7v2
from gateway.finding import Finding, refuses
from gateway.mapping import Context, Maps


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of one file.

    Shape: `bundle` is None where a finding refuses it.
    """

    bundle: bytes | None
    findings: tuple[Finding, ...]


def convert(raw: bytes, maps: Maps, *, organisation: str | None, rules_digest: str) -> Converted:
    """Convert one message as a gateway would, for an organisation that is its MSH-4 unless one is given."""
    message = hl7v2.read(raw)
    if refuses(message.findings):
        return Converted(None, message.findings)
    context = Context(
        organisation=(organisation or message.text("MSH", 4) or "unknown").upper(),
        domain="offline",
        received=datetime.now(UTC),
        receipt="offline",
        rules_digest=rules_digest,
    )
    conversion = maps.convert(message, context)
    if refuses(conversion.findings):
        return Converted(None, conversion.findings)
    bundle = fhir.transaction([fhir.entry_put(draft.resource) for draft in conversion.drafts])
    return Converted(fhir.dump(bundle), conversion.findings)
