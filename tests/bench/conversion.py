"""Conversion by type: samples read, judged by the rules, converted and written as JSON, without HTTP and store.

Run alone: `python -m tests.bench.conversion`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway import fhir, hl7v2, loading, samples
from gateway.rules import Facts
from gateway.sampling import Sampler
from tests.traffic import ROOT

DIFFERENT = 20
SECONDS, ROUNDS = 0.5, 5
RULES, SPECS = ROOT / "rules", ROOT / "specs"


@dataclass(frozen=True, slots=True)
class Figure:
    """One type. Units: bytes of a submission; submissions a second of one core's time."""

    domain: str
    type: str
    size: int
    rate: float


def measured(seconds: float = SECONDS, rounds: int = ROUNDS, kinds: Sequence[str] = ()) -> list[Figure]:
    """Every type that a domain accepts, or those of `kinds`: the median of the rounds."""
    return [_one(sampler, seconds, rounds) for sampler in samplers(loading.decisions(RULES, SPECS), kinds)]


def samplers(loaded: loading.Decisions, kinds: Sequence[str] = ()) -> Iterator[Sampler]:
    """What makes samples of each accepted type."""
    for domain in loaded.rules.domains.values():
        for accept in domain.accepts:
            for kind in accept.types:
                if not kinds or kind in kinds:
                    yield samples.sampler(loaded, SPECS, domain.name, kind)


def _one(sampler: Sampler, seconds: float, rounds: int) -> Figure:
    bodies = [sampler.one(1, index).body for index in range(DIFFERENT)]
    for body in bodies:
        if not sampler.judge(body).accepted:
            raise RuntimeError(f"{sampler.type} is refused")
    rates = [_round(sampler, bodies, seconds) for _ in range(rounds)]
    size = round(statistics.mean(map(len, bodies)))
    return Figure(sampler.domain.name, sampler.type, size, statistics.median(rates))


def _round(sampler: Sampler, bodies: Sequence[bytes], seconds: float) -> float:
    count, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for body in bodies:
            fhir.dump(list(sampler.judge(body).made))
        count += len(bodies)
    return count / spent


def submissions(loaded: loading.Decisions) -> list[Facts]:
    """Facts of messages of every type and domain, each read already, for decisions to be measured by."""
    now = datetime.now(UTC)
    found = []
    for sampler in samplers(loaded):
        if sampler.data_type == "Hl7v2":
            caller, organisation = samples.sender(loaded.rules, sampler.domain.name, sampler.type, None)
            found += [
                Facts(
                    action="ingest", caller=caller, environment="production", now=now, today=now.date(),
                    domain=sampler.domain.name, organisation=organisation, data_type="Hl7v2", type=sampler.type,
                    message=hl7v2.read(sampler.one(1, index).body), received=now,
                )
                for index in range(2)
            ]  # fmt: skip
    return found


def section(figures: Sequence[Figure]) -> list[str]:
    """Figures as Markdown."""
    rows = [f"| {f.domain} | {f.type} | {f.size:,} | {f.rate:,.0f} |" for f in figures]
    return [
        "", "## Conversion by type", "",
        f"Samples (`gateway sample`, {DIFFERENT} different ones of each type) read, judged by the rules, converted and",
        "written as JSON, a second of one core's time; no HTTP, no store.", "",
        "| domain | type | bytes | a second |", "|---|---|---|---|", *rows,
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="types; default: all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a round, of processor time")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    print("\n".join(section(measured(options.seconds, options.rounds, options.kinds))))  # noqa: T201 - the figures are the point


if __name__ == "__main__":
    main()
