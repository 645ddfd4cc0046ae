"""`make bench`: figures of the main job, beside a bare Starlette echo in the same run, written to `results.md`.

The load comes from this process and shares the machine's cores with the server. Every figure is the median of the
rounds; trust ratios more than figures.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import (
    backends,
    beside_hapi,
    conversion,
    converters,
    csv_file,
    facade,
    growth,
    ingest,
    memory,
    queued,
    restart,
)
from tests.bench import decisions as beside
from tests.bench import search as by_kind
from tests.bench.machine import machine
from tests.peers import NotHere

RESULTS = Path(__file__).parent / "results.md"
MARK = re.compile(r"^<!-- (\w+) -->$", re.MULTILINE)
"""Stands before each section."""
HEAD = """# Bench

Written by `make bench`, section by section (`python -m tests.bench --only NAME` measures one again): one run each,
medians of the rounds; the load comes from the same machine."""

SECTIONS: Mapping[str, Callable[[Path, argparse.Namespace], list[str]]] = {
    "ingest": lambda folder, options: ingest.measure(folder, options.seconds, options.rounds),
    "backends": lambda folder, options: backends.measure(folder, options.seconds, options.rounds),
    "queued": lambda folder, options: queued.measure(folder, options.seconds, options.rounds),
    "restart": lambda folder, options: restart.measure(folder, options.starts),
    "memory": lambda folder, options: memory.measure(folder, options.messages),
    "conversion": lambda _, options: conversion.section(conversion.measured(min(0.5, options.seconds))),
    "converters": lambda _, __: converters.measure(),
    "facade": lambda folder, options: facade.measure(folder, options.requests, options.rounds),
    "hapi": lambda folder, options: beside_hapi.measure(folder, options.filled),
    "growth": lambda folder, options: growth.measure(folder, options.grown),
    "search": lambda folder, options: by_kind.table(by_kind.measure(folder, options.sizes)),
    "decisions": lambda folder, _: beside.measure(folder),
    "csv": lambda folder, options: csv_file.section(csv_file.measured(folder, options.lengths)),
}
"""What is measured, in the order of the file; each section is lines of Markdown."""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="a section; may be repeated. Default: all")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of an ingest round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=5, help="restarts of each kind")
    parser.add_argument("--messages", type=int, default=memory.MESSAGES, help="messages while memory is looked at")
    parser.add_argument("--sizes", type=int, nargs="*", default=by_kind.SIZES, help="resources that are searched in")
    parser.add_argument("--requests", type=int, default=1000, help="searches of each round of the facade")
    parser.add_argument("--filled", type=int, nargs="*", default=beside_hapi.SIZES, help="resources beside HAPI")
    parser.add_argument("--grown", type=int, nargs="*", default=growth.SIZES, help="resources of the store alone")
    parser.add_argument("--lengths", type=int, nargs="*", default=csv_file.LENGTHS, help="rows of CSV files")
    parser.add_argument(
        "--no-write", action="store_true", help="print only; else the sections that were measured are written"
    )
    options = parser.parse_args()
    measured: dict[str, str] = {}
    for name in options.only or SECTIONS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                lines = SECTIONS[name](Path(folder), options)
            except NotHere as fault:
                print(f"{name}: not measured here, {fault}", flush=True)  # noqa: T201 - said, not passed over
                continue
        measured[name] = "\n".join([f"Measured on {machine()}.", *lines])
        print(measured[name], flush=True)  # noqa: T201 - the figures are what this command is for
        if not options.no_write:
            RESULTS.write_text(written(RESULTS.read_text("utf-8") if RESULTS.exists() else "", measured), "utf-8")


def written(before: str, measured: Mapping[str, str]) -> str:
    """The file of results with the sections that were measured, and those of before that were not."""
    kept = dict(zip(*[iter(MARK.split(before)[1:])] * 2, strict=True))
    every = {**{name: text.strip("\n") for name, text in kept.items()}, **measured}
    return "\n\n".join([HEAD, *(f"<!-- {name} -->\n{every[name]}" for name in SECTIONS if name in every)]) + "\n"


if __name__ == "__main__":
    main()
