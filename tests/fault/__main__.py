"""Fault runs: `make faults` runs each of `scenarios.py` a bounded number of times and writes `results.md`.

`python -m tests.fault --only kill-sqlite --whole` runs the long form of one; `--times` says how often. What a machine
lacks (strace, PostgreSQL) is said and left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.bench.machine import machine
from tests.fault.results import FILE, section, written
from tests.fault.scenarios import SCENARIOS
from tests.peers import NotHere

SEED = 20261122


def main() -> None:
    """Run, print, and write the results; the status is 1 where something is not as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--times", type=int, help="how often, in place of the bounded number")
    parser.add_argument("--whole", action="store_true", help="the long form")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--list", action="store_true", help="list the runs")
    options = parser.parse_args()
    if options.list:
        for name, one in SCENARIOS.items():
            print(f"{name:20} {one.bounded:6} {one.whole:6}  {one.title}")  # noqa: T201 - what was asked for
        return
    failed = [name for name in options.only if not _ran(name, options)]
    if failed:
        raise SystemExit(f"not as it has to be: {', '.join(failed)}")


def _ran(name: str, options: argparse.Namespace) -> bool:
    scenario = SCENARIOS[name]
    times = options.times or (scenario.whole if options.whole else scenario.bounded)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gateway-fault-") as folder:
        try:
            counts = dict(scenario.run(Path(folder), times, options.seed))
        except NotHere as fault:
            print(f"{name}: not run here, {fault}")  # noqa: T201 - said, not passed over
            return True
    wrong = scenario.wrong(counts)
    verdict = "; ".join(wrong) if wrong else "the mutant was noticed" if scenario.mutant else "as it has to be"
    title = f"{scenario.title}, {times} times, {time.monotonic() - began:.0f} s, {verdict}"
    text = FILE.read_text("utf-8") if FILE.exists() else ""
    never = () if scenario.mutant else scenario.never
    new = {name: section(name, title, machine(), counts, never)}
    FILE.write_text(written(text, new, tuple(SCENARIOS)), "utf-8")
    print(new[name])  # noqa: T201 - the figures are what this command is for
    return not wrong


if __name__ == "__main__":
    main()
