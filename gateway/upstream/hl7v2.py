"""An engine as a target: the message by POST, its acknowledgement as the answer.

Source: `http-interface.md` of the design, "Targets"; HL7 v2.5.1 chapter 2.9 for MSA-1.
"""

from __future__ import annotations

import json
from typing import Any

import httpx

from gateway import fhir, hl7v2
from gateway.upstream.answer import Answer, TargetDown
from gateway.upstream.breaker import Breaker
from gateway.upstream.exchange import Exchange, Sender

_HEADERS = {"content-type": "text/plain", "accept": "text/plain"}
_TAKEN = frozenset({"AA", "CA"})
_REFUSED = frozenset({"AE", "AR", "CE", "CR"})


class Hl7v2Target:
    """One engine that takes HL7 v2 over HTTP."""

    def __init__(self, name: str, sender: Sender, address: str, breaker: Breaker | None = None) -> None:
        """Hold what sends, which this object closes."""
        self.name = name
        self._exchange = Exchange(name, sender, breaker=breaker)
        self._address = str(httpx.URL(address))

    async def deliver(self, raw: bytes, receipt: str) -> Answer:  # noqa: ARG002 - targets share the call
        """Send a message once.

        Shape: 200 for AA and CA, 422 for AE, AR, CE and CR with an OperationOutcome in the engine's words.
        Errors: TargetDown for anything else, and for the acknowledgement of another message.
        """
        answer = await self._exchange.ask("POST", self._address, _HEADERS, raw, again=False)
        told = hl7v2.read_acknowledgement(answer.body)
        if told is None:
            raise TargetDown(self.name, f"it answered {answer.status} without an acknowledgement")
        sent = hl7v2.read(raw).control_id
        if told.control_id and sent and told.control_id != sent:
            raise TargetDown(self.name, "it acknowledged another message")
        if told.code in _TAKEN:
            return Answer(200, {}, answer.body)
        if told.code in _REFUSED:
            return Answer(422, {"content-type": "application/fhir+json"}, _outcome(told))
        raise TargetDown(self.name, "its acknowledgement says neither accepted nor refused")

    @property
    def breaker_state(self) -> str:
        """State of its breaker: `closed`, `open` or `half open`."""
        return self._exchange.breaker_state

    async def ready(self) -> None:
        """Nothing can be asked of an engine without sending it a message."""

    async def aclose(self) -> None:
        """Close its connections."""
        await self._exchange.aclose()


def _outcome(told: hl7v2.Acknowledged) -> bytes:
    """The engine's words as an OperationOutcome; another gateway's MSA-3 is one already."""
    text = told.text or f"{told.code} without words"
    try:
        sent: Any = json.loads(text)
    except (ValueError, RecursionError):
        sent = None
    if isinstance(sent, dict) and sent.get("resourceType") == "OperationOutcome":
        return text.encode()
    issue = {"severity": "error", "code": "processing", "diagnostics": fhir.clean(text)}
    return fhir.dump({"resourceType": "OperationOutcome", "issue": [issue]})
