"""One input through everything that a message goes through: read, judged, converted, serialised."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from gateway import fhir, hl7v2, loading, mapping, specs
from gateway.finding import refuses
from gateway.mapping import Context
from tests.property.fuzz.mutate import Corpus

ROOT = Path(__file__).resolve().parents[3]
OURS = ("rules/samples", "tests/conformance/maps/messages", "tests/conformance/awkward")
THEIRS = ("microsoft", "reportstream")
OVERLAID = ("uk-core",)

LONGEST_TIME = 0.1
"""Units: seconds of CPU that one input may take; where it took longer it is run again, for the machine's sake."""

GIVEN_UP = 10.0
"""Units: seconds of CPU after which an input is given up, so that one that never ends is told like the others."""

_ASKED_AGAIN = 3


class Hung(BaseException):
    """An input was given up. No Exception, so that nothing that it goes through takes it for bad input."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input. Shape: `fault` says where it raised or that it was slow, None where neither."""

    seed: int
    seconds: float
    converted: bool
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What inputs go through, loaded once. Shape: `run` answers whether something was made of a message."""

    corpus: Corpus
    run: Callable[[bytes], bool]


def messages(shared: Path | None) -> tuple[bytes, ...]:
    """What inputs are made from: our own samples, and the shared corpora where they are at hand."""
    files = [path for folder in OURS for path in sorted((ROOT / folder).rglob("*.hl7"))]
    if shared is not None:
        files += [path for folder in THEIRS for path in sorted((shared / "corpus" / folder).glob("*.hl7"))]
    return tuple(raw for path in files if (raw := path.read_bytes()))


def machine(shared: Path | None) -> Machine:
    """Load the dictionaries and the maps, with and without their overlay."""
    names = loading.vocabulary(specs.ROOT)
    maps = mapping.load(specs.ROOT, names, laid=[OVERLAID]).maps
    conformance = names.conformance
    if maps is None or conformance is None:
        raise RuntimeError("the maps have errors: see gateway specs check")
    now = datetime(2026, 5, 16, tzinfo=UTC)
    contexts = [Context("R0D", "fuzz", now, "receipt", "rules", overlays=over) for over in ((), OVERLAID)]

    def run(raw: bytes) -> bool:
        message = hl7v2.read(raw)
        if bytes(message) != raw:
            raise AssertionError("the bytes did not come back")
        for one in conformance.departures(message, suggested=True):
            one.finding("warning")
        if refuses(message.findings):
            return False
        made = maps.convert(message, contexts[len(raw) % 2])
        fhir.dump(fhir.transaction([fhir.entry_put(draft.resource) for draft in made.drafts]))
        return bool(made.drafts)

    return Machine(Corpus(messages(shared), tuple(maps.messages)), run)


def driven(
    fuzzed: Machine, seeds: Iterable[int], longest: float = LONGEST_TIME, given_up: float = GIVEN_UP
) -> Iterator[Outcome]:
    """What becomes of the input of each seed. Units: `longest` and `given_up` in seconds of CPU."""
    for seed in seeds:
        raw = fuzzed.corpus.message(seed)
        try:
            with _at_most(given_up):
                converted, seconds = _timed(fuzzed, raw)
        except (Exception, Hung) as fault:  # noqa: BLE001 - whatever it raises is what is looked for
            yield Outcome(seed, 0.0, converted=False, fault=_place(fault))
            continue
        for _ in range(_ASKED_AGAIN if seconds > longest else 0):
            seconds = min(seconds, _timed(fuzzed, raw)[1])
        slow = f"{seconds * 1000:.0f} ms for {len(raw)} bytes" if seconds > longest else None
        yield Outcome(seed, seconds, converted, slow)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise Hung where what is done takes longer. Units: seconds of this process's CPU."""

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise Hung(f"given up after {seconds:g} s of CPU")

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _timed(fuzzed: Machine, raw: bytes) -> tuple[bool, float]:
    # the thread's: the process's own clock is coarse while a timer runs by it
    start = time.thread_time()
    converted = fuzzed.run(raw)
    return converted, time.thread_time() - start


def _place(fault: BaseException) -> str:
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} at {Path(last.filename).name}:{last.lineno}: {fault}"
