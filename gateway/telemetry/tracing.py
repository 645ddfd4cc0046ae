"""Traces for an OpenTelemetry collector, by OTLP over HTTP: a span for each request, and one for each of its steps.

A span names its step, the route's template, the status and the outcome: nothing that was sent. Spans wait in a bounded
queue and leave from a thread of their own; what a collector doesn't take is dropped, and no request waits for it.
Source: https://www.w3.org/TR/trace-context/; https://opentelemetry.io/docs/specs/otlp/.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.observing import TRACE

QUEUE, BATCH = 2048, 512
"""Spans that wait at most, and that leave together."""
EXPORT_WITHIN, FLUSH_WITHIN = 5.0, 3.0
"""How long a collector may take, and how long the end of the gateway waits for it. Units: seconds."""
_SERVER_ERROR = 500
_PROPAGATOR = TraceContextTextMapPropagator()
_SAID = "traceparent"
"""All that is taken of a caller's trace; `tracestate` is free text, and would leave with every span."""


class Tracing:
    """Where spans go.

    Shape: `share` of the requests is traced, from 0 to 1; one that comes with a trace that is not sampled never is.
    """

    def __init__(self, endpoint: str, share: float, *, every: float = 5.0) -> None:
        """Take the full address of a collector's traces. Units: `every` in seconds, how often spans leave."""
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_WITHIN)
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=QUEUE, max_export_batch_size=BATCH, schedule_delay_millis=every * 1000
        )
        self._provider = TracerProvider(
            # whoever sends a header may ask for no more than the share
            sampler=ParentBased(TraceIdRatioBased(share), remote_parent_sampled=TraceIdRatioBased(share)),
            resource=Resource.create({"service.name": "healthcare-exchange-gateway"}),
            span_limits=SpanLimits(max_span_attributes=16, max_events=0, max_links=0),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("gateway")

    @contextlib.contextmanager
    def request(self, method: str, said: Mapping[str, str]) -> Iterator[Traced]:
        """Around a request. Shape: `said` are its headers by name in lower case; the caller tells how it went."""
        parent = _PROPAGATOR.extract({_SAID: said[_SAID]} if _SAID in said else {}, context=Context())
        with self._tracer.start_as_current_span(
            method, parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            traced = Traced(self._tracer, span, method)
            token = TRACE.set(traced if span.is_recording() else _Passing())
            try:
                yield traced
            finally:
                TRACE.reset(token)

    def end(self) -> None:
        """Send what waits, for a bounded time, and end. Errors: none; what a collector doesn't take is lost."""
        flushing = threading.Thread(target=self._processor.force_flush, daemon=True)
        flushing.start()
        flushing.join(FLUSH_WITHIN)
        if flushing.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # what is still under way ends now
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(EXPORT_WITHIN)


@dataclass(frozen=True, slots=True)
class Traced:
    """One request whose steps are timed."""

    tracer: Tracer
    span: Span
    method: str

    def step(self, name: str) -> AbstractContextManager[object]:
        """Around a step."""
        return self.tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)

    def outgoing(self) -> Mapping[str, str]:
        """Headers that name the step that asks."""
        return _headers()

    def ended(self, route: str, status: int, told: Mapping[str, str]) -> None:
        """Say how it went. Shape: `told` are names of the gateway's own, such as its domain and outcome."""
        self.span.update_name(f"{self.method} {route}")
        self.span.set_attribute("http.request.method", self.method)
        self.span.set_attribute("http.route", route)
        self.span.set_attribute("http.response.status_code", status)
        for name, value in told.items():
            self.span.set_attribute(f"gateway.{name}", value)
        if status >= _SERVER_ERROR:
            self.span.set_status(Status(StatusCode.ERROR))


class _Passing:
    """A request that is not traced here, and whose trace targets are told of all the same."""

    def step(self, _name: str) -> AbstractContextManager[object]:
        return contextlib.nullcontext()

    def outgoing(self) -> Mapping[str, str]:
        return _headers()


def _headers() -> Mapping[str, str]:
    found: dict[str, str] = {}
    _PROPAGATOR.inject(found)
    return found
