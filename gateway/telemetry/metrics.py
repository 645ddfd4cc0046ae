"""Metrics for Prometheus. Labels hold names of rules, specs and code alone, so their number is bounded.

Source: https://prometheus.io/docs/practices/naming/; `http-interface.md` of the design, "Operations".
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gateway.observing import Counts, Now

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ANSWER = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
_COMMIT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)
_BATCH = (1, 2, 4, 8, 16, 32, 64)


class Metrics(Counts):
    """Everything that is counted, of one gateway."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, worker: int | None = None) -> None:
        """Begin at nothing. Shape: `worker` of several processes, each with metrics of its own."""
        which = None if worker is None else {"worker": str(worker)}
        self.registry = registry = CollectorRegistry(target_info=which)
        self._requests = Counter(
            "gateway_requests", "Requests answered", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "gateway_request_seconds", "Time to answer", ("method", "route"), buckets=_ANSWER, registry=registry
        )
        self._decisions = Counter(
            "gateway_decisions", "Decisions of the rules", ("action", "domain", "effect"), registry=registry
        )
        self._errors = Counter(
            "gateway_decision_errors", "Decisions in which a rule could not be decided", ("action", "domain"),
            registry=registry,
        )  # fmt: skip
        self._submissions = Counter(
            "gateway_submissions", "Submissions answered", ("domain", "type", "outcome"), registry=registry
        )
        self._exchanges = Counter("gateway_exchanges", "Targets asked", ("target", "outcome"), registry=registry)
        self._exchange_seconds = Histogram(
            "gateway_exchange_seconds", "Time until a target answered", ("target",), buckets=_ANSWER, registry=registry
        )
        self._commits = Histogram(
            "gateway_journal_commit_seconds", "Time of a commit of the journal", buckets=_COMMIT, registry=registry
        )
        self._batches = Histogram(
            "gateway_journal_batch_operations", "Operations written together", buckets=_BATCH, registry=registry
        )
        self._tokens = Counter("gateway_tokens", "Tokens asked for", ("outcome",), registry=registry)
        self._refusals = Counter("gateway_connections_refused", "Refused by a guard", ("rule",), registry=registry)
        self._queue = Gauge("gateway_queue_items", "Deliveries that wait, or are dead", ("target", "state"),
                            registry=registry)  # fmt: skip
        self._oldest = Gauge("gateway_queue_oldest_seconds", "Age of the oldest of them", ("target", "state"),
                             registry=registry)  # fmt: skip
        self._breakers = Gauge("gateway_target_state", "1 for the state of a target's breaker", ("target", "state"),
                               registry=registry)  # fmt: skip
        self._ready = Gauge("gateway_ready", "1 where the journal can be written and the queue runs", registry=registry)
        self._rules = Gauge("gateway_rules_info", "1 for the rules that are served", ("digest",), registry=registry)
        self._loaded = Gauge("gateway_rules_current", "1 where these are the files' rules, 0 where those have errors",
                             registry=registry)  # fmt: skip

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        named = method if method in METHODS else "other"
        self._requests.labels(named, route, status).inc()
        self._seconds.labels(named, route).observe(seconds)

    def decided(self, action: str, domain: str, effect: str, *, erred: bool) -> None:
        """Count a decision."""
        self._decisions.labels(action, domain, effect).inc()
        if erred:
            self._errors.labels(action, domain).inc()

    def submitted(self, domain: str, type_: str, outcome: str) -> None:
        """Count a submission."""
        self._submissions.labels(domain, type_, outcome).inc()

    def asked(self, target: str, outcome: str, seconds: float) -> None:
        """Count an exchange with a target."""
        self._exchanges.labels(target, outcome).inc()
        self._exchange_seconds.labels(target).observe(seconds)

    def committed(self, operations: int, seconds: float) -> None:
        """Count a commit."""
        self._commits.observe(seconds)
        self._batches.observe(operations)

    def issued(self, outcome: str) -> None:
        """Count a token, or its refusal."""
        self._tokens.labels(outcome).inc()

    def turned_away(self, rule: str) -> None:
        """Count a refused connection."""
        self._refusals.labels(rule).inc()

    def exposition(self, now: Now) -> bytes:
        """Everything as text. Source: https://prometheus.io/docs/instrumenting/exposition_formats/."""
        for gauge in (self._queue, self._oldest, self._breakers, self._rules):
            gauge.clear()
        for target, state, count, age in now.queues:
            self._queue.labels(target, state).set(count)
            self._oldest.labels(target, state).set(age)
        for target, state in now.breakers:
            self._breakers.labels(target, state).set(1)
        self._ready.set(now.ready)
        self._rules.labels(now.digest).set(1)
        self._loaded.set(now.current)
        return generate_latest(self.registry)
