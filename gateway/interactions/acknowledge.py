"""Answers to `$ingest`: an acknowledgement for HL7 v2, an OperationOutcome for what isn't.

Source: `http-interface.md` of the design, "What comes back for Hl7v2".
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from gateway import fhir
from gateway.documents.outcomes import BY_NAME
from gateway.finding import Finding
from gateway.hl7v2 import Message, acknowledge
from gateway.interactions.gateway import Gateway
from gateway.interactions.refused import Reason
from gateway.interactions.respond import FHIR_JSON, outcome_body, whole_outcome
from gateway.journal import Answer

ACKNOWLEDGEMENT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sender:
    """What an acknowledgement repeats of the request: headers as sent, and the message as far as it was read."""

    data_type: str
    domain: str
    organisation: str
    message: Message | None = None


def answer(
    gateway: Gateway, sender: Sender, reason: Reason, findings: tuple[Finding, ...], location: str | None = None
) -> Answer:
    """Answer for an outcome of `$ingest`.

    Shape: an acknowledgement for `data-type: Hl7v2`, by the domain's profile; else an OperationOutcome.
    """
    now = gateway.clock()
    outcome = BY_NAME[reason]
    if sender.data_type != "Hl7v2":
        return Answer(outcome.http_status, FHIR_JSON, fhir.dump(whole_outcome(findings, now)), location)
    domain = gateway.rules.domains.get(sender.domain)
    profile = "http-status" if domain is None else domain.acknowledge
    with_outcome = domain is None or domain.outcome
    body = acknowledge(
        sender.message,
        code=outcome.code,
        domain=sender.domain,
        organisation=sender.organisation,
        application=gateway.settings.application,
        facility=gateway.settings.facility,
        outcome=outcome_body(findings, now).decode() if with_outcome else None,
        findings=findings,
        id=str(uuid.uuid4()),
        now=now,
    )
    return Answer(outcome.status(profile), ACKNOWLEDGEMENT, body, location)
