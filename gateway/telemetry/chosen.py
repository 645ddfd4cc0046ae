"""What watches a gateway, by its settings. Whatever they don't ask for is not even imported: that takes 0.1 s each."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config import Settings
from gateway.observing import UNWATCHED, Watch


@asynccontextmanager
async def watching(settings: Settings, worker: int | None = None) -> AsyncIterator[Watch]:
    """Whoever watches a gateway with these settings, until it ends. Shape: `worker` of several processes."""
    kept = tracer = None
    if settings.metrics_port is not None:
        kept = importlib.import_module("gateway.telemetry.metrics").Metrics(worker)
    if settings.trace_endpoint is not None:
        sent = importlib.import_module("gateway.telemetry.tracing").Tracing
        tracer = sent(settings.trace_endpoint, settings.trace_share)
    try:
        yield Watch(kept or UNWATCHED.counts, kept, tracer)
    finally:
        if tracer is not None:
            await asyncio.to_thread(tracer.end)
