"""Fuzz reading, judging and converting: `python -m tests.property.fuzz --inputs 1000000 --processes 2`.

Ends with 1 where an input raised, or took longer than is allowed, each named by its seed and written to `--out`; and
where the memory of a process grew. Time is CPU time, so that a machine that is busy otherwise doesn't count.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import Pool
from pathlib import Path

from tests.property.fuzz import memory
from tests.property.fuzz.drive import ROOT, Machine, Outcome, driven, machine

_AT_ONCE = 2_000

_machines: list[Machine] = []


def main() -> None:
    """Run as many inputs as are asked for, and say what became of them."""
    parser = argparse.ArgumentParser(prog="tests.property.fuzz")
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="the first; those after it count up")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="where the shared corpora are")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz", help="where faulty inputs are written")
    asked = parser.parse_args()
    shared = asked.shared if (asked.shared / "corpus").is_dir() else None
    sys.exit(_run(asked.inputs, asked.processes, asked.seed, shared, asked.out))


def _run(inputs: int, processes: int, first: int, shared: Path | None, out: Path) -> int:
    started = time.monotonic()
    done = made = faults = 0
    slowest = (0.0, 0)
    readings = defaultdict[int, list[float]](list)
    for outcomes, process, megabytes in _outcomes(inputs, processes, first, shared):
        readings[process].append(megabytes)
        for one in outcomes:
            made += one.converted
            slowest = max(slowest, (one.seconds, one.seed))
            if one.fault is not None:
                faults += 1
                out.mkdir(parents=True, exist_ok=True)
                (out / f"{one.seed}.hl7").write_bytes(_machines[0].corpus.message(one.seed))
                _say(f"seed {one.seed}: {one.fault}")
        done += len(outcomes)
        if done % (10 * _AT_ONCE) == 0 or done == inputs:
            rate = done / (time.monotonic() - started)
            held = ", ".join(f"{each[0]:.0f} to {each[-1]:.0f} MB" for each in readings.values())
            _say(
                f"{done} inputs, {made} converted, {faults} faults, slowest {slowest[0] * 1000:.0f} ms CPU "
                f"(seed {slowest[1]}), "
                f"{rate:.0f} a second, memory {held}"
            )
    return int(faults > 0 or _grown(readings.values()))


def _grown(readings: Iterable[Sequence[float]]) -> bool:
    """Whether a process took more and more memory; says how much each did."""
    found = [memory.growth(each) for each in readings]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        _say("memory: too few inputs to judge whether it is flat")
    for each in known:
        _say(f"memory: {each:+.1%} from the second quarter of the run to the last (allowed {memory.ALLOWED:.0%})")
    return any(each > memory.ALLOWED for each in known)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _outcomes(
    inputs: int, processes: int, first: int, shared: Path | None
) -> Iterator[tuple[list[Outcome], int, float]]:
    """What became of stretches of seeds, the process that ran each and the memory that it takes, in megabytes."""
    _machines.append(machine(shared))
    stretches = [range(at, min(at + _AT_ONCE, first + inputs)) for at in range(first, first + inputs, _AT_ONCE)]
    if processes == 1:
        yield from map(_stretch, stretches)
        return
    with Pool(processes) as pool:
        yield from pool.imap_unordered(_stretch, stretches)


def _stretch(seeds: range) -> tuple[list[Outcome], int, float]:
    found = list(driven(_machines[0], seeds))
    return found, os.getpid(), memory.taken()


if __name__ == "__main__":
    main()
