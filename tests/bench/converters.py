"""Our reader, validator and converter beside others, over the shared corpora, in one run.

Others are measured where an interpreter that has them is named by GATEWAY_BENCH_PEERS (the python of a venv with
`hl7==0.4.5 hl7apy==1.3.5 brightohir==2.1.2 hl7v2-fhir-bridge==0.1.0`), else by this one, which has hl7apy alone.

Run alone: `python -m tests.bench.converters`.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway import fhir, hl7v2, loading, mapping, specs
from gateway.finding import refuses
from gateway.mapping import Context
from tests.traffic import ROOT

SHARED = ROOT.parent / "shared"
FOLDERS = ("microsoft", "reportstream")
ROUNDS = 5
BAR, SLOWEST = 2_500, 10
STEPS = ("read", "validate", "convert", "serialise")


@dataclass(frozen=True, slots=True)
class Figure:
    """One message. Units: bytes; seconds of CPU of each of `STEPS`, the least of the rounds."""

    type: str
    size: int
    steps: tuple[float, ...]


def messages(shared: Path = SHARED) -> list[bytes]:
    """The corpora's messages, else our own samples."""
    files = [path for folder in FOLDERS for path in sorted((shared / "corpus" / folder).glob("*.hl7"))]
    return [path.read_bytes() for path in files or sorted((ROOT / "rules" / "samples").rglob("accepted-*.hl7"))]


def measured(raws: Sequence[bytes], rounds: int = ROUNDS) -> Iterator[Figure]:
    """Each message that is converted, step by step."""
    names = loading.vocabulary(specs.ROOT)
    maps = mapping.load(specs.ROOT, names).maps
    conformance = names.conformance
    if maps is None or conformance is None:
        raise RuntimeError("the maps have errors: see gateway specs check")
    context = Context("R0D", "bench", datetime(2026, 5, 16, tzinfo=UTC), "receipt", "rules")
    for raw in raws:
        message = hl7v2.read(raw)
        made = maps.convert(message, context)
        if refuses(message.findings) or not made.drafts:
            continue
        yield Figure(message.type or "", len(raw), (
            _least(lambda: hl7v2.read(raw).findings, rounds),  # noqa: B023 - called before the next message
            _least(lambda: list(conformance.departures(hl7v2.read(raw))), rounds),  # noqa: B023
            _least(lambda: maps.convert(hl7v2.read(raw), context), rounds),  # noqa: B023
            _least(lambda: fhir.dump(fhir.transaction([fhir.entry_put(d.resource) for d in made.drafts])), rounds),  # noqa: B023
        ))  # fmt: skip


def _least(work: Callable[[], object], rounds: int) -> float:
    """Units: seconds of CPU."""
    gc.disable()
    try:
        best = float("inf")
        for _ in range(rounds):
            began = time.process_time()
            work()
            best = min(best, time.process_time() - began)
    finally:
        gc.enable()
    return best


def others(raws: Sequence[bytes], rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """What others took for the same messages."""
    interpreter = os.environ.get("GATEWAY_BENCH_PEERS", sys.executable)
    request = {"messages": [base64.b64encode(raw).decode() for raw in raws], "rounds": rounds}
    script = Path(__file__).with_name("other_converters.py")
    sent = json.dumps(request).encode()
    done = subprocess.run([interpreter, "-I", script], input=sent, stdout=subprocess.PIPE, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def section(figures: Sequence[Figure], peers: Sequence[dict[str, Any]], count: int) -> list[str]:
    """Figures as Markdown. Shape: `count` is how many messages there were."""
    medians = [statistics.median(one.steps[step] for one in figures) for step in range(len(STEPS))]
    # reading stands in judging and converting too, so it is counted once
    whole = [sum(one.steps) - 2 * one.steps[0] for one in figures]
    median = statistics.median(whole)
    by_type: dict[str, list[float]] = {}
    for one, seconds in zip(figures, whole, strict=True):
        by_type.setdefault(one.type, []).append(seconds)
    slowest, seconds = max(((kind, statistics.median(each)) for kind, each in by_type.items()), key=lambda one: one[1])
    size = statistics.median(one.size for one in figures)
    rows = [f"| {name} | {1 / each:,.0f} |" for name, each in zip(STEPS, medians, strict=True)]
    beside = [f"| {p['name']} {p['version']} | {p['what']} | {_rate(p['median'])} | {p['done']} |" for p in peers]
    return [
        "", "## Converters side by side", "",
        f"{count} messages of the shared corpora, of which {len(figures)} are converted (median {size:,.0f} bytes);",
        "messages a second of one core's time at the median message.", "",
        "| ours | a second |", "|---|---|", *rows,
        f"| read, validate, convert, serialise | {1 / median:,.0f} (bar {BAR:,}) |", "",
        f"Slowest of {len(by_type)} types: {slowest}, {seconds / median:.1f} times the median (bar {SLOWEST}).",
        "Judging and converting hold the reading of the message.", "",
        "| other | does | a second | of the messages |", "|---|---|---|---|", *beside,
    ]  # fmt: skip


def _rate(median: float | None) -> str:
    return f"{1 / median:,.0f}" if median else "none"


def measure(rounds: int = ROUNDS) -> list[str]:
    """Measure all of it."""
    raws = messages()
    return section(list(measured(raws, rounds)), others(raws, rounds), len(raws))


if __name__ == "__main__":
    print("\n".join(measure()))  # noqa: T201 - the figures are the point
