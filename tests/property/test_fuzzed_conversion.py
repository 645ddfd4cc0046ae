"""Mutated messages through reader, validator and converter: a bounded sample; `make fuzz N=1000000` runs more."""

from __future__ import annotations

import pytest

from tests.bounded import examples
from tests.property.fuzz import memory
from tests.property.fuzz.drive import Machine, driven, machine
from tests.property.fuzz.mutate import Corpus

SEEDS = range(1, examples(200) + 1)
HUNG = 10.0
"""Units: seconds of CPU; how fast inputs are is for `make fuzz` to say, on a machine that does nothing else."""


@pytest.fixture(scope="module")
def fuzzed() -> Machine:
    return machine(None)


def test_no_mutated_message_raises_and_none_takes_long(fuzzed: Machine) -> None:
    found = list(driven(fuzzed, SEEDS, HUNG))
    assert [f"seed {one.seed}: {one.fault}" for one in found if one.fault is not None] == []
    assert sum(one.converted for one in found) > len(SEEDS) // 8


def test_an_input_is_known_by_its_seed(fuzzed: Machine) -> None:
    again = Corpus(fuzzed.corpus.messages, ["ADT^A01"])
    assert len({again.message(seed) for seed in SEEDS}) > len(SEEDS) * 0.9
    assert again.message(7) == Corpus(fuzzed.corpus.messages, ["ADT^A01"]).message(7)


def test_what_raises_and_what_takes_long_is_told_by_its_seed(fuzzed: Machine) -> None:
    def raises(raw: bytes) -> bool:
        raise KeyError(len(raw))

    def slow(raw: bytes) -> bool:
        return sum(range(100_000)) > len(raw)

    raised = next(driven(Machine(fuzzed.corpus, raises), [3]))
    assert (raised.seed, str(raised.fault).partition(":")[0]) == (3, "KeyError at test_fuzzed_conversion.py")
    assert " ms for " in str(next(driven(Machine(fuzzed.corpus, slow), [3], 1e-6)).fault)


def test_an_input_that_never_ends_is_given_up(fuzzed: Machine) -> None:
    def hangs(_: bytes) -> bool:
        while True:
            try:
                list(range(1000))
            except Exception:  # noqa: BLE001, S112 - as a careless reader would; the hang is told all the same
                continue

    first, second = driven(Machine(fuzzed.corpus, hangs), [3, 4], given_up=0.05)
    assert str(first.fault).startswith("Hung at ")
    assert (second.seed, str(second.fault).endswith("given up after 0.05 s of CPU")) == (4, True)


def test_memory_that_grows_is_told_and_caches_that_fill_are_not() -> None:
    fills = [100.0, 150.0, *[200.0 + one % 3 for one in range(10)]]
    leaks = [200.0 + 5 * one for one in range(12)]
    assert memory.growth(fills) == pytest.approx(0, abs=memory.ALLOWED)
    grown = memory.growth(leaks)
    assert grown is not None
    assert grown > memory.ALLOWED
    assert memory.growth(leaks[:7]) is None
    assert memory.taken() > 1
