"""Metrics and traces: what they tell, to whom, and that no patient is in them.

Source: `http-interface.md` of the design, "Operations"; issue "Trust", line 7.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from httpx import Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from gateway import loading
from gateway.guard import faults
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing
from tests.answering import Answering, answering, serving
from tests.running import Running, message, running

PORT = 9464
TRACE_ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WITHIN = 30.0
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def measured(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    """A gateway that keeps metrics."""
    with running(tmp_path / "data", decisions, metrics_port=PORT) as one:
        yield one


def operators(one: Running, path: str, **headers: str) -> Response:
    """The answer on the listener for operators."""
    answer: Response = one.http.get(f"http://localhost:{PORT}{path}", headers=headers)
    return answer


def scraped(one: Running) -> Samples:
    answer = operators(one, "/_metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def test_metrics_count_what_was_done(measured: Running) -> None:
    assert measured.send(message()).status_code == 200
    assert measured.send(message()).status_code == 200
    assert measured.send(b"nonsense").status_code == 400
    assert measured.send(message(), Authorization="Bearer x").status_code == 401
    assert measured.search("/Patient?_id=9990000018").status_code == 200
    assert measured.search("/Patient?_id=9990000018", purpose=None).status_code == 403
    bad = {"grant_type": "client_credentials"}
    assert measured.http.post("/$ingest/auth", data=bad, auth=("demo-engine", "wrong")).status_code == 401
    found = scraped(measured)
    assert value(found, "gateway_requests_total", method="POST", route="/$ingest", status="200") == 2
    assert value(found, "gateway_requests_total", method="GET", route="/{type:resource_type}", status="403") == 1
    assert value(found, "gateway_request_seconds_count", method="POST", route="/$ingest") == 4
    for outcome, number in (("stored", 1), ("repeat", 1)):
        labels = {"domain": "emergency-care", "type": "ADT^A01", "outcome": outcome}
        assert value(found, "gateway_submissions_total", **labels) == number
    assert value(found, "gateway_submissions_total", domain="none", type="none", outcome="unauthorised") == 1
    assert value(found, "gateway_decisions_total", action="ingest", domain="emergency-care", effect="permit") == 2
    assert value(found, "gateway_decisions_total", action="search", domain="", effect="deny") == 1
    assert value(found, "gateway_tokens_total", outcome="issued") == 2
    assert value(found, "gateway_tokens_total", outcome="invalid_client") == 1
    assert value(found, "gateway_exchanges_total", target="record", outcome="answered") > 0
    assert value(found, "gateway_journal_commit_seconds_count") > 0
    assert value(found, "gateway_journal_batch_operations_sum") > 0
    assert value(found, "gateway_ready") == 1
    assert value(found, "gateway_rules_current") == 1
    assert value(found, "gateway_target_state", target="record", state="closed") == 1


def test_metrics_tell_what_waits(tmp_path: Path, decisions: loading.Decisions) -> None:
    blocked = tmp_path / "data" / "bed-board"
    blocked.parent.mkdir()
    blocked.write_text("a file where the folder should be")
    with running(tmp_path / "data", decisions, metrics_port=PORT) as one:
        assert one.send(message()).status_code == 202
        found = scraped(one)
    assert value(found, "gateway_queue_items", target="bed-board", state="queued") == 1
    assert ("gateway_queue_oldest_seconds", frozenset({("target", "bed-board"), ("state", "queued")})) in found


def test_metrics_are_on_the_listener_for_operators_alone(measured: Running) -> None:
    assert measured.http.get("/_metrics").status_code == 404
    assert operators(measured, "/_health/live").status_code == 200
    for path in ("/metadata", "/Patient/1", "/$ingest", "/rules", "/openapi.json"):
        assert operators(measured, path).status_code == 404
    assert operators(measured, "/_metrics", Host="localhost:8000").status_code == 200
    assert measured.http.get("/_metrics", headers={"Host": f"localhost:{PORT}"}).status_code == 404


def test_without_the_setting_there_are_no_metrics(gateway: Running) -> None:
    assert gateway.http.get("/_metrics").status_code == 404
    assert operators(gateway, "/_metrics").status_code == 404


def test_labels_do_not_grow_with_what_is_sent(measured: Running) -> None:
    assert measured.send(message()).status_code == 200
    measured.search("/Patient?_id=9990000018")
    measured.http.get("/nowhere")
    before = set(scraped(measured))
    for number in range(6):
        measured.send(message(control_id=f"GROW-{number}", kind=f"ADT^Z{number:02}"))
        measured.send(message(control_id=f"GROW-{number}", visit=f"GROW-{number}"))
        measured.search(f"/Patient/grow-{number}")
        measured.search(f"/Patient?identifier=grow-{number}")
        measured.search(f"/Grow{'x' * number}")
        measured.http.get(f"/grow/{number}")
        measured.http.request(f"GROW{number}", "/metadata")
        measured.http.post("/$ingest/auth", data={"grant_type": f"grow-{number}"})
        measured.send(b"", source_domain=f"grow-{number}", organisation_code=f"grow{number}")
    after = set(scraped(measured))
    text = operators(measured, "/_metrics").text
    assert "grow" not in text.lower().replace("growth", "")
    assert len(after) - len(before) < 60, sorted(after - before)


def test_the_dashboard_shows_metrics_that_there_are(repository: Path) -> None:
    metrics = Metrics()
    there: set[str] = set()
    for family in metrics.registry.collect():
        kinds = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        there.update(f"{family.name}{kind}" for kind in kinds)
    board = json.loads((repository / "gateway" / "telemetry" / "dashboard.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    named = {name for expression in asked for name in re.findall(r"gateway_[a-z_]+", expression)}
    assert len(asked) >= 12
    assert named <= there, named - there
    bases = {name.removesuffix("_total") for name in there}
    shown = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in named}
    unshown = {re.sub(r"_(bucket|sum|count)$", "", base) for base in bases} - shown
    assert not unshown, f"no panel shows {sorted(unshown)}"


def test_every_code_of_the_guard_is_its_own() -> None:
    codes = [fault.rule for fault in faults.ALL]
    assert len(codes) == len(set(codes))


# --- traces ---


class Collector(ThreadingHTTPServer):
    """A collector of OTLP that keeps what it gets, or answers with a status of its own."""

    def __init__(self, status: int = 200, delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.delay = status, delay
        self.raw: list[bytes] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    @property
    def spans(self) -> list[Span]:
        found = []
        for raw in self.raw:
            for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
                for scope in resource.scope_spans:
                    found.extend(scope.spans)
        return found


class _Handler(Answering):
    server: Collector

    def respond(self, sent: bytes) -> None:
        time.sleep(self.server.delay)
        self.server.raw.append(sent)
        self.answer(b"", self.server.status)


@contextmanager
def collecting(status: int = 200, delay: float = 0.0) -> Iterator[Collector]:
    collector = Collector(status, delay)
    with serving(collector), pytest.MonkeyPatch.context() as patched:
        patched.setenv("NO_PROXY", "127.0.0.1")
        yield collector


def until(held: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN
    while not held():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_trace_has_the_steps_of_an_ingest_and_of_a_search(tmp_path: Path, decisions: loading.Decisions) -> None:
    with collecting() as collector:
        with running(tmp_path / "data", decisions, trace_endpoint=collector.endpoint) as one:
            headers = {"traceparent": f"00-{TRACE_ID}-{PARENT}-01"}
            assert one.send(message(), **headers).status_code == 200
            assert one.search("/Patient?_id=9990000018").status_code == 200
        spans = collector.spans
    (ingest,) = [span for span in spans if span.name == "POST /$ingest"]
    assert ingest.trace_id.hex() == TRACE_ID
    assert ingest.parent_span_id.hex() == PARENT
    told = {one.key: one.value for one in ingest.attributes}
    assert told["http.response.status_code"].int_value == 200
    assert told["gateway.outcome"].string_value == "stored"
    steps = [span.name for span in spans if span.trace_id == ingest.trace_id and span is not ingest]
    for name in ("authenticate", "read", "decide", "claim", "convert", "deliver", "settle", "ask record"):
        assert name in steps
    (search,) = [span for span in spans if span.name == "GET /{type:resource_type}"]
    of_search = [span.name for span in spans if span.trace_id == search.trace_id]
    for name in ("authenticate", "plan", "decide", "search", "audit", "ask record"):
        assert name in of_search
    by_id = {span.span_id: span for span in spans}
    (asked, *_) = [span for span in spans if span.trace_id == ingest.trace_id and span.name == "ask record"]
    assert by_id[asked.parent_span_id].name == "deliver"


def test_a_target_is_told_of_the_trace(tmp_path: Path, decisions: loading.Decisions) -> None:
    seen: list[dict[str, str]] = []

    class Engine(Answering):
        def respond(self, sent: bytes) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            control = sent.split(b"|")[9]
            answer = b"MSH|^~\\&|E|E|G|G|20261122||ACK|1|P|2.4\rMSA|AA|" + control + b"\r"
            self.answer(answer, media_type="text/plain")

    with answering(Engine) as engine, collecting() as collector:
        targets = {"bed-board": f"{engine}/"}
        with running(tmp_path / "data", decisions, trace_endpoint=collector.endpoint, targets=targets) as one:
            assert one.send(message(), traceparent=f"00-{TRACE_ID}-{PARENT}-01").status_code == 200
            untraced = "0" * 31 + "1"
            sent = one.send(message(control_id="C-2"), traceparent=f"00-{untraced}-{PARENT}-00")
            assert sent.status_code == 200
        spans = collector.spans
    first, second = (one["traceparent"].split("-") for one in seen)
    (asked,) = [span for span in spans if span.name == "ask bed-board"]
    assert first[1:3] == [TRACE_ID, asked.span_id.hex()]
    assert second[1] == untraced
    assert second[3] == "00"
    assert not [span for span in spans if span.trace_id.hex() == untraced]


def test_of_a_callers_trace_no_free_text_is_taken() -> None:
    with collecting() as collector:
        tracing = Tracing(collector.endpoint, 1.0, every=0.1)
        said = {"traceparent": f"00-{TRACE_ID}-{PARENT}-01", "tracestate": "exchange=MARLOW"}
        with tracing.request("GET", said) as traced:
            assert set(traced.outgoing()) == {"traceparent"}
            traced.ended("/x", 200, {})
        until(lambda: bool(collector.spans))
        tracing.end()
        (span,) = collector.spans
    assert span.trace_id.hex() == TRACE_ID
    assert span.trace_state == ""


def test_a_caller_that_asks_for_a_trace_gets_no_more_than_the_share() -> None:
    tracing = Tracing("http://127.0.0.1:9/v1/traces", 0.0, every=3600)
    with tracing.request("GET", {"traceparent": f"00-{TRACE_ID}-{PARENT}-01"}) as traced:
        assert not traced.span.is_recording()
        assert traced.outgoing()["traceparent"].startswith(f"00-{TRACE_ID}-")
    tracing.end()


@pytest.mark.parametrize("said", ["", "00-zz", f"00-{TRACE_ID}", f"00-{'0' * 32}-{PARENT}-01", "x" * 5000])
def test_a_header_that_is_no_trace_begins_a_new_one(said: str) -> None:
    with collecting() as collector:
        tracing = Tracing(collector.endpoint, 1.0, every=0.1)
        with tracing.request("GET", {"traceparent": said}) as traced:
            traced.ended("/x", 200, {})
        until(lambda: bool(collector.spans))
        tracing.end()
        (span,) = collector.spans
    assert span.parent_span_id == b""
    assert span.trace_id.hex() != TRACE_ID


@pytest.mark.parametrize(("status", "delay"), [(500, 0.0), pytest.param(200, 60.0, marks=pytest.mark.interop)])
def test_a_collector_that_fails_hurts_nobody(
    tmp_path: Path, decisions: loading.Decisions, status: int, delay: float
) -> None:
    started = time.monotonic()
    collector = Collector(status, delay)
    collector.daemon_threads, collector.block_on_close = True, False
    with serving(collector), running(tmp_path / "data", decisions, trace_endpoint=collector.endpoint) as one:
        for number in range(5):
            assert one.send(message(control_id=f"C-{number}", visit=f"V-{number}")).status_code == 200
    assert time.monotonic() - started < 40, "the gateway waited for the collector"


@pytest.mark.interop
def test_spans_that_nobody_takes_are_dropped_not_kept() -> None:
    tracing = Tracing("http://127.0.0.1:9/v1/traces", 1.0, every=3600)
    for _ in range(2500):
        with tracing.request("GET", {}) as traced:
            traced.ended("/x", 200, {})
    kept = len(tracing._processor._batch_processor._queue)
    tracing.end()
    assert kept <= 2048


def test_nothing_is_imported_that_settings_do_not_ask_for(repository: Path) -> None:
    modules = "[name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus'))]"
    code = f"import sys, gateway.app, gateway.assemble, gateway.serve; print({modules})"
    said = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
