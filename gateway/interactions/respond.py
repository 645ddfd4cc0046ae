"""Answers that are not acknowledgements: FHIR resources and OperationOutcomes, never cached."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime

from starlette.responses import Response

from gateway import fhir
from gateway.finding import Finding

FHIR_JSON = "application/fhir+json; charset=utf-8"
NO_STORE = {"Cache-Control": "no-store"}


def resource(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a FHIR resource, as bytes."""
    return Response(body, status, {**NO_STORE, **(headers or {})}, media_type=FHIR_JSON)


def outcome(
    findings: tuple[Finding, ...], status: int, now: datetime, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with an OperationOutcome."""
    return resource(outcome_body(findings, now), status, headers)


def outcome_body(findings: tuple[Finding, ...], now: datetime) -> bytes:
    """OperationOutcome in JSON.

    Source: https://hl7.org/fhir/R4/operationoutcome.html
    """
    return fhir.dump(fhir.operation_outcome(findings, id=str(uuid.uuid4()), last_updated=instant(now)))


def instant(moment: datetime) -> str:
    """FHIR instant of a moment, with milliseconds."""
    return moment.isoformat(timespec="milliseconds")
