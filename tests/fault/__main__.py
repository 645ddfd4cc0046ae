"""Fault runs: `make faults` runs each of `scenarios.py` a bounded number of times and writes `results.md`.

`python -m tests.fault --only kill-sqlite --whole` runs the long form of one; `--times` says how often; with `--forked`
gateways are started as forks of one process, where a run starts them again and again; `--parts 10` has figures after
each tenth. What a machine lacks (strace, PostgreSQL) is said and left out.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench.machine import machine
from tests.fault.results import section, write
from tests.fault.scenarios import SCENARIOS
from tests.peers import NotHere

SEED = 20261122


def main() -> None:
    """Run, print, and write the results; the status is 1 where something is not as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--times", type=int, help="how often, in place of the bounded number")
    parser.add_argument("--whole", action="store_true", help="the long form")
    parser.add_argument("--forked", action="store_true", help="start gateways as forks, where they start often")
    parser.add_argument("--parts", type=int, default=1, help="in so many parts, each on a site of its own")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--list", action="store_true", help="list the runs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what a run started ends with it
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
    how = {"forked": True} if options.forked and scenario.forks else {}
    starts = ", each start a fork" if how else ", each start anew" if scenario.forks else ""
    began, told, done = time.monotonic(), Counter[str](), 0
    for part, share in enumerate(shares(times, options.parts)):
        with tempfile.TemporaryDirectory(prefix="gateway-fault-") as folder:
            try:
                told.update(scenario.run(Path(folder), share, options.seed + part, **how))
            except NotHere as fault:
                print(f"{name}: not run here, {fault}")  # noqa: T201 - said, not passed over
                return True
        done += share
        wrong = scenario.wrong(told)
        verdict = "; ".join(wrong) if wrong else "the mutant was noticed" if scenario.mutant else "as it has to be"
        sites = f" on {part + 1} sites, one after the other" if part else ""
        title = f"{scenario.title}, {done} times{sites}{starts}, {time.monotonic() - began:.0f} s, {verdict}"
        never = () if scenario.mutant else scenario.never
        new = section(name, title, machine(), told, never)
        write(name, new, tuple(SCENARIOS))
        print(new, flush=True)  # noqa: T201 - the figures are what this command is for
        if wrong:
            return False
    return True


def shares(times: int, parts: int) -> list[int]:
    """How often each part of a run does it."""
    each, more = divmod(times, parts)
    return [share for share in (each + (part < more) for part in range(parts)) if share]


if __name__ == "__main__":
    main()
