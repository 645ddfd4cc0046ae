"""Answers that are not acknowledgements: FHIR resources and OperationOutcomes, never cached."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from starlette.responses import Response

from gateway import fhir
from gateway.finding import Finding

FHIR_JSON = "application/fhir+json; charset=utf-8"
MAX_ISSUES = 200
MAX_BYTES = 256 * 1024
NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What an interaction answers, whether it was asked alone or by an entry of a Bundle.

    Shape: `body` is a resource in JSON, None where none is sent; `headers` are those of this answer alone; `pretty`
    asks for indented JSON.
    """

    status: int
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    pretty: bool = False


def reply(told: Reply) -> Response:
    """A reply over HTTP."""
    if told.body is None:
        return Response(None, told.status, {**NO_STORE, **told.headers})
    body = fhir.pretty(fhir.load(told.body)) if told.pretty else told.body
    return resource(body, told.status, told.headers)


def resource(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a FHIR resource, as bytes."""
    return _Fhir(body, status, headers)


class _Fhir(Response):
    """An answer in FHIR's JSON, never cached; what is the same for all is not made anew for each."""

    media_type = FHIR_JSON

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """The headers as they are sent: those of all such answers, then this one's."""
        own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
        names = {name for name, _ in own}
        usual = [one for one in _HEADERS if one[0] not in names] if names else _HEADERS
        self.raw_headers = [*usual, *own, (b"content-length", b"%d" % len(self.body))]


_HEADERS = (
    *((name.lower().encode(), value.encode()) for name, value in NO_STORE.items()),
    (b"content-type", FHIR_JSON.encode()),
)


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


def whole_outcome(findings: tuple[Finding, ...], now: datetime) -> fhir.Resource:
    """OperationOutcome of a submission in JSON: it need not fit into an acknowledgement, so more is told."""
    return fhir.operation_outcome(
        findings, id=str(uuid.uuid4()), last_updated=instant(now), max_issues=MAX_ISSUES, max_bytes=MAX_BYTES
    )


def instant(moment: datetime) -> str:
    """FHIR instant of a moment, with milliseconds."""
    return moment.isoformat(timespec="milliseconds")
