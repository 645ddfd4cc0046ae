"""Our reader, validator and converter beside others, over the shared corpora, in one run.

Others are measured where an interpreter that has them is named by GATEWAY_BENCH_PEERS (the python of a venv with
`hl7==0.4.5 hl7apy==1.3.5 brightohir==2.1.2 hl7v2-fhir-bridge==0.1.0`), else by this one, which has hl7apy alone; and
LinuxForHealth's converter on a JVM, where there is one and Maven can fetch it. What is not there is told, with why.

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
from tests.bench.linuxforhealth import launch as linuxforhealth
from tests.peers import NotHere
from tests.traffic import ROOT

SHARED = ROOT.parent / "shared"
FOLDERS = ("microsoft", "reportstream")
ROUNDS = 5
BAR, SLOWEST = 2_500, 10
STEPS = ("read", "validate", "convert", "serialise")
SHOWN = 5
"""How many of the slowest types are listed."""


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
    """What others took for the same messages. Shape: one that is not there has `missing`, the reason."""
    interpreter = os.environ.get("GATEWAY_BENCH_PEERS", sys.executable)
    request = {"messages": [base64.b64encode(raw).decode() for raw in raws], "rounds": rounds}
    script = Path(__file__).with_name("other_converters.py")
    sent = json.dumps(request).encode()
    done = subprocess.run([interpreter, "-I", script], input=sent, stdout=subprocess.PIPE, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    try:
        return [*found, linuxforhealth.measured(raws, rounds)]
    except NotHere as reason:
        missing = {"name": linuxforhealth.NAME, "version": linuxforhealth.VERSION, "what": linuxforhealth.WHAT}
        return [*found, {**missing, "missing": str(reason)}]


def spread(figures: Sequence[Figure]) -> list[tuple[str, int, float]]:
    """Each type with its messages and the median of their times, the slowest first. Units: seconds of CPU."""
    by_type: dict[str, list[float]] = {}
    for one in figures:
        by_type.setdefault(one.type, []).append(_whole(one))
    found = [(kind, len(each), statistics.median(each)) for kind, each in by_type.items()]
    return sorted(found, key=lambda one: -one[2])


def _whole(one: Figure) -> float:
    """Reading stands in judging and converting too, so that it is counted once."""
    return sum(one.steps) - 2 * one.steps[0]


def section(figures: Sequence[Figure], peers: Sequence[dict[str, Any]], count: int) -> list[str]:
    """Figures as Markdown. Shape: `count` is how many messages there were."""
    medians = [statistics.median(one.steps[step] for one in figures) for step in range(len(STEPS))]
    median = statistics.median(map(_whole, figures))
    size = statistics.median(one.size for one in figures)
    rows = [f"| {name} | {1 / each:,.0f} |" for name, each in zip(STEPS, medians, strict=True)]
    return [
        "", "## Converters side by side", "",
        f"{count} messages of the shared corpora, of which {len(figures)} are converted (median {size:,.0f} bytes);",
        "messages a second of one core's time at the median message.", "",
        "| ours | a second |", "|---|---|", *rows,
        f"| read, validate, convert, serialise | {1 / median:,.0f} (bar {BAR:,}) |", "",
        "Judging and converting hold the reading of the message.", "",
        *_types(spread(figures), median),
        "| other | does | a second | of the messages |", "|---|---|---|---|", *map(_beside, peers), "",
        "Each at the median of the messages that it takes. A JVM's figure is of the thread that converts, after a",
        "warming-up; collecting garbage and compiling go on beside it.",
    ]  # fmt: skip


def _types(found: Sequence[tuple[str, int, float]], median: float) -> Iterator[str]:
    slowest, _, seconds = found[0]
    held = "held" if seconds <= SLOWEST * median else "NOT HELD"
    yield f"Slowest of {len(found)} types: {slowest}, {seconds / median:.1f} times the median (bar {SLOWEST}, {held})."
    yield from ("", "| type | messages | a second | times the median |", "|---|---|---|---|")
    middle, fastest = found[len(found) // 2], found[-1]
    for kind, number, each in dict.fromkeys((*found[:SHOWN], middle, fastest)):
        yield f"| {kind} | {number} | {1 / each:,.0f} | {each / median:.2f} |"
    yield ""


def _beside(peer: dict[str, Any]) -> str:
    name = f"| {peer['name']} {peer['version']} | {peer['what']} |"
    if "missing" in peer:
        return f"{name} not measured: {' '.join(peer['missing'].split())[:160].replace('|', chr(92) + '|')} | |"
    return f"{name} {_rate(peer['median'])} | {peer['done']} |"


def _rate(median: float | None) -> str:
    return f"{1 / median:,.0f}" if median else "none"


def measure(rounds: int = ROUNDS) -> list[str]:
    """Measure all of it."""
    raws = messages()
    return section(list(measured(raws, rounds)), others(raws, rounds), len(raws))


if __name__ == "__main__":
    print("\n".join(measure()))  # noqa: T201 - the figures are the point
