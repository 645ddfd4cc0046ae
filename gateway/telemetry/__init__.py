"""Metrics and traces for operators: each is imported where the settings ask for it, and costs nothing elsewhere.

`metrics.py` keeps what `gateway/observing.py` is told, for Prometheus; `tracing.py` sends traces to an OpenTelemetry
collector; `chosen.py` imports what the settings ask for; `dashboard.json` is a dashboard for Grafana of these metrics.
"""
